// Losses of one prediction and one target each; f32, f16, bf16 with f32 arithmetic, dense.
//
//   forward   y[i] = loss(x[i], target[i]), or their sum / divisor in f32: a warp adds up kRowChunk terms,
//   then the partial
//             sums are reduced in a fixed order (reduction.cuh)
//   backward  dx[i] = dy[i] * loss'(x[i], target[i]), or dy / divisor * loss' for a sum
//
// x and target are saved. Outputs are overwritten.
#include "dlcuda/kernels/elementwise_loss.h"

#include "dlcuda/kernels/cuda/dtype.cuh"
#include "dlcuda/kernels/cuda/reduction.cuh"
#include "dlcuda/kernels/functors/elementwise_loss.h"

namespace dlcuda::kernels::cuda {
namespace {

/// What a term is computed from.
template <typename T>
struct Terms {
  const T *x, *target, *weight;
  std::int64_t period;

  __device__ float positive_weight(std::int64_t i) const {
    return weight != nullptr ? static_cast<float>(weight[i % period]) : 1.0f;
  }
};

template <typename L, typename T>
__global__ void terms_kernel(L loss, Terms<T> terms, std::int64_t count, T* y) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    y[i] = T(loss.value(static_cast<float>(terms.x[i]), static_cast<float>(terms.target[i]),
                        terms.positive_weight(i)));
  }
}

template <typename L, typename T>
__global__ void sums_kernel(L loss, Terms<T> terms, std::int64_t count, std::int64_t chunks, float* partial) {
  const int lane = threadIdx.x % kWarp;
  for (std::int64_t chunk = global_thread() / kWarp; chunk < chunks; chunk += global_threads() / kWarp) {
    const std::int64_t begin = chunk * kRowChunk, end = count - begin > kRowChunk ? begin + kRowChunk : count;
    float sum = 0.0f;
    for (std::int64_t i = begin + lane; i < end; i += kWarp) {
      sum += loss.value(static_cast<float>(terms.x[i]), static_cast<float>(terms.target[i]),
                        terms.positive_weight(i));
    }
    sum = warp_reduce(sum, Sum{});
    if (lane == 0) partial[chunk] = sum;
  }
}

// shared: the one gradient of a sum, or null where each term has its own.
template <typename L, typename T>
__global__ void backward_kernel(L loss, Terms<T> terms, const float* shared, float divisor, const T* dy,
                                std::int64_t count, T* dx) {
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const float g = shared != nullptr ? *shared / divisor : static_cast<float>(dy[i]);
    dx[i] = T(g * loss.gradient(static_cast<float>(terms.x[i]), static_cast<float>(terms.target[i]),
                                terms.positive_weight(i)));
  }
}

template <typename T>
Terms<T> terms_of(const TensorView& x, const TensorView& target, const TensorView& weight) {
  return {x.as<const T>(), target.as<const T>(), weight.as<const T>(), weight.data ? weight.numel() : 1};
}

}  // namespace

void element_loss_forward(const TensorView& x, const TensorView& target, const TensorView& weight,
                          const TensorView& y, bool sum, double divisor, const ElementLossParams& params) {
  const std::int64_t count = x.numel();
  visit_float("element_loss_forward", x.dtype, [&]<typename T>() {
    functors::visit_element_loss<float>(params, [&](auto loss) {
      const Terms<T> terms = terms_of<T>(x, target, weight);
      if (!sum) {
        launch("element_loss_forward", terms_kernel<decltype(loss), T>, grid_for(count, kBlock), kBlock, 0,
               this_stream(), loss, terms, count, y.as<T>());
        return;
      }
      const std::int64_t chunks = count / kRowChunk + (count % kRowChunk != 0);
      const Tensor partial = Tensor::empty({chunks}, DType::F32, this_device());
      launch("element_loss_forward", sums_kernel<decltype(loss), T>, grid_for(chunks, kBlock / kWarp), kBlock,
             0, this_stream(), loss, terms, count, chunks, partial.data<float>());
      reduce_middle<Sum>("element_loss_forward", static_cast<const float*>(partial.data<float>()), 1, chunks,
                         1, y.as<float>(), static_cast<float>(divisor));
    });
  });
}

void element_loss_backward(const TensorView& dy, const TensorView& x, const TensorView& target,
                           const TensorView& weight, const TensorView& dx, bool sum, double divisor,
                           const ElementLossParams& params) {
  const std::int64_t count = x.numel();
  visit_float("element_loss_backward", x.dtype, [&]<typename T>() {
    functors::visit_element_loss<float>(params, [&](auto loss) {
      launch("element_loss_backward", backward_kernel<decltype(loss), T>, grid_for(count, kBlock), kBlock, 0,
             this_stream(), loss, terms_of<T>(x, target, weight), sum ? dy.as<const float>() : nullptr,
             static_cast<float>(divisor), sum ? nullptr : dy.as<const T>(), count, dx.as<T>());
    });
  });
}

}  // namespace dlcuda::kernels::cuda
