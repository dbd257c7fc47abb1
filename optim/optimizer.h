// Optimisers. The learning rate and Adam's step count live on the device, so that a recorded step sees them
// change.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/kernels/update.h"
#include "dlcuda/layers/module.h"

namespace dlcuda DLCUDA_API {

/// Updates the parameters it was given, in place. Gradients that no backward() has written since the last
/// step() are skipped; nothing needs to be cleared.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update of every parameter with a fresh gradient. Does not wait for the device.
  void step();
  /// Takes effect at the next step(), without waiting for the device.
  void set_learning_rate(double lr);
  double learning_rate() const { return learning_rate_; }
  virtual std::string describe() const = 0;

 protected:
  /// Throws ArgumentError for no parameters or a learning rate that is not positive and finite, DeviceError
  /// when the parameters are not all on one device.
  Optimizer(const NamedTensors& parameters, double learning_rate, int states);

  struct Slot {
    Tensor parameter;
    Tensor state[2];
  };
  virtual void update(std::span<const kernels::UpdateTensors> tensors) = 0;
  Device device() const;

  std::vector<Slot> slots_;
  Tensor lr_;  ///< f32, one element, on the device

 private:
  double learning_rate_;
  std::uint64_t last_stamp_ = 0;
};

/// Stochastic gradient descent, with momentum and Nesterov's variant.
class Sgd : public Optimizer {
 public:
  Sgd(const NamedTensors& parameters, double learning_rate, const kernels::SgdParams& params = {});
  std::string describe() const override;

 private:
  void update(std::span<const kernels::UpdateTensors> tensors) override;
  kernels::SgdParams params_;
};

/// Adam (Kingma & Ba, 2015).
class Adam : public Optimizer {
 public:
  Adam(const NamedTensors& parameters, double learning_rate = 1e-3, const kernels::AdamParams& params = {});
  std::string describe() const override;

 private:
  void update(std::span<const kernels::UpdateTensors> tensors) override;
  kernels::AdamParams params_;
  Tensor step_;  ///< i64, one element: updates so far
};

/// "sgd", "momentum" (0.9), "nesterov" (0.9), "adam". Throws ArgumentError naming the nearest known name.
std::unique_ptr<Optimizer> make_optimizer(std::string_view name, const NamedTensors& parameters,
                                          double learning_rate);

}  // namespace dlcuda
