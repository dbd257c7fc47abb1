// Checks that the public functions of all families share. Internal.
#pragma once

#include "dlcuda/core/check.h"
#include "dlcuda/core/tensor.h"

namespace dlcuda::kernels {

inline void require_defined(const char* op, const char* name, const Tensor& x) {
  DLCUDA_CHECK(x.defined(), Error, "{}: {} is undefined", op, name);
}

inline void require_floating(const char* op, const char* name, const Tensor& x) {
  require_defined(op, name, x);
  DLCUDA_CHECK(is_floating_point(x.dtype()), DTypeError,
               "{}: {} must be floating-point, got {}; cast it first", op, name, to_string(x.dtype()));
  DLCUDA_CHECK(!(x.device().is_cuda() && x.dtype() == DType::F64), DTypeError,
               "{}: {} is f64, which runs on the CPU only; cast it to f32, or move it with to(Device::cpu())",
               op, name);
}

inline void require_dtype(const char* op, const char* name, const Tensor& x, DType expected) {
  require_defined(op, name, x);
  DLCUDA_CHECK(x.dtype() == expected, DTypeError, "{}: {} must be {}, got {}; cast it first", op, name,
               to_string(expected), to_string(x.dtype()));
}

inline void require_device(const char* op, const char* name, const Tensor& x, Device expected) {
  require_defined(op, name, x);
  DLCUDA_CHECK(x.device() == expected, DeviceError, "{}: {} is on {}, expected {}; move it with to(device)",
               op, name, to_string(x.device()), to_string(expected));
}

inline void require_rank(const char* op, const char* name, const Tensor& x, int rank) {
  require_defined(op, name, x);
  DLCUDA_CHECK(x.rank() == rank, ShapeError, "{}: {} must have {} axes, got shape {}", op, name, rank,
               to_string(x.shape()));
}

inline void require_shape(const char* op, const char* name, const Tensor& x, const Shape& expected) {
  require_defined(op, name, x);
  DLCUDA_CHECK(x.shape() == expected, ShapeError, "{}: {} must have shape {}, got {}", op, name,
               to_string(expected), to_string(x.shape()));
}

inline void require_dense(const char* op, const char* name, const Tensor& x) {
  require_defined(op, name, x);
  DLCUDA_CHECK(x.is_dense(), ShapeError,
               "{}: {} of shape {} is a slice; take kernels::contiguous() of it first", op, name,
               to_string(x.shape()));
}

inline void require_contiguous(const char* op, const char* name, const Tensor& x) {
  require_defined(op, name, x);
  DLCUDA_CHECK(
      x.is_contiguous(), ShapeError,
      "{}: {} of shape {} must lie in N, C, H, W order, got {}; take kernels::contiguous() of it first", op,
      name, to_string(x.shape()), x.is_dense() ? to_string(x.format()) : "a slice");
}

/// Dense, and the same shape, dtype, device and memory layout as `like`.
inline void require_like(const char* op, const char* name, const Tensor& x, const char* like_name,
                         const Tensor& like) {
  require_shape(op, name, x, like.shape());
  require_dtype(op, name, x, like.dtype());
  require_device(op, name, x, like.device());
  require_dense(op, name, x);
  const bool same =
      (x.is_contiguous() && like.is_contiguous()) || (x.is_channels_last() && like.is_channels_last());
  DLCUDA_CHECK(same, ShapeError, "{}: {} is {} and {} is {}; convert one with kernels::to_format", op, name,
               to_string(x.format()), like_name, to_string(like.format()));
}

/// The view of a tensor that may be undefined: a null pointer then.
inline TensorView optional_view(const Tensor& x) { return x.defined() ? x.raw() : TensorView{}; }

}  // namespace dlcuda::kernels
