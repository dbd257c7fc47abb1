// safetensors_exchange write FILE: writes the tensors that safetensors_check.py knows.
// safetensors_exchange check FILE: exits 0 if FILE, written by Python, holds exactly them.
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/safetensors.h"
#include "dlcuda/tests/support/tensor_bytes.h"

namespace dlcuda {
namespace {

/// Element i in logical order; exact in every dtype.
template <typename T>
T element(std::int64_t i) {
  const auto n = (i * 7 + 3) % 11;
  if constexpr (std::is_same_v<T, bool>) return n % 3 == 0;
  if constexpr (std::is_same_v<T, std::uint8_t>) return std::uint8_t(n * 20);
  if constexpr (std::is_integral_v<T>) return T((n - 5) * 100'000'000);
  if constexpr (std::is_same_v<T, double>) return double(n - 5) / 4 + 0x1p-50;
  if constexpr (is_floating_point(dtype_of<T>)) return T(float(n - 5) / 4);
}

template <typename T>
Tensor pattern(const Shape& shape, MemoryFormat format = MemoryFormat::Contiguous) {
  const Tensor tensor = Tensor::empty(shape, dtype_of<T>, Device::cpu(), format);
  const Strides& strides = tensor.strides();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    std::int64_t rest = i, position = 0;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      position += rest % shape[axis] * strides[axis];
      rest /= shape[axis];
    }
    tensor.data<T>()[position] = element<T>(i);
  }
  return tensor;
}

std::vector<std::pair<std::string, Tensor>> known_tensors() {
  return {{"f32", pattern<float>(Shape{2, 3})},
          {"bool", pattern<bool>(Shape{7})},
          {"f16", pattern<Half>(Shape{3, 5})},
          {"bf16", pattern<BFloat16>(Shape{3, 1})},
          {"f64", pattern<double>(Shape{4})},
          {"i32", pattern<std::int32_t>(Shape{2, 2, 2})},
          {"i64", pattern<std::int64_t>(Shape{5})},
          {"u8", pattern<std::uint8_t>(Shape{3})},
          {"scalar", pattern<float>(Shape{})},
          {"empty", pattern<float>(Shape{2, 0, 3})},
          {"channels_last", pattern<float>(Shape{2, 3, 4, 5}, MemoryFormat::ChannelsLast)},
          {"\xc3\xbc \"quoted\"\n", pattern<float>(Shape{1})}};
}

std::map<std::string, std::string> known_metadata() { return {{"format", "pt"}, {"note", "\xc3\xbc \"\n"}}; }

/// What is wrong with the file; empty when nothing is.
std::string difference(const SafetensorsFile& file) {
  const auto known = known_tensors();
  if (file.names().size() != known.size()) return "number of tensors";
  if (file.metadata() != known_metadata()) return "metadata";
  for (const auto& [name, expected] : known) {
    if (file.dtype(name) != expected.dtype()) return name + ": dtype " + to_string(file.dtype(name));
    if (file.shape(name) != expected.shape()) return name + ": shape " + to_string(file.shape(name));
    if (bytes_of(file.tensor(name)) != bytes_of(expected)) return name + ": values";
  }
  return "";
}

int run(std::string_view command, const char* path) {
  if (command == "write") {
    save_safetensors(path, known_tensors(), known_metadata());
    return 0;
  }
  const std::string wrong = difference(SafetensorsFile(path));
  if (wrong.empty()) return 0;
  std::cerr << path << ": differs from what is known: " << wrong << "\n";
  return 1;
}

}  // namespace
}  // namespace dlcuda

int main(int count, char** arguments) {
  const std::string_view command = count == 3 ? arguments[1] : "";
  if (command != "write" && command != "check") {
    std::cerr << "usage: safetensors_exchange write|check FILE\n";
    return 2;
  }
  try {
    return dlcuda::run(command, arguments[2]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
