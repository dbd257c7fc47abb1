// Transposed convolution of one tap for each output: between rows (N H W, KH KW O), which a matrix product
// makes or takes, and the picture y (N, O, H KH, W KW).
//
//   spread_taps  y[n, o, h KH + i, w KW + j] = rows[(n, h, w), (i, j, o)] + bias[o]
//   gather_taps  rows[(n, h, w), (i, j, o)] = y[n, o, h KH + i, w KW + j]
//
// f32, f16, bf16; the sum in f32. y in either format, also as a channel slice. Outputs are overwritten.
#include "dlcuda/kernels/cuda/conv_transpose2d.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// An element of y, and where its counterpart lies.
template <typename Index>
struct TapSizes {
  Index images, channels, height, width;  // of y
  Index kernel_height, kernel_width;
  bool channels_last;

  struct Place {
    Index n, c, h, w;
  };
  // Neighbours in y are made by neighbouring threads.
  __device__ Place place(Index i) const {
    Place p;
    if (channels_last) take(i, channels, p.c);
    take(i, width, p.w);
    take(i, height, p.h);
    if (!channels_last) take(i, channels, p.c);
    p.n = i;
    return p;
  }
  __device__ static void take(Index& i, Index extent, Index& position) {
    position = i % extent;
    i /= extent;
  }
  __device__ std::int64_t in_rows(const Place& p) const {
    const Index row =
        (p.n * (height / kernel_height) + p.h / kernel_height) * (width / kernel_width) + p.w / kernel_width;
    const Index tap = p.h % kernel_height * kernel_width + p.w % kernel_width;
    return (static_cast<std::int64_t>(row) * kernel_height * kernel_width + tap) * channels + p.c;
  }
};

template <typename T, typename Index>
__global__ void spread_kernel(const T* rows, const T* bias, T* y, ImageStrides strides, TapSizes<Index> s,
                              Index count) {
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < count; i += threads) {
    const auto p = s.place(i);
    float value = static_cast<float>(rows[s.in_rows(p)]);
    if (bias != nullptr) value += static_cast<float>(bias[p.c]);
    y[strides.at(p.n, p.c, p.h, p.w)] = T(value);
  }
}

template <typename T, typename Index>
__global__ void gather_kernel(const T* y, ImageStrides strides, T* rows, TapSizes<Index> s, Index count) {
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < count; i += threads) {
    const auto p = s.place(i);
    rows[s.in_rows(p)] = y[strides.at(p.n, p.c, p.h, p.w)];
  }
}

/// visitor.operator()<T, Index>(sizes, count)
template <typename Visitor>
void visit_taps(const char* name, const TensorView& y, std::int64_t kernel_height, std::int64_t kernel_width,
                Visitor&& visitor) {
  visit_float(name, y.dtype, [&]<typename T>() {
    visit_index(y.numel(), [&]<typename Index>() {
      visitor.template operator()<T, Index>(
          TapSizes<Index>{static_cast<Index>(y.shape[0]), static_cast<Index>(y.shape[1]),
                          static_cast<Index>(y.shape[2]), static_cast<Index>(y.shape[3]),
                          static_cast<Index>(kernel_height), static_cast<Index>(kernel_width),
                          lies_channels_last(y)},
          static_cast<Index>(y.numel()));
    });
  });
}

}  // namespace

void spread_taps(const TensorView& rows, const TensorView& bias, const TensorView& y,
                 std::int64_t kernel_height, std::int64_t kernel_width) {
  visit_taps("spread_taps", y, kernel_height, kernel_width,
             [&]<typename T, typename Index>(const TapSizes<Index>& sizes, Index count) {
               launch("spread_taps", spread_kernel<T, Index>, grid_for(y.numel(), kBlock), kBlock, 0,
                      this_stream(), rows.as<const T>(), bias.as<const T>(), y.as<T>(), ImageStrides(y),
                      sizes, count);
             });
}

void gather_taps(const TensorView& y, const TensorView& rows, std::int64_t kernel_height,
                 std::int64_t kernel_width) {
  visit_taps("gather_taps", y, kernel_height, kernel_width,
             [&]<typename T, typename Index>(const TapSizes<Index>& sizes, Index count) {
               launch("gather_taps", gather_kernel<T, Index>, grid_for(y.numel(), kBlock), kBlock, 0,
                      this_stream(), y.as<const T>(), ImageStrides(y), rows.as<T>(), sizes, count);
             });
}

}  // namespace dlcuda::kernels::cuda
