// Plane by plane; the public functions take the parts where that does not apply.
#include "dlcuda/kernels/conv2d_pool.h"

#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/cpu/conv2d_planes.h"
#include "dlcuda/kernels/cpu/scratch.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels::cpu {
namespace {

std::size_t scratch_bytes(const TensorView& x, const TensorView& weight, const Conv2dParams& params) {
  return std::size_t(planes_scratch(x, weight, params, num_threads())) * sizeof(float);
}

}  // namespace

void conv2d_pool_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                         const TensorView& y, const TensorView& pooled, const Conv2dParams& params,
                         const ActivationParams& activation) {
  const Scratch scratch(scratch_bytes(x, weight, params));
  DLCUDA_BEST_LOOP(planes_forward)
  (x, weight, bias, y, pooled, params, activation, static_cast<float*>(scratch.data()), num_threads());
}

void conv2d_pool_backward(const TensorView& dpooled, const TensorView& y, const TensorView& x,
                          const TensorView& weight, const TensorView& dx, const TensorView& dw,
                          const TensorView& db, const Conv2dParams& params,
                          const ActivationParams& activation) {
  const Scratch scratch(scratch_bytes(x, weight, params));
  DLCUDA_BEST_LOOP(planes_pool_backward)
  ({dpooled, y, x, weight, dx, dw, db}, params, activation, static_cast<float*>(scratch.data()),
   num_threads());
}

}  // namespace dlcuda::kernels::cpu
