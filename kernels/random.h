// Random tensors, and the generator whose step number lives on the device.
#pragma once

#include <cstdint>

#include "dlcuda/core/philox.h"
#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

/// All that is needed to draw the same numbers again: the key, the call's ordinal, and where the step number
/// lives.
struct RandomCall {
  std::uint64_t key = 0;
  std::uint32_t ordinal = 0;
  Tensor step;  ///< i64, one element, on the device of the numbers
};

/// Numbers for one device. The step number is device memory, advanced once after every update, so that a
/// recorded step draws new numbers at each replay; calls within a step are told apart by their ordinal. Not
/// thread-safe.
class Generator {
 public:
  Generator(std::uint64_t seed, RandomDomain domain, Device device);
  std::uint64_t seed() const { return seed_; }
  /// The next call of this step.
  RandomCall next_call();
  /// Step number + 1 (on the device, without waiting for it); ordinals begin again at 0.
  void advance_step();
  /// The same after a step that made calls; after any other, nothing: the next one begins alike.
  void end_step();
  /// Step 0, ordinal 0, another seed.
  void reseed(std::uint64_t seed);

 private:
  void set_ordinal(std::uint32_t ordinal);

  std::uint64_t seed_;
  RandomDomain domain_;
  std::uint32_t ordinal_ = 0;
  Tensor step_;
};

/// The generator of dropout masks of a device, and the one of initial weights (drawn on the CPU).
Generator& dropout_generator(Device device);
Generator& weight_generator();
/// Seeds all of them.
void manual_seed(std::uint64_t seed);

/// x ~ U[low, high). f32 (f64 on the CPU), dense.
void fill_uniform(Tensor& x, double low, double high, const RandomCall& call);
/// x ~ N(mean, deviation^2), Box-Muller on pairs. CPU, f32 or f64, dense: weights are drawn there and
/// uploaded.
void fill_normal(Tensor& x, double mean, double deviation, const RandomCall& call);

DLCUDA_LOOP_BACKENDS(void fill_uniform(const TensorView& x, double low, double high, const RandomCall& call);
                     void fill_normal(const TensorView& x, double mean, double deviation,
                                      const RandomCall& call);)

}  // namespace kernels
}  // namespace dlcuda
