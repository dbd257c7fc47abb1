// Transposed convolution of one tap for each output: between rows of pixels and the picture.
#include "dlcuda/kernels/conv_transpose2d.h"
#include "dlcuda/kernels/cpu/loops.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {
namespace {

/// visit(out, in): for each pixel of the picture, where its first channel lies there, and in `rows`, whose
/// channels are neighbours.
template <typename Visit>
DLCUDA_INLINE void for_runs(const TensorView& y, std::int64_t kernel_height, std::int64_t kernel_width,
                            const Visit& visit) {
  const std::int64_t channels = y.shape[1], width = y.shape[3] / kernel_width;
  const std::int64_t lines = y.shape[0] * y.shape[2], height = y.shape[2];
  const std::int64_t taps = kernel_height * kernel_width;
  parallel_for(lines, kGrain / (channels * y.shape[3] + 1) + 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t line = begin; line < end; ++line) {
      const std::int64_t n = line / height, oh = line % height, h = oh / kernel_height;
      const std::int64_t row = (n * (height / kernel_height) + h) * width, i = oh % kernel_height;
      for (std::int64_t ow = 0; ow < y.shape[3]; ++ow) {
        const std::int64_t tap = i * kernel_width + ow % kernel_width;
        visit(n * y.strides[0] + oh * y.strides[2] + ow * y.strides[3],
              ((row + ow / kernel_width) * taps + tap) * channels);
      }
    }
  });
}

}  // namespace

void spread_taps(const TensorView& rows, const TensorView& bias, const TensorView& y,
                 std::int64_t kernel_height, std::int64_t kernel_width) {
  visit_floating(y.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const T* from = rows.as<const T>();
    const T* b = bias.as<const T>();
    T* to = y.as<T>();
    const std::int64_t channels = y.shape[1], step = y.strides[1];
    for_runs(y, kernel_height, kernel_width, [=](std::int64_t out, std::int64_t in) {
      if (b == nullptr) {
        for (std::int64_t c = 0; c < channels; ++c) to[out + c * step] = from[in + c];
      } else {
        for (std::int64_t c = 0; c < channels; ++c) {
          to[out + c * step] = static_cast<T>(static_cast<C>(from[in + c]) + static_cast<C>(b[c]));
        }
      }
    });
  });
}

void gather_taps(const TensorView& y, const TensorView& rows, std::int64_t kernel_height,
                 std::int64_t kernel_width) {
  visit_floating(y.dtype, [&]<typename T>() {
    const T* from = y.as<const T>();
    T* to = rows.as<T>();
    const std::int64_t channels = y.shape[1], step = y.strides[1];
    for_runs(y, kernel_height, kernel_width, [=](std::int64_t out, std::int64_t in) {
      for (std::int64_t c = 0; c < channels; ++c) to[in + c] = from[out + c * step];
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
