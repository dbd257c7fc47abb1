#include "dlcuda/kernels/update.h"

#include "dlcuda/kernels/axis_layout.h"
#include "dlcuda/kernels/dispatch.h"

namespace dlcuda::kernels {
namespace {

void require_scalar(const char* op, const char* name, const Tensor& x, DType dtype, Device device) {
  require_dtype(op, name, x, dtype);
  require_device(op, name, x, device);
  DLCUDA_CHECK(x.numel() == 1, ShapeError, "{}: {} must have one element, got shape {}", op, name,
               to_string(x.shape()));
}

/// Whether elements that lie side by side in one do in the other, too: these kernels look at no shapes.
bool lies_like(const TensorView& x, const TensorView& like) {
  if (x.rank != like.rank) return lies_contiguous(x) && lies_contiguous(like);
  for (int axis = 0; axis < x.rank; ++axis) {
    if (x.shape[axis] > 1 && x.strides[axis] != like.strides[axis]) return false;
  }
  return true;
}

/// states: how many the optimiser needs.
void check(const char* op, std::span<const UpdateTensors> tensors, int states, const Tensor& lr,
           const Tensor& unscale, Device device) {
  require_scalar(op, "lr", lr, DType::F32, device);
  if (unscale.defined()) require_scalar(op, "unscale", unscale, DType::F32, device);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [parameter, gradient, state1, state2, copy] = tensors[i];
    DLCUDA_CHECK(parameter.dtype == DType::F32 || (parameter.dtype == DType::F64 && device.is_cpu()),
                 DTypeError, "{}: parameter {} must be f32{}, got {}", op, i,
                 device.is_cpu() ? " or f64" : "", to_string(parameter.dtype));
    const auto require = [&](const char* name, const TensorView& x, bool dtype_fits,
                             const std::string& expected) {
      DLCUDA_CHECK(x.rank != 0 || x.data != nullptr, Error, "{}: parameter {} has no {}", op, i, name);
      DLCUDA_CHECK(dtype_fits, DTypeError, "{}: {} of parameter {} must be {}, got {}", op, name, i, expected,
                   to_string(x.dtype));
      DLCUDA_CHECK(x.numel() == parameter.numel(), ShapeError,
                   "{}: {} of parameter {} must have {} elements like it, got {}", op, name, i,
                   parameter.numel(), x.numel());
      DLCUDA_CHECK(lies_like(x, parameter), ShapeError,
                   "{}: {} of parameter {} lies in another memory format than it; convert one with "
                   "kernels::to_format",
                   op, name, i);
    };
    const auto is_low = [](DType dtype) { return dtype == DType::BF16 || dtype == DType::F16; };
    const std::string own(to_string(parameter.dtype));
    if (parameter.dtype == DType::F32) {
      require("gradient", gradient, gradient.dtype == DType::F32 || is_low(gradient.dtype),
              "f32, bf16 or f16");
    } else {
      require("gradient", gradient, gradient.dtype == parameter.dtype, own);
    }
    if (states > 0) require("state1", state1, state1.dtype == parameter.dtype, own);
    if (states > 1) require("state2", state2, state2.dtype == parameter.dtype, own);
    if (copy.data == nullptr) continue;
    require("copy", copy, is_low(copy.dtype) && copy.dtype == gradient.dtype,
            fmt::format("bf16 or f16 like its gradient, which is {}", to_string(gradient.dtype)));
  }
}

}  // namespace

void sgd_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr,
                const SgdParams& params, const Tensor& unscale) {
  check("sgd_update", tensors, params.momentum != 0 ? 1 : 0, lr, unscale, device);
  if (!tensors.empty())
    DLCUDA_DISPATCH_LOOPS(device, sgd_update, tensors, lr.raw(), optional_view(unscale), params);
}

void rmsprop_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr,
                    const RmsPropParams& params, const Tensor& unscale) {
  check("rmsprop_update", tensors, params.momentum != 0 ? 2 : 1, lr, unscale, device);
  if (!tensors.empty())
    DLCUDA_DISPATCH_LOOPS(device, rmsprop_update, tensors, lr.raw(), optional_view(unscale), params);
}

void adam_update(Device device, std::span<const UpdateTensors> tensors, const Tensor& lr, Tensor& step,
                 const AdamParams& params, const Tensor& unscale) {
  check("adam_update", tensors, 2, lr, unscale, device);
  require_scalar("adam_update", "step", step, DType::I64, device);
  DLCUDA_DISPATCH_LOOPS(device, adam_update, tensors, lr.raw(), step.raw(), optional_view(unscale), params);
  step.bump_version();
}

}  // namespace dlcuda::kernels
