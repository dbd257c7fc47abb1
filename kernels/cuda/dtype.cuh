// From a run-time DType to a template argument, once in each launcher.
#pragma once

#include "dlcuda/core/dtype.h"
#include "dlcuda/core/error.h"

namespace dlcuda::kernels::cuda {

/// Throws DTypeError. Without fmt: nvcc cannot evaluate the compile-time check of its format strings.
[[noreturn]] inline void refuse_dtype(const char* operation, const char* expected, DType got) {
  throw DTypeError(std::string(operation) + " on CUDA takes " + expected + ", got " + to_string(got) +
                   ": cast the tensor or use the CPU");
}

/// visitor.operator()<T>() for the floating-point types that CUDA kernels compute in. f64 is the CPU
/// reference's.
template <typename Visitor>
void visit_float(const char* operation, DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::F32:
      return visitor.template operator()<float>();
    case DType::F16:
      return visitor.template operator()<Half>();
    case DType::BF16:
      return visitor.template operator()<BFloat16>();
    default:
      refuse_dtype(operation, "f32, f16 or bf16", dtype);
  }
}

/// The same for all element types.
template <typename Visitor>
void visit_any(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::F32:
      return visitor.template operator()<float>();
    case DType::F64:
      return visitor.template operator()<double>();
    case DType::F16:
      return visitor.template operator()<Half>();
    case DType::BF16:
      return visitor.template operator()<BFloat16>();
    case DType::I32:
      return visitor.template operator()<std::int32_t>();
    case DType::I64:
      return visitor.template operator()<std::int64_t>();
    case DType::U8:
      return visitor.template operator()<std::uint8_t>();
    case DType::Bool:
      return visitor.template operator()<bool>();
  }
}

}  // namespace dlcuda::kernels::cuda
