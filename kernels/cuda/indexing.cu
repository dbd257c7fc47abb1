// Elements chosen by index; any dtype, gradients f32, f16, bf16 with sums in f32; indices i64. x (outer, n,
// inner), y (outer, m, inner), contiguous; the index is like y, or (m) and shared by all.
//
//   gather    y[o, j, k] = x[o, index, k]                     NaN (0) where the index is out of range
//   backward  dx[o, i, k] = sum of dy[o, j, k] over the j whose index is i, in the order of j; dx is 0 before
//   one hot   y[r, c] = label[r] == c
//
// No atomics: the thread of the first occurrence of an index adds up the later ones. For a shared index a
// first kernel links each occurrence to the next one, so that the search is done once and not for every
// column.
#include "dlcuda/kernels/indexing.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/launch.cuh"
#include "dlcuda/kernels/functors/convert.h"

namespace dlcuda::kernels::cuda {
namespace {

template <typename T>
__global__ void gather_kernel(const T* x, const std::int64_t* index, std::int64_t n, std::int64_t m,
                              std::int64_t inner, bool shared, std::int64_t count, T* y) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t j = i / inner % m, outer = i / inner / m;
    const std::int64_t at = index[shared ? j : i];
    y[i] = at >= 0 && at < n ? x[(outer * n + at) * inner + i % inner] : functors::convert<T>(NAN);
  }
}

constexpr std::int64_t kLast = -1;     // no later occurrence
constexpr std::int64_t kCounted = -2;  // not the first occurrence, or nothing to be added

// next[j]: the next occurrence of index[j], kLast at the end; heads[j]: j where index[j] occurs first, else
// kCounted.
__global__ void link_kernel(const std::int64_t* index, std::int64_t n, std::int64_t m, std::int64_t skip,
                            std::int64_t* heads, std::int64_t* next) {
  for (std::int64_t j = global_thread(); j < m; j += global_threads()) {
    const std::int64_t at = index[j];
    bool first = at >= 0 && at < n && at != skip;
    for (std::int64_t before = 0; before < j && first; ++before) first = index[before] != at;
    heads[j] = first ? j : kCounted;
    std::int64_t later = j + 1;
    while (later < m && index[later] != at) ++later;
    next[j] = later < m ? later : kLast;
  }
}

template <typename T>
__global__ void linked_backward_kernel(const T* dy, const std::int64_t* index, const std::int64_t* heads,
                                       const std::int64_t* next, std::int64_t n, std::int64_t m,
                                       std::int64_t inner, std::int64_t count, T* dx) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t j = i / inner % m, outer = i / inner / m, k = i % inner;
    if (heads[j] == kCounted) continue;
    float sum = 0.0f;
    for (std::int64_t at = j; at != kLast; at = next[at]) {
      sum += static_cast<float>(dy[(outer * m + at) * inner + k]);
    }
    dx[(outer * n + index[j]) * inner + k] = T(sum);
  }
}

template <typename T>
__global__ void backward_kernel(const T* dy, const std::int64_t* index, std::int64_t n, std::int64_t m,
                                std::int64_t inner, std::int64_t skip, std::int64_t count, T* dx) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t j = i / inner % m, outer = i / inner / m, k = i % inner;
    const std::int64_t column = outer * m * inner + k, at = index[i];
    bool first = at >= 0 && at < n && at != skip;
    for (std::int64_t before = 0; before < j && first; ++before) first = index[column + before * inner] != at;
    if (!first) continue;
    float sum = 0.0f;
    for (std::int64_t later = j; later < m; ++later) {
      if (index[column + later * inner] == at) sum += static_cast<float>(dy[column + later * inner]);
    }
    dx[(outer * n + at) * inner + k] = T(sum);
  }
}

template <typename T>
__global__ void one_hot_kernel(const std::int64_t* labels, std::int64_t classes, std::int64_t count, T* y) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t label = labels[i / classes];
    const bool bad = label < 0 || label >= classes;
    y[i] = functors::convert<T>(bad ? NAN : (label == i % classes ? 1.0f : 0.0f));
  }
}

}  // namespace

void gather(const TensorView& x, const TensorView& index, const TensorView& y, bool shared) {
  visit_any(x.dtype, [&]<typename T>() {
    launch("gather", gather_kernel<T>, grid_for(y.numel(), kBlock), kBlock, 0, this_stream(), x.as<const T>(),
           index.as<const std::int64_t>(), x.shape[1], y.shape[1], y.shape[2], shared, y.numel(), y.as<T>());
  });
}

void gather_backward(const TensorView& dy, const TensorView& index, const TensorView& dx, bool shared,
                     std::int64_t skip) {
  const std::int64_t n = dx.shape[1], m = dy.shape[1], inner = dy.shape[2], count = dy.numel();
  const auto* chosen = index.as<const std::int64_t>();
  visit_float("gather_backward", dy.dtype, [&]<typename T>() {
    if (!shared) {
      launch("gather_backward", backward_kernel<T>, grid_for(count, kBlock), kBlock, 0, this_stream(),
             dy.as<const T>(), chosen, n, m, inner, skip, count, dx.as<T>());
      return;
    }
    const Tensor heads = Tensor::empty({m}, DType::I64, this_device());
    const Tensor next = Tensor::empty({m}, DType::I64, this_device());
    launch("gather_backward links", link_kernel, grid_for(m, kBlock), kBlock, 0, this_stream(), chosen, n, m,
           skip, heads.data<std::int64_t>(), next.data<std::int64_t>());
    launch("gather_backward", linked_backward_kernel<T>, grid_for(count, kBlock), kBlock, 0, this_stream(),
           dy.as<const T>(), chosen, static_cast<const std::int64_t*>(heads.data<std::int64_t>()),
           static_cast<const std::int64_t*>(next.data<std::int64_t>()), n, m, inner, count, dx.as<T>());
  });
}

void one_hot(const TensorView& labels, const TensorView& y) {
  visit_any(y.dtype, [&]<typename T>() {
    launch("one_hot", one_hot_kernel<T>, grid_for(y.numel(), kBlock), kBlock, 0, this_stream(),
           labels.as<const std::int64_t>(), y.shape[y.rank - 1], y.numel(), y.as<T>());
  });
}

}  // namespace dlcuda::kernels::cuda
