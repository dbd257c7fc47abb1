// What a model is trained for: how a batch becomes a loss, and which figures are kept while doing so.
#pragma once

#include <string>

#include "dlcuda/core/tensor.h"
#include "dlcuda/data/loader.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/train/report.h"

namespace dlcuda DLCUDA_API {

/// Classification is below; detection and segmentation bring a loss and a score of their own.
class Task {
 public:
  virtual ~Task() = default;
  /// The scalar loss of a batch. Also adds the batch to the running figures. Must not wait for the device.
  virtual Tensor loss(Module& model, const Batch& batch) = 0;
  /// Forgets the running figures, without waiting for the device.
  virtual void reset() = 0;
  /// The figures since the last reset(); waits for the device.
  virtual Figures figures() const = 0;
  /// What Figures::score is: "accuracy".
  virtual std::string score_name() const = 0;
};

/// One label an image: softmax with cross-entropy; the score is the accuracy.
class ClassificationTask : public Task {
 public:
  explicit ClassificationTask(Device device);
  Tensor loss(Module& model, const Batch& batch) override;
  void reset() override;
  Figures figures() const override;
  std::string score_name() const override { return "accuracy"; }

 private:
  Tensor metrics_;  // f64 (3), on the device: summed loss, correct, count
};

}  // namespace dlcuda
