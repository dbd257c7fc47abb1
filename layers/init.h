// Initial weights, drawn on the CPU from weight_generator() and uploaded: the same on every device.
#pragma once

#include <cstdint>

#include "dlcuda/core/tensor.h"

namespace dlcuda {
namespace init DLCUDA_API {

enum class Scheme : std::uint8_t {
  Default,         ///< U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)), as PyTorch's Linear and Conv2d begin
  HeNormal,        ///< N(0, 2 / fan_in): He et al., 2015; for ReLU
  HeNormalFanOut,  ///< N(0, 2 / fan_out): keeps the variance of gradients; for convolutions before a batch
                   ///< norm
  HeUniform,       ///< U(+-sqrt(6 / fan_in))
  XavierNormal,    ///< N(0, 2 / (fan_in + fan_out)): Glorot & Bengio, 2010; for tanh and sigmoid
  XavierUniform,   ///< U(+-sqrt(6 / (fan_in + fan_out)))
  LeCunNormal,     ///< N(0, 1 / fan_in): LeCun et al., 1998
  LeCunUniform,    ///< U(+-sqrt(3 / fan_in))
  SmallNormal,     ///< N(0, 0.01^2): the linear layers of VGG and MobileNet
  UniformFanOut,   ///< U(-1 / sqrt(fan_out), 1 / sqrt(fan_out)): the linear layers of EfficientNet
};

/// While it lives, weights and biases made in this thread are not drawn but left without values: for models
/// that are loaded from a file next, or only looked at. The generator moves on as if they were drawn.
class Uninitialized {
 public:
  Uninitialized() noexcept;
  ~Uninitialized();
  Uninitialized(const Uninitialized&) = delete;
  Uninitialized& operator=(const Uninitialized&) = delete;

 private:
  bool outer_;
};

/// fan_in = C / groups * KH * KW of (O, C / groups, KH, KW), or I of (O, I); fan_out = O * KH * KW, or O.
struct Fans {
  std::int64_t in, out;
};
Fans fans(const Shape& weight);

/// A new f32 tensor of `shape` on the CPU. Throws ShapeError for fewer than two axes.
Tensor weight(const Shape& shape, Scheme scheme);
/// U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)) for Default, zeros for every other scheme.
Tensor bias(std::int64_t size, std::int64_t fan_in, Scheme scheme);

}  // namespace init
}  // namespace dlcuda
