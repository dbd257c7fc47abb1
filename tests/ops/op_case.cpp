#include "dlcuda/tests/ops/op_case.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include "dlcuda/core/autograd.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

using nlohmann::json;

constexpr std::int64_t kSamples = 256;  // as in make_values.py

/// splitmix64's finaliser over a counter; table.py has the same.
std::uint64_t hash(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t z = ((seed << 32) + i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

Shape shape_of(const json& spec) {
  const std::vector<std::int64_t> extents = spec.at("shape");
  return Shape(std::span<const std::int64_t>(extents));
}

double number(const json& value) {
  if (!value.is_string()) return value;
  const std::string text = value;
  const double size = text.ends_with("nan") ? std::numeric_limits<double>::quiet_NaN()
                                            : std::numeric_limits<double>::infinity();
  return text.starts_with("-") ? -size : size;
}

std::vector<double> numbers(const json& spec, Fill fill) {
  const std::int64_t count = shape_of(spec).numel();
  std::vector<double> result(static_cast<std::size_t>(count));
  if (spec.contains("values")) {
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = number(spec["values"].at(i));
    return result;
  }
  const std::int64_t low = spec.at("low"), high = spec.at("high");
  const std::uint64_t seed = spec.at("seed"), span = static_cast<std::uint64_t>(high - low + 1);
  const double step = spec.at("step");
  const bool shift = fill == Fill::Smooth && !spec.value("exact", false);
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = static_cast<double>(static_cast<std::int64_t>(hash(seed, i) % span) + low) * step;
    if (shift) result[i] += step * 0.8 * (static_cast<double>(hash(seed + 1, i) >> 11) * 0x1p-53 - 0.5);
  }
  return result;
}

DType dtype_of_spec(const json& spec, DType variant) {
  const std::string dtype = spec.at("dtype");
  if (dtype == "float") return variant;
  if (dtype == "stat") return variant == DType::F64 ? DType::F64 : DType::F32;
  if (dtype == "i64") return DType::I64;
  if (dtype == "i32") return DType::I32;
  if (dtype == "u8") return DType::U8;
  if (dtype == "bool") return DType::Bool;
  throw std::runtime_error("a case of the table has an input of dtype " + dtype);
}

Tensor generate(const json& spec, const Variant& variant, Fill fill) {
  if (spec.is_null()) return {};
  Tensor x = kernels::cast(Tensor::from_values(numbers(spec, fill), shape_of(spec)),
                           dtype_of_spec(spec, variant.dtype));
  if (spec.value("image", false)) x = kernels::to_format(x, variant.format);
  return x.to(variant.device);
}

json upstream_spec(const Shape& shape, std::size_t j) {
  return {{"shape", std::vector<std::int64_t>(shape.extents().begin(), shape.extents().end())},
          {"low", -16},
          {"high", 16},
          {"step", 0.125},
          {"seed", 1000 + j},
          {"dtype", "float"}};
}

struct Stored {
  std::vector<OpCase> cases;
  std::map<std::string, SafetensorsFile> files;           ///< by path
  std::map<std::string, const SafetensorsFile*> file_of;  ///< by case
};

const Stored& stored() {
  static const Stored all = [] {
    Stored result;
    const char* family = std::getenv("DLCUDA_OPS_FAMILY");
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(DLCUDA_SOURCE_DIR "/tests/ops/values")) {
      if (!family || entry.path().stem() == family) paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
      const SafetensorsFile& file =
          result.files.emplace(path.string(), SafetensorsFile(path.string())).first->second;
      for (const auto& [name, description] : file.metadata()) {
        result.cases.emplace_back(name, description);
        result.file_of[name] = &file;
      }
    }
    return result;
  }();
  return all;
}

}  // namespace

OpCase::OpCase(std::string name, const std::string& description)
    : name_(std::move(name)), description_(json::parse(description)) {}

bool OpCase::supports(DType dtype) const {
  const std::vector<std::string> all = description_.at("dtypes");
  return std::find(all.begin(), all.end(), to_string(dtype)) != all.end();
}

bool OpCase::has_images() const {
  const json& all = description_.at("inputs");
  return std::any_of(all.begin(), all.end(),
                     [](const json& spec) { return !spec.is_null() && spec.value("image", false); });
}

bool OpCase::checks_numeric_gradient() const {
  return description_.at("numeric").get<bool>() && !gradient_inputs().empty() && supports(DType::F64);
}

Inputs OpCase::inputs(const Variant& variant, Fill fill) const {
  Inputs result;
  for (const json& spec : description_.at("inputs")) result.push_back(generate(spec, variant, fill));
  return result;
}

Inputs OpCase::read_inputs(const SafetensorsFile& file, Device device) const {
  const bool channels_last = description_.value("channels_last", false);
  const MemoryFormat format = channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
  Inputs result;
  for (const json& spec : description_.at("inputs")) {
    if (spec.is_null()) {
      result.emplace_back();
      continue;
    }
    Tensor x = file.tensor(name_ + "/in" + std::to_string(result.size()));
    if (spec.value("image", false)) x = kernels::to_format(x, format);
    result.push_back(x.to(device));
  }
  return result;
}

Outputs OpCase::run(const Inputs& inputs) const {
  const auto found = all_ops().find(op());
  if (found == all_ops().end()) throw std::runtime_error(op() + " is not in the C++ table");
  return found->second(inputs, Params(description_.at("params")));
}

Tensor OpCase::upstream(std::size_t j, const Tensor& y) const {
  if (!description_.at("outputs").at(j).at("upstream").get<bool>()) return {};
  const Tensor dy =
      generate(upstream_spec(y.shape(), j), {Device::cpu(), y.dtype(), y.format()}, Fill::Exact);
  return kernels::to_format(dy, y.format()).to(y.device());
}

Evaluation OpCase::evaluate(const Inputs& given) const {
  // Leaves of their own, so that the same inputs can be evaluated again.
  Inputs leaves;
  for (const Tensor& x : given) leaves.push_back(x.defined() ? x.detach() : x);
  for (const int i : gradient_inputs()) leaves[static_cast<std::size_t>(i)].set_requires_grad();

  Evaluation result{run(leaves), {}};
  Tensor total;  // its value means nothing: its gradients are the upstream gradients
  for (std::size_t j = 0; j < result.outputs.size(); ++j) {
    const Tensor& y = result.outputs[j];
    const Tensor dy = upstream(j, y);
    if (!dy.defined()) continue;
    const Tensor scalar = Tensor::zeros(Shape{}, DType::F32, y.device());
    total = autograd::record("upstream", scalar, {total, y}, [dy](const autograd::BackwardContext& context) {
      return std::vector{context.needs(0) ? context.grad : Tensor{}, dy};
    });
  }
  if (total.defined()) total.backward();
  for (const int i : gradient_inputs()) {
    result.gradients.resize(given.size());
    result.gradients[static_cast<std::size_t>(i)] = leaves[static_cast<std::size_t>(i)].grad();
  }
  for (Tensor& y : result.outputs) y = y.detach();
  return result;
}

const std::vector<OpCase>& stored_cases() { return stored().cases; }

Tensor stored_values(const OpCase& c, const std::string& key) {
  return stored().file_of.at(c.name())->tensor(c.name() + "/" + key);
}

std::vector<double> stored_elements(const std::vector<double>& x) {
  const auto n = static_cast<std::int64_t>(x.size());
  if (n <= kSamples) return x;
  std::vector<double> result;
  for (std::int64_t i = 0; i < kSamples; ++i) {
    result.push_back(x[static_cast<std::size_t>(i * (n - 1) / (kSamples - 1))]);
  }
  return result;
}

double allowed_error(DType dtype, double slack, double expected, double largest) {
  if (!is_floating_point(dtype)) return 0;
  const Tolerance t = tolerance(dtype);
  return t.absolute + t.relative * (std::abs(expected) + slack * largest);
}

}  // namespace dlcuda::testing
