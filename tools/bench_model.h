// One step of a zoo model, training or inference, on data that stays on the device: what `dlcuda bench`
// times.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dlcuda/core/captured_step.h"
#include "dlcuda/data/batch.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tools/model_flags.h"
#include "dlcuda/train/options.h"
#include "dlcuda/train/task.h"

namespace dlcuda::tool {

struct BenchConfig {
  ModelChoice choice;
  std::int64_t batch_size;
  Precision precision;
  bool train;
  Device device;
  MemoryFormat format;
  std::int64_t steps_per_launch = 1;
};

/// Training is what the trainer does with a batch: loss, metrics, backward pass, Adam (learning rate 1e-3).
/// Inference is the model's output, its batch norms folded.
class BenchModel {
 public:
  explicit BenchModel(const BenchConfig& config);
  BenchModel(const BenchModel&) = delete;
  BenchModel& operator=(const BenchModel&) = delete;

  /// config.steps_per_launch steps, recorded together and replayed where that is possible. Each has its copy
  /// of the data in the recording.
  void launch() { recorded_(launch_inputs_); }
  void eager_step() { compute(inputs_); }
  /// After the first step.
  std::string fallback_reason() const { return recorded_.fallback_reason(); }
  /// Of all steps that were recorded together.
  std::size_t launches() const { return recorded_.launches(); }

  std::string optimizer() const { return optimizer_ ? optimizer_->describe() : ""; }

 private:
  std::vector<Tensor> compute(std::span<const Tensor> inputs);
  std::vector<Tensor> compute_several(std::span<const Tensor> inputs);

  std::unique_ptr<Module> model_;
  std::unique_ptr<Task> task_;
  std::unique_ptr<Optimizer> optimizer_;  // of training alone
  LossScale loss_scale_;
  kernels::Generator& dropout_;
  std::vector<Tensor> inputs_, launch_inputs_;
  CapturedStep recorded_;
};

/// What a step needs at least.
struct BenchWork {
  double flops = 0;  ///< multiplications and additions
  double bytes = 0;  ///< that must be read from memory or written to it
  std::int64_t parameters = 0;
};

/// flops: two for each multiply-add of the model's layers; training has three times those of inference (the
/// gradients by the inputs and by the weights take as many each).
///
/// bytes: those that are left when every layer without multiply-adds (norms, activations, pooling) is fused
/// into a neighbour. With A the outputs of the other layers, I the images, P the parameters, in the
/// precision's dtype:
///   inference:  I + 2 A + P          each output is written once and read once
///   training:   2 I + 5 A + 3 P + U  besides, its gradient is written and read, and the output read once
///                                    more; weights are read twice, their gradients written; U, the update:
///                                    P read, and six f32 numbers a parameter (weight and both moments, read
///                                    and written), and P written where that is a copy of the f32 weights
BenchWork work_of(const BenchConfig& config);

}  // namespace dlcuda::tool
