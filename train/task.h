// What a model is trained for: how a batch becomes a loss, and which figures are kept while doing so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dlcuda/core/tensor.h"
#include "dlcuda/data/loader.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/train/report.h"

namespace dlcuda DLCUDA_API {

/// Classification and segmentation are below; detection brings a loss and a score of its own.
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

/// A class for each pixel: softmax with cross-entropy, pixel by pixel. Pixels labelled kNoLabel count for
/// nothing. A model whose logits (N, classes, H', W') are smaller than the labels is judged by the middle.
/// The score is the mean over classes of intersection over union: of the pixels that are of a class or are
/// taken for it, the part that is both; classes that never occur are left out.
class SegmentationTask : public Task {
 public:
  /// class_weight: of each class's pixels in the loss, against a background that outweighs all else; empty: 1
  /// each. Throws ArgumentError for another number of them.
  SegmentationTask(Device device, std::int64_t classes, const std::vector<float>& class_weight = {});
  Tensor loss(Module& model, const Batch& batch) override;
  void reset() override;
  Figures figures() const override;
  std::string score_name() const override { return "mean IoU"; }
  /// Intersection over union of each class since the last reset(), NaN for one that never occurred; waits for
  /// the device.
  std::vector<double> class_overlaps() const;

 private:
  Tensor counts_;        // i64 (classes, classes), on the device: pixels by label and prediction
  Tensor metrics_;       // f64 (2), on the device: summed loss, images
  Tensor class_weight_;  // f32 (classes), or undefined
};

}  // namespace dlcuda
