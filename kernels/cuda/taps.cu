// Transposed convolution of one tap for each output: between rows (N H W, KH KW O), which a matrix product
// makes or takes, and the picture y (N, O, H KH, W KW).
//
//   spread_taps  y[n, o, h KH + i, w KW + j] = rows[(n, h, w), (i, j, o)] + bias[o]
//   gather_taps  rows[(n, h, w), (i, j, o)] = y[n, o, h KH + i, w KW + j]
//
// f32, f16, bf16; the sum in f32. y in either format, also as a channel slice. Outputs are overwritten. In
// channels-last a thread takes 16 bytes of channels at once, where alignment allows.
#include "dlcuda/kernels/cuda/conv_transpose2d.cuh"

namespace dlcuda::kernels::cuda {
namespace {

/// N neighbouring channels of y, and where their counterparts lie.
template <int N, typename Index>
struct TapSizes {
  Index channels, height, width;  // of y
  Index kernel_height, kernel_width;
  bool channels_last;

  struct Place {
    Index n, c, h, w;
  };
  // Neighbours in y are made by neighbouring threads.
  __device__ Place place(Index i) const {
    Place p;
    if (channels_last) take(i, channels / N, p.c);
    take(i, width, p.w);
    take(i, height, p.h);
    if (!channels_last) take(i, channels / N, p.c);
    p.n = i;
    p.c *= N;
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

template <int N, typename T, typename Index>
__global__ void spread_kernel(const T* rows, const T* bias, T* y, ImageStrides strides, TapSizes<N, Index> s,
                              Index packs) {
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < packs; i += threads) {
    const auto p = s.place(i);
    Pack<T, N> values = load_pack<T, N>(rows + s.in_rows(p), 0);
    if (bias != nullptr) {
      const Pack<T, N> added = load_pack<T, N>(bias + p.c, 0);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        values.value[j] = T(static_cast<float>(values.value[j]) + static_cast<float>(added.value[j]));
      }
    }
    store_pack<T, N>(y + strides.at(p.n, p.c, p.h, p.w), 0, values);
  }
}

template <int N, typename T, typename Index>
__global__ void gather_kernel(const T* y, ImageStrides strides, T* rows, TapSizes<N, Index> s, Index packs) {
  const auto threads = static_cast<Index>(global_threads());
  for (auto i = static_cast<Index>(global_thread()); i < packs; i += threads) {
    const auto p = s.place(i);
    store_pack<T, N>(rows + s.in_rows(p), 0, load_pack<T, N>(y + strides.at(p.n, p.c, p.h, p.w), 0));
  }
}

/// Whether every run of `pack` channels is one access: beside each other, and from a multiple of it on.
bool takes_packs(const TensorView& y, const TensorView& rows, const TensorView& bias, int pack) {
  return lies_channels_last(y) && y.shape[1] % pack == 0 && y.strides[3] % pack == 0 &&
         is_aligned(y.data, 16) && is_aligned(rows.data, 16) && is_aligned(bias.data, 16);
}

/// visitor.operator()<N, T>(sizes, packs)
template <typename Visitor>
void visit_taps(const char* name, const TensorView& y, const TensorView& rows, const TensorView& bias,
                std::int64_t kernel_height, std::int64_t kernel_width, Visitor&& visitor) {
  visit_float(name, y.dtype, [&]<typename T>() {
    visit_index(y.numel(), [&]<typename Index>() {
      const auto visit = [&]<int N>() {
        visitor.template operator()<N, T>(
            TapSizes<N, Index>{static_cast<Index>(y.shape[1]), static_cast<Index>(y.shape[2]),
                               static_cast<Index>(y.shape[3]), static_cast<Index>(kernel_height),
                               static_cast<Index>(kernel_width), lies_channels_last(y)},
            static_cast<Index>(y.numel() / N));
      };
      constexpr int kPack = 16 / sizeof(T);
      takes_packs(y, rows, bias, kPack) ? visit.template operator()<kPack>() : visit.template operator()<1>();
    });
  });
}

}  // namespace

void spread_taps(const TensorView& rows, const TensorView& bias, const TensorView& y,
                 std::int64_t kernel_height, std::int64_t kernel_width) {
  const char* name = "spread_taps";
  visit_taps(name, y, rows, bias, kernel_height, kernel_width,
             [&]<int N, typename T, typename Index>(const TapSizes<N, Index>& sizes, Index packs) {
               launch(name, spread_kernel<N, T, Index>, grid_for(packs, kBlock), kBlock, 0, this_stream(),
                      rows.as<const T>(), bias.as<const T>(), y.as<T>(), ImageStrides(y), sizes, packs);
             });
}

void gather_taps(const TensorView& y, const TensorView& rows, std::int64_t kernel_height,
                 std::int64_t kernel_width) {
  const char* name = "gather_taps";
  visit_taps(name, y, rows, {}, kernel_height, kernel_width,
             [&]<int N, typename T, typename Index>(const TapSizes<N, Index>& sizes, Index packs) {
               launch(name, gather_kernel<N, T, Index>, grid_for(packs, kBlock), kBlock, 0, this_stream(),
                      y.as<const T>(), ImageStrides(y), rows.as<T>(), sizes, packs);
             });
}

}  // namespace dlcuda::kernels::cuda
