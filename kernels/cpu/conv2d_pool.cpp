// Plane by plane, 16-bit tensors through f32; the public functions take the parts where that does not suit.
#include "dlcuda/kernels/conv2d_pool.h"

#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/cpu/conv2d_planes.h"
#include "dlcuda/kernels/cpu/onednn.h"
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
  if (x.dtype != DType::F32) {
    const Tensor x32 = onednn_to_f32(x), weight32 = onednn_to_f32(weight), y32 = onednn_f32_like(y);
    const Tensor pooled32 = onednn_f32_like(pooled), bias32 = bias.data ? onednn_to_f32(bias) : Tensor();
    conv2d_pool_forward(x32.raw(), weight32.raw(), bias.data ? bias32.raw() : TensorView{}, y32.raw(),
                        pooled32.raw(), params, activation);
    onednn_from_f32(y32, y);
    return onednn_from_f32(pooled32, pooled);
  }
  const Scratch scratch(scratch_bytes(x, weight, params));
  DLCUDA_BEST_LOOP(planes_forward)
  (x, weight, bias, y, pooled, params, activation, static_cast<float*>(scratch.data()), num_threads());
}

void conv2d_pool_backward(const TensorView& dpooled, const TensorView& y, const TensorView& x,
                          const TensorView& weight, const TensorView& dx, const TensorView& dw,
                          const TensorView& db, const Conv2dParams& params,
                          const ActivationParams& activation) {
  if (x.dtype != DType::F32) {
    const Tensor dpooled32 = onednn_to_f32(dpooled), y32 = onednn_to_f32(y), x32 = onednn_to_f32(x);
    const Tensor weight32 = onednn_to_f32(weight), dw32 = onednn_f32_like(dw), db32 = onednn_f32_like(db);
    const Tensor dx32 = dx.data ? onednn_f32_like(dx) : Tensor();
    conv2d_pool_backward(dpooled32.raw(), y32.raw(), x32.raw(), weight32.raw(),
                         dx.data ? dx32.raw() : TensorView{}, dw32.raw(), db32.raw(), params, activation);
    if (dx.data) onednn_from_f32(dx32, dx);
    onednn_from_f32(dw32, dw);
    return onednn_from_f32(db32, db);
  }
  const Scratch scratch(scratch_bytes(x, weight, params));
  DLCUDA_BEST_LOOP(planes_pool_backward)
  ({dpooled, y, x, weight, dx, dw, db}, params, activation, static_cast<float*>(scratch.data()),
   num_threads());
}

}  // namespace dlcuda::kernels::cpu
