// Group normalisation; layer normalisation is the form with one group and one pixel. Data f32, f16, bf16;
// parameters, statistics and arithmetic f32. A row holds the elements of a sample and group, contiguous or
// every C-th run.
//
//   forward     mean and inverse_std of each row;  y = (x - mean) * inverse_std * weight[c] + bias[c]
//   data        g = dy * weight[c];  dx = inverse_std * (g - mean(g) - xhat * mean(g * xhat)), means over the
//   row parameters  dbias[c] = sum dy;  dweight[c] = sum dy * xhat
//
// Saved: x, mean, inverse_std. Outputs are overwritten. A warp or a block takes a row, and reads it again
// rather than keep it: the second time it comes from the cache. In channels-last a group's channels may be a
// part of a sector of memory; then a block takes as many neighbouring groups as fill sectors, a bundle.
#include "dlcuda/kernels/group_norm.h"

#include "dlcuda/kernels/cuda/channels.cuh"
#include "dlcuda/kernels/functors/group_norm.h"

namespace dlcuda::kernels::cuda {
namespace {

using functors::GroupRows;

template <int kThreads, typename T>
__global__ void forward_kernel(const T* x, const float* weight, const float* bias, GroupRows rows,
                               std::int64_t count, float epsilon, T* y, float* mean, float* inverse_std) {
  const int thread = threadIdx.x % kThreads;
  const std::int64_t length = rows.length();
  for (std::int64_t row = global_thread() / kThreads; row < count; row += global_threads() / kThreads) {
    // Relative to the first value, so that a large mean costs no digits.
    const float shift = length > 0 ? static_cast<float>(x[rows.index(row, 0)]) : 0.0f;
    float sum = 0.0f;
    for (std::int64_t k = thread; k < length; k += kThreads) {
      sum += static_cast<float>(x[rows.index(row, k)]) - shift;
    }
    const float average = shift + group_reduce<kThreads>(sum, Sum{}) / static_cast<float>(length);
    float squares = 0.0f;
    for (std::int64_t k = thread; k < length; k += kThreads) {
      const float d = static_cast<float>(x[rows.index(row, k)]) - average;
      squares += d * d;
    }
    const float variance = group_reduce<kThreads>(squares, Sum{}) / static_cast<float>(length);
    const float std = 1.0f / functors::sqrt(variance + epsilon);
    for (std::int64_t k = thread; k < length; k += kThreads) {
      const std::int64_t i = rows.index(row, k), c = rows.channel(row, k);
      const float normalised = (static_cast<float>(x[i]) - average) * std;
      y[i] = T(normalised * (weight != nullptr ? weight[c] : 1.0f) + (bias != nullptr ? bias[c] : 0.0f));
    }
    if (thread == 0) {
      mean[row] = average;
      inverse_std[row] = std;
    }
  }
}

template <int kThreads, typename T>
__global__ void backward_data_kernel(const T* dy, const T* x, const float* weight, const float* mean,
                                     const float* inverse_std, GroupRows rows, std::int64_t count, T* dx) {
  const int thread = threadIdx.x % kThreads;
  const std::int64_t length = rows.length();
  for (std::int64_t row = global_thread() / kThreads; row < count; row += global_threads() / kThreads) {
    const float average = mean[row], std = inverse_std[row];
    float sum_g = 0.0f, sum_gx = 0.0f;
    for (std::int64_t k = thread; k < length; k += kThreads) {
      const std::int64_t i = rows.index(row, k);
      const float g = static_cast<float>(dy[i]) * (weight != nullptr ? weight[rows.channel(row, k)] : 1.0f);
      sum_g += g;
      sum_gx += g * (static_cast<float>(x[i]) - average) * std;
    }
    const float mean_g = group_reduce<kThreads>(sum_g, Sum{}) / static_cast<float>(length);
    const float mean_gx = group_reduce<kThreads>(sum_gx, Sum{}) / static_cast<float>(length);
    for (std::int64_t k = thread; k < length; k += kThreads) {
      const std::int64_t i = rows.index(row, k);
      const float g = static_cast<float>(dy[i]) * (weight != nullptr ? weight[rows.channel(row, k)] : 1.0f);
      const float normalised = (static_cast<float>(x[i]) - average) * std;
      dx[i] = T(functors::normalised_gradient(g, normalised, mean_g, mean_gx, std));
    }
  }
}

/// Bundles of `together` neighbouring groups of a sample, in channels-last.
struct Bundles {
  GroupRows rows;
  int together;
  std::int64_t each, count;  ///< of a sample; in all

  /// together: 0 where rows serve as well.
  Bundles(const GroupNormLayout& layout, std::size_t element) : rows(layout), together(0) {
    constexpr std::int64_t kSector = 32;
    const std::int64_t bytes = rows.width * static_cast<std::int64_t>(element);
    if (layout.channels_last && bytes % kSector != 0 && rows.width <= kBlock) {
      const auto most = static_cast<int>(std::min(rows.groups, kBlock / rows.width));
      together = 1;
      while (together < most && together * bytes % kSector != 0) ++together;
    }
    each = together > 0 ? (rows.groups + together - 1) / together : 0;
    count = layout.samples * each;
  }
};

/// What a thread has to do with a bundle: one channel, at every `lines`-th pixel. Of those that are left over
/// `line` is `lines`.
struct BundlePlace {
  int columns, lines, column, line;
  std::int64_t row, channel, first;  ///< first: the index of the channel in the first pixel

  __device__ BundlePlace(const Bundles& bundles, std::int64_t item) {
    const GroupRows& rows = bundles.rows;
    const std::int64_t sample = item / bundles.each, group = item % bundles.each * bundles.together;
    const std::int64_t left = rows.groups - group;
    columns = static_cast<int>((left < bundles.together ? left : bundles.together) * rows.width);
    lines = kBlock / columns;
    column = static_cast<int>(threadIdx.x) % columns;
    line = static_cast<int>(threadIdx.x) / columns;
    channel = group * rows.width + column;
    row = sample * rows.groups + channel / rows.width;
    first = sample * rows.inner * rows.channels + channel;
  }
  /// visit(i) for the indices of the thread's elements.
  template <typename Visit>
  __device__ void for_each(const GroupRows& rows, const Visit& visit) const {
    if (line >= lines) return;
    for (std::int64_t pixel = line; pixel < rows.inner; pixel += lines) visit(first + pixel * rows.channels);
  }
  /// Every thread gets the sum over its group, in a fixed order. All of the block's threads must call it.
  __device__ float sum(float value, int width) const {
    __shared__ float room[kBlock];
    room[threadIdx.x] = value;
    __syncthreads();
    for (int left = lines; left > 1;) {
      const int half = (left + 1) / 2;
      if (line < left - half) room[threadIdx.x] += room[threadIdx.x + half * columns];
      __syncthreads();
      left = half;
    }
    float total = 0.0f;
    for (int c = column - column % width, end = c + width; c < end; ++c) total += room[c];
    __syncthreads();  // all have read before the next call writes
    return total;
  }
};

template <typename T>
__global__ void bundle_forward_kernel(const T* x, const float* weight, const float* bias, Bundles bundles,
                                      float epsilon, T* y, float* mean, float* inverse_std) {
  const GroupRows& rows = bundles.rows;
  const auto width = static_cast<int>(rows.width);
  const auto length = static_cast<float>(rows.length());
  for (std::int64_t item = blockIdx.x; item < bundles.count; item += gridDim.x) {
    const BundlePlace place(bundles, item);
    const float shift = rows.inner > 0 ? static_cast<float>(x[place.first - place.column % width]) : 0.0f;
    float sum = 0.0f, squares = 0.0f;
    place.for_each(rows, [&](std::int64_t i) { sum += static_cast<float>(x[i]) - shift; });
    const float average = shift + place.sum(sum, width) / length;
    place.for_each(rows, [&](std::int64_t i) {
      const float d = static_cast<float>(x[i]) - average;
      squares += d * d;
    });
    const float std = 1.0f / functors::sqrt(place.sum(squares, width) / length + epsilon);
    const float scale = weight != nullptr ? weight[place.channel] : 1.0f;
    const float offset = bias != nullptr ? bias[place.channel] : 0.0f;
    place.for_each(
        rows, [&](std::int64_t i) { y[i] = T((static_cast<float>(x[i]) - average) * std * scale + offset); });
    if (place.line == 0 && place.column % width == 0) {
      mean[place.row] = average;
      inverse_std[place.row] = std;
    }
  }
}

template <typename T>
__global__ void bundle_backward_data_kernel(const T* dy, const T* x, const float* weight, const float* mean,
                                            const float* inverse_std, Bundles bundles, T* dx) {
  const GroupRows& rows = bundles.rows;
  const auto width = static_cast<int>(rows.width);
  const auto length = static_cast<float>(rows.length());
  for (std::int64_t item = blockIdx.x; item < bundles.count; item += gridDim.x) {
    const BundlePlace place(bundles, item);
    const float average = mean[place.row], std = inverse_std[place.row];
    const float scale = weight != nullptr ? weight[place.channel] : 1.0f;
    float sum_g = 0.0f, sum_gx = 0.0f;
    place.for_each(rows, [&](std::int64_t i) {
      const float g = static_cast<float>(dy[i]) * scale;
      sum_g += g;
      sum_gx += g * (static_cast<float>(x[i]) - average) * std;
    });
    const float mean_g = place.sum(sum_g, width) / length, mean_gx = place.sum(sum_gx, width) / length;
    place.for_each(rows, [&](std::int64_t i) {
      const float normalised = (static_cast<float>(x[i]) - average) * std;
      dx[i] = T(
          functors::normalised_gradient(static_cast<float>(dy[i]) * scale, normalised, mean_g, mean_gx, std));
    });
  }
}

template <typename T>
struct ParameterTerm {
  const T *dy, *x;
  const float *mean, *inverse_std;
  GroupRows rows;

  template <int N>
  struct Values {
    Pack<T, N> g, x;
  };
  static constexpr int kPack = 16 / sizeof(T), kAtOnce = 4;
  __device__ std::int64_t channel(std::int64_t c) const { return c; }
  template <int N>
  __device__ Values<N> read(std::int64_t i) const {
    return {load_pack<T, N>(dy + i, 0), load_pack<T, N>(x + i, 0)};
  }
  template <int N>
  __device__ void add(const Values<N>& values, std::int64_t i, const std::int64_t (&channels)[N],
                      ChannelSums (&sums)[N]) const {
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const std::int64_t row = rows.row_of(i + j, channels[j]);
      const float g = static_cast<float>(values.g.value[j]);
      sums[j].add(g, g * (static_cast<float>(values.x.value[j]) - mean[row]) * inverse_std[row]);
    }
  }
};

struct WriteParameters {
  float *dweight, *dbias;
  __device__ void operator()(std::int64_t, std::int64_t c, const ChannelSums& sums) const {
    dbias[c] = sums.first;
    dweight[c] = sums.second;
  }
};

}  // namespace

void group_norm_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                        const TensorView& y, const TensorView& mean, const TensorView& inverse_std,
                        const GroupNormLayout& layout, double epsilon) {
  const char* name = "group_norm_forward";
  const GroupRows rows(layout);
  const std::int64_t count = layout.samples * layout.groups;
  const Bundles bundles(layout, size_of(x.dtype));
  visit_float(name, x.dtype, [&]<typename T>() {
    if (bundles.together > 0) {
      return launch(name, bundle_forward_kernel<T>, grid_for(bundles.count, 1), kBlock, 0, this_stream(),
                    x.as<const T>(), weight.as<const float>(), bias.as<const float>(), bundles,
                    static_cast<float>(epsilon), y.as<T>(), mean.as<float>(), inverse_std.as<float>());
    }
    visit_row_threads(rows.length(), [&]<int kThreads>() {
      launch(name, forward_kernel<kThreads, T>, grid_for(count, kBlock / kThreads), kBlock, 0, this_stream(),
             x.as<const T>(), weight.as<const float>(), bias.as<const float>(), rows, count,
             static_cast<float>(epsilon), y.as<T>(), mean.as<float>(), inverse_std.as<float>());
    });
  });
}

void group_norm_backward_data(const TensorView& dy, const TensorView& x, const TensorView& weight,
                              const TensorView& mean, const TensorView& inverse_std, const TensorView& dx,
                              const GroupNormLayout& layout) {
  const char* name = "group_norm_backward_data";
  const GroupRows rows(layout);
  const std::int64_t count = layout.samples * layout.groups;
  const Bundles bundles(layout, size_of(x.dtype));
  visit_float(name, x.dtype, [&]<typename T>() {
    if (bundles.together > 0) {
      return launch(name, bundle_backward_data_kernel<T>, grid_for(bundles.count, 1), kBlock, 0,
                    this_stream(), dy.as<const T>(), x.as<const T>(), weight.as<const float>(),
                    mean.as<const float>(), inverse_std.as<const float>(), bundles, dx.as<T>());
    }
    visit_row_threads(rows.length(), [&]<int kThreads>() {
      launch(name, backward_data_kernel<kThreads, T>, grid_for(count, kBlock / kThreads), kBlock, 0,
             this_stream(), dy.as<const T>(), x.as<const T>(), weight.as<const float>(),
             mean.as<const float>(), inverse_std.as<const float>(), rows, count, dx.as<T>());
    });
  });
}

void group_norm_backward_parameters(const TensorView& dy, const TensorView& x, const TensorView& mean,
                                    const TensorView& inverse_std, const TensorView& dweight,
                                    const TensorView& dbias, const GroupNormLayout& layout) {
  const char* name = "group_norm_backward_parameters";
  TensorView sizes;
  sizes.rank = 3;
  sizes.shape[0] = layout.channels_last ? layout.samples * layout.inner : layout.samples;
  sizes.shape[1] = layout.channels;
  sizes.shape[2] = layout.channels_last ? 1 : layout.inner;
  visit_float(name, x.dtype, [&]<typename T>() {
    channel_sums(name,
                 ParameterTerm<T>{dy.as<const T>(), x.as<const T>(), mean.as<const float>(),
                                  inverse_std.as<const float>(), GroupRows(layout)},
                 ByChannel(sizes), is_aligned(dy.data, 16) && is_aligned(x.data, 16),
                 WriteParameters{dweight.as<float>(), dbias.as<float>()});
  });
}

}  // namespace dlcuda::kernels::cuda
