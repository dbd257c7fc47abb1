#include "dlcuda/kernels/update.h"

#include "dlcuda/kernels/checks.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void require_scalar(const char* op, const char* name, const Tensor& x, DType dtype, Device device) {
  require_dtype(op, name, x, dtype);
  require_device(op, name, x, device);
  DLCUDA_CHECK(x.numel() == 1, ShapeError, "{}: {} must have one element, got shape {}", op, name,
               to_string(x.shape()));
}

void check(const char* op, std::span<const UpdateTensors> tensors, const Tensor& lr, Device device) {
  require_scalar(op, "lr", lr, DType::F32, device);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [parameter, gradient, state1, state2] = tensors[i];
    DLCUDA_CHECK(parameter.dtype == DType::F32 || (parameter.dtype == DType::F64 && device.is_cpu()),
                 DTypeError, "{}: parameter {} must be f32{}, got {}", op, i,
                 device.is_cpu() ? " or f64" : "", to_string(parameter.dtype));
    for (const TensorView* other : {&gradient, &state1, &state2}) {
      if (other->data == nullptr) continue;
      DLCUDA_CHECK(other->dtype == parameter.dtype, DTypeError,
                   "{}: gradient and state of parameter {} must be {} like it, got {}", op, i,
                   to_string(parameter.dtype), to_string(other->dtype));
      DLCUDA_CHECK(other->numel() == parameter.numel(), ShapeError,
                   "{}: gradient and state of parameter {} must have {} elements like it, got {}", op, i,
                   parameter.numel(), other->numel());
    }
  }
}

}  // namespace

void sgd_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr,
                const SgdParams& params) {
  check("sgd_update", tensors, lr, device);
  if (!tensors.empty()) DLCUDA_DISPATCH_LOOPS(device, sgd_update(tensors, lr.raw(), params));
}

void adam_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr, const Tensor& step,
                 const AdamParams& params) {
  check("adam_update", tensors, lr, device);
  require_scalar("adam_update", "step", step, DType::I64, device);
  if (!tensors.empty()) DLCUDA_DISPATCH_LOOPS(device, adam_update(tensors, lr.raw(), step.raw(), params));
}

}  // namespace dlcuda::kernels
