#include "dlcuda/core/dtype.h"

#include <array>
#include <utility>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

constexpr std::array<std::pair<DType, std::string_view>, 8> kNames{{{DType::F32, "f32"},
                                                                    {DType::F64, "f64"},
                                                                    {DType::F16, "f16"},
                                                                    {DType::BF16, "bf16"},
                                                                    {DType::I32, "i32"},
                                                                    {DType::I64, "i64"},
                                                                    {DType::U8, "u8"},
                                                                    {DType::Bool, "bool"}}};

}  // namespace

std::string to_string(DType dtype) {
  for (const auto& [value, name] : kNames) {
    if (value == dtype) return std::string(name);
  }
  return "dtype " + std::to_string(int(dtype));
}

DType parse_dtype(std::string_view text) {
  for (const auto& [value, name] : kNames) {
    if (name == text) return value;
  }
  DLCUDA_THROW(ArgumentError, "unknown dtype '{}': expected one of f32, f64, f16, bf16, i32, i64, u8, bool",
               text);
}

}  // namespace dlcuda
