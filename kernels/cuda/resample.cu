// Nearest and bilinear resizing, reflecting padding, of (N, C, H, W) in either format; f32, f16, bf16 with
// f32 arithmetic.
//
//   forward   y[r, k] = sum over the two rows and two columns that output (r, k) is made of
//   backward  dx[i, j] = sum over the outputs that hold (i, j) of weight * dy
//
// functors/resample.h gives the places and weights of an axis. One thread an element of the output, in the
// order of memory; the backward pass gathers, so nothing is added atomically. Outputs are overwritten;
// nothing is saved.
#include "dlcuda/kernels/resample.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/resample.h"

namespace dlcuda::kernels::cuda {
namespace {

using functors::ResampleAxis;

/// Element i of a dense picture taken apart: (outer, H, W, inner), inner being the channels in channels-last.
struct Pixel {
  std::int64_t outer, row, column, inner;
  __device__ Pixel(std::int64_t i, std::int64_t height, std::int64_t width, std::int64_t inner_extent)
      : outer(i / inner_extent / width / height),
        row(i / inner_extent / width % height),
        column(i / inner_extent % width),
        inner(i % inner_extent) {}
};

template <typename T>
__global__ void forward_kernel(const T* x, ResampleAxis down, ResampleAxis across, std::int64_t inner,
                               std::int64_t count, T* y) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const Pixel p(i, down.out(), across.out(), inner);
    const functors::Taps<float> v = down.taps<float>(p.row), h = across.taps<float>(p.column);
    const T* plane = x + p.outer * down.in() * across.in() * inner + p.inner;
    const auto at = [&](std::int64_t row, std::int64_t column) {
      return static_cast<float>(plane[(row * across.in() + column) * inner]);
    };
    const float upper = (1.0f - h.share) * at(v.first, h.first) + h.share * at(v.first, h.second);
    const float lower = (1.0f - h.share) * at(v.second, h.first) + h.share * at(v.second, h.second);
    y[i] = T((1.0f - v.share) * upper + v.share * lower);
  }
}

template <typename T>
__global__ void backward_kernel(const T* dy, ResampleAxis down, ResampleAxis across, std::int64_t inner,
                                std::int64_t count, T* dx) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const Pixel p(i, down.in(), across.in(), inner);
    const functors::Range rows = down.outputs_of(p.row), columns = across.outputs_of(p.column);
    const T* plane = dy + p.outer * down.out() * across.out() * inner + p.inner;
    float sum = 0.0f;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const float vertical = down.weight<float>(row, p.row);
      if (vertical == 0.0f) continue;
      for (std::int64_t column = columns.begin; column < columns.end; ++column) {
        const float weight = vertical * across.weight<float>(column, p.column);
        if (weight != 0.0f) sum += weight * static_cast<float>(plane[(row * across.out() + column) * inner]);
      }
    }
    dx[i] = T(sum);
  }
}

/// visitor.operator()<T>(down, across, inner)
template <typename Visitor>
void visit(const char* name, const TensorView& x, const TensorView& y, Resample mode,
           std::array<std::int64_t, 2> before, const Visitor& visitor) {
  const ResampleAxis down(mode, x.shape[2], y.shape[2], before[0]),
      across(mode, x.shape[3], y.shape[3], before[1]);
  // Where one of the two lies alike in both formats, the other one tells.
  const std::int64_t inner = is_channels_last(x) || is_channels_last(y) ? x.shape[1] : 1;
  visit_float(name, x.dtype, [&]<typename T>() { visitor.template operator()<T>(down, across, inner); });
}

}  // namespace

void resample_forward(const TensorView& x, const TensorView& y, Resample mode,
                      std::array<std::int64_t, 2> before) {
  visit("resample_forward", x, y, mode, before,
        [&]<typename T>(const ResampleAxis& down, const ResampleAxis& across, std::int64_t inner) {
          launch("resample_forward", forward_kernel<T>, grid_for(y.numel(), kBlock), kBlock, 0, this_stream(),
                 x.as<const T>(), down, across, inner, y.numel(), y.as<T>());
        });
}

void resample_backward(const TensorView& dy, const TensorView& dx, Resample mode,
                       std::array<std::int64_t, 2> before) {
  visit("resample_backward", dx, dy, mode, before,
        [&]<typename T>(const ResampleAxis& down, const ResampleAxis& across, std::int64_t inner) {
          launch("resample_backward", backward_kernel<T>, grid_for(dx.numel(), kBlock), kBlock, 0,
                 this_stream(), dy.as<const T>(), down, across, inner, dx.numel(), dx.as<T>());
        });
}

}  // namespace dlcuda::kernels::cuda
