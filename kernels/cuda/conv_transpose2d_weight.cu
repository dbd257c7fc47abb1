// Gradient of the weight of a transposed convolution (see conv_transpose2d.cu):
//
//   dw[c, o, i, j] = sum over n, h, w of x[n, c, h, w] dy[n, o, h sh - top + i dh, w sw - left + j dw]
//
// f32, f16, bf16; sums in f32. dw is overwritten. Two passes in a fixed order, no atomics: first the sums of
// chunks of x's pixels, whose number depends on the sizes alone, then the sums of those (reduction.cuh). A
// thread (channels-last), or a warp (contiguous, where neighbouring lanes are to read neighbouring pixels),
// adds up kTile channels of dy at one tap, and so reads x once for them.
#include "dlcuda/kernels/cuda/conv_transpose2d.cuh"
#include "dlcuda/kernels/cuda/reduction.cuh"

namespace dlcuda::kernels::cuda {
namespace {

template <typename Index>
struct WeightSizes {
  using Position = std::make_signed_t<Index>;
  TransposedTaps<Position> h, w;
  Index channels, groups, outputs;  // outputs: channels of y in a group
  Index pixels, chunk, chunks;      // of x, over all images

  __device__ Index tiles() const { return (outputs + kTile - 1) / kTile; }
};

// partial (chunks, C, O / groups, KH, KW). kLanes: threads that share an item, 1 or a warp.
template <int kLanes, typename T, typename Index>
__global__ void weight_kernel(const T* x, ImageStrides x_strides, const T* dy, ImageStrides y_strides,
                              float* partial, WeightSizes<Index> s, Index items) {
  using Position = std::make_signed_t<Index>;
  const Index lane = threadIdx.x % kLanes;
  const auto groups_of_lanes = static_cast<Index>(global_threads() / kLanes);
  for (auto i = static_cast<Index>(global_thread() / kLanes); i < items; i += groups_of_lanes) {
    // Neighbouring items read neighbouring channels of y, at the same pixels.
    Index rest = i;
    const Index first = rest % s.tiles() * kTile;
    rest /= s.tiles();
    const auto kw = static_cast<Position>(rest % s.w.count);
    rest /= s.w.count;
    const auto kh = static_cast<Position>(rest % s.h.count);
    rest /= s.h.count;
    const Index c = rest % s.channels, chunk = rest / s.channels;
    const Index output = c / (s.channels / s.groups) * s.outputs + first;
    const Index begin = chunk * s.chunk, end = s.pixels - begin > s.chunk ? begin + s.chunk : s.pixels;

    float sums[kTile] = {};
    for (Index p = begin + lane; p < end; p += kLanes) {
      const auto column = static_cast<Position>(p % s.w.in), row = static_cast<Position>(p / s.w.in % s.h.in);
      const Index image = p / s.w.in / s.h.in;
      const Position oh = s.h.to_y(row, kh), ow = s.w.to_y(column, kw);
      if (!s.h.inside_y(oh) || !s.w.inside_y(ow)) continue;
      const float value = static_cast<float>(x[x_strides.at(image, c, row, column)]);
      const T* gradient = dy + y_strides.at(image, output, oh, ow);
#pragma unroll
      for (int j = 0; j < kTile; ++j) {
        if (first + j < s.outputs) sums[j] += value * static_cast<float>(gradient[j * y_strides.c]);
      }
    }
#pragma unroll
    for (int j = 0; j < kTile; ++j) {
      const float sum = group_reduce<kLanes>(sums[j], Sum{});
      if (lane != 0 || first + j >= s.outputs) continue;
      const std::int64_t filter = (static_cast<std::int64_t>(chunk) * s.channels + c) * s.outputs + first + j;
      partial[(filter * s.h.count + kh) * s.w.count + kw] = sum;
    }
  }
}

/// Pixels of a chunk: few enough for many threads, as many as it takes to read far more than is written.
std::int64_t chunk_of(std::int64_t pixels, std::int64_t items, bool warps) {
  constexpr std::int64_t kEnough = 1 << 17;  // threads that keep a large device busy
  const std::int64_t threads = items * (warps ? kWarp : 1);
  const std::int64_t chunks = std::max<std::int64_t>(1, kEnough / threads);
  return std::max<std::int64_t>(pixels / chunks + (pixels % chunks != 0), warps ? 256 : 64);
}

}  // namespace

void conv_transpose2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                      const ConvTranspose2dParams& params) {
  const char* name = "conv_transpose2d_backward_weight";
  const bool warps = !lies_channels_last(dy);
  const std::int64_t tiles = dw.shape[1] / kTile + (dw.shape[1] % kTile != 0);
  const std::int64_t filters = dw.shape[0] * tiles * dw.shape[2] * dw.shape[3];
  const std::int64_t pixels = x.shape[0] * x.shape[2] * x.shape[3], chunk = chunk_of(pixels, filters, warps);
  const std::int64_t chunks = pixels / chunk + (pixels % chunk != 0), items = filters * chunks;
  const Tensor partial = Tensor::empty({chunks, dw.numel()}, DType::F32, this_device());
  visit_float(name, x.dtype, [&]<typename T>() {
    visit_transposed(x, dw, dy, params, items, [&]<typename Index>(const auto& rows, const auto& columns) {
      const WeightSizes<Index> sizes{rows,
                                     columns,
                                     static_cast<Index>(x.shape[1]),
                                     static_cast<Index>(params.groups),
                                     static_cast<Index>(dw.shape[1]),
                                     static_cast<Index>(pixels),
                                     static_cast<Index>(chunk),
                                     static_cast<Index>(chunks)};
      const auto kernel = warps ? weight_kernel<kWarp, T, Index> : weight_kernel<1, T, Index>;
      launch(name, kernel, grid_for(items, warps ? kBlock / kWarp : kBlock), kBlock, 0, this_stream(),
             x.as<const T>(), ImageStrides(x), dy.as<const T>(), ImageStrides(dy), partial.data<float>(),
             sizes, static_cast<Index>(items));
    });
    reduce_middle<Sum>(name, static_cast<const float*>(partial.data<float>()), 1, chunks, dw.numel(),
                       dw.as<T>());
  });
}

}  // namespace dlcuda::kernels::cuda
