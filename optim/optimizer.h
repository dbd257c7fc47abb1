// Optimisers. The learning rate and Adam's step count live on the device, so that a recorded step sees them
// change.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/kernels/update.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/optim/loss_scale.h"

namespace dlcuda::capture {
struct Recording;
}

namespace dlcuda DLCUDA_API {

/// Updates the parameters it was given, in place. Gradients that no backward() has written since the last
/// step() are skipped; nothing needs to be cleared, and backward(Accumulate) begins anew after a step(). Make
/// it after the module was moved to its device. Parameters in bf16 or f16 are rounded copies of master
/// weights in f32, which the optimiser keeps and updates. Not thread-safe.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update of every parameter with a fresh gradient. Does not wait for the device; allocates nothing
  /// once all gradients have come with the memory format of their parameters.
  void step();
  /// The same for gradients that scale.backward() has written. Where one of them is not finite, nothing is
  /// updated or counted, and the scale falls. Throws DeviceError for a scale on another device.
  void step(LossScale& scale);
  /// The same with a learning rate that is read on the device, f32 with one element, as a recording of
  /// several steps needs it; learning_rate() knows nothing of it. Throws ShapeError, DTypeError or
  /// DeviceError for another tensor.
  void step(LossScale& scale, const Tensor& learning_rate);
  /// Takes effect at the next step(), without waiting for the device. Throws ArgumentError for a rate that is
  /// negative or not finite; 0 changes no parameter, but goes on gathering momentum.
  void set_learning_rate(double lr);
  double learning_rate() const { return learning_rate_; }
  virtual std::string describe() const = 0;

 protected:
  /// `states` tensors of zeros (0 to 2) are kept for each parameter. Throws ArgumentError for no parameters,
  /// one that is given twice or is the result of an operation, or a learning rate that is not positive and
  /// finite; DTypeError for other dtypes than f32, bf16, f16 (and f64 on the CPU); ShapeError for a slice;
  /// DeviceError when the parameters are not all on one device.
  Optimizer(const NamedTensors& parameters, double learning_rate, int states);

  /// unscale: undefined, or what gradients are multiplied by first (kernels/update.h).
  virtual void update(std::span<const kernels::UpdateTensors> tensors, const Tensor& unscale) = 0;
  Device device() const { return lr_.device(); }
  /// f32, one element, on the device.
  const Tensor& learning_rate_tensor() const { return lr_; }

 private:
  struct Slot {
    Tensor parameter;
    Tensor master;  ///< f32, of a parameter in bf16 or f16; else undefined
    std::array<Tensor, 2> state;
  };

  void step(LossScale* scale);
  void check_rate(const Tensor& learning_rate) const;
  /// What to multiply the gradients at hand by; undefined without a scale.
  Tensor settle(LossScale* scale);
  void finish_step();
  void note_step(capture::Recording& recording);

  std::vector<Slot> slots_;  // never grows
  Tensor lr_;
  double learning_rate_;
  std::uint64_t last_stamp_ = 0;
  // Of the step at hand; members, so that their memory is used again.
  std::vector<kernels::UpdateTensors> tensors_;
  std::vector<Tensor> gradients_;
  std::vector<kernels::GradientView> gradient_views_;
};

/// Stochastic gradient descent, with momentum and Nesterov's variant.
class Sgd : public Optimizer {
 public:
  /// Throws ArgumentError for a negative momentum or weight decay, and for Nesterov's variant without
  /// momentum.
  Sgd(const NamedTensors& parameters, double learning_rate, const kernels::SgdParams& params = {});
  std::string describe() const override;

 private:
  void update(std::span<const kernels::UpdateTensors> tensors, const Tensor& unscale) override;
  kernels::SgdParams params_;
};

/// RMSprop, with or without momentum.
class RmsProp : public Optimizer {
 public:
  /// Throws ArgumentError unless alpha is in [0, 1), epsilon is positive, momentum and weight decay not
  /// negative.
  RmsProp(const NamedTensors& parameters, double learning_rate = 1e-2,
          const kernels::RmsPropParams& params = {});
  std::string describe() const override;

 private:
  void update(std::span<const kernels::UpdateTensors> tensors, const Tensor& unscale) override;
  kernels::RmsPropParams params_;
};

/// Adam (Kingma & Ba, 2015); AdamW with params.decoupled. The step count for the bias correction is one for
/// all parameters: it counts the step() calls that had a fresh gradient.
class Adam : public Optimizer {
 public:
  /// Throws ArgumentError unless both betas are in [0, 1), epsilon is positive and the weight decay not
  /// negative.
  Adam(const NamedTensors& parameters, double learning_rate = 1e-3, const kernels::AdamParams& params = {});
  std::string describe() const override;

 private:
  void update(std::span<const kernels::UpdateTensors> tensors, const Tensor& unscale) override;
  kernels::AdamParams params_;
  Tensor step_;  ///< i64, one element: updates so far
};

/// The names that make_optimizer() knows.
const std::vector<std::string>& optimizer_names();
/// "sgd", "momentum" (0.9), "nesterov" (0.9), "rmsprop", "adam", "adamw" (weight decay 0.01). Throws
/// ArgumentError naming the nearest known name.
std::unique_ptr<Optimizer> make_optimizer(std::string_view name, const NamedTensors& parameters,
                                          double learning_rate);

}  // namespace dlcuda
