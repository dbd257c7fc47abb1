#include "dlcuda/tests/support/reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "dlcuda/core/safetensors.h"
#include "dlcuda/kernels/copy.h"

namespace dlcuda::testing {
namespace {

const SafetensorsFile& file() {
  static const SafetensorsFile stored(DLCUDA_SOURCE_DIR "/tests/reference/kernels.safetensors");
  return stored;
}

/// "a=1,2;b=3" -> the text of one parameter; empty if it is not there.
std::string find(const std::string& all, const std::string& parameter) {
  std::istringstream stream(all);
  for (std::string entry; std::getline(stream, entry, ';');) {
    if (entry.starts_with(parameter + "=")) return entry.substr(parameter.size() + 1);
  }
  return {};
}

}  // namespace

bool ReferenceCase::has(const std::string& key) const { return file().contains(name_ + "/" + key); }

Tensor ReferenceCase::tensor(const std::string& key) const { return file().tensor(name_ + "/" + key); }

Tensor ReferenceCase::tensor(const std::string& key, const Variant& variant) const {
  Tensor x = kernels::cast(tensor(key), variant.dtype);
  if (x.rank() == 4) x = kernels::to_format(x, variant.format);
  return x.to(variant.device);
}

bool ReferenceCase::has_parameter(const std::string& parameter) const {
  return !find(file().metadata().at(name_), parameter).empty();
}

std::vector<double> ReferenceCase::values(const std::string& parameter) const {
  std::istringstream stream(find(file().metadata().at(name_), parameter));
  std::vector<double> result;
  for (std::string value; std::getline(stream, value, ',');) result.push_back(std::stod(value));
  EXPECT_FALSE(result.empty()) << name_ << " has no parameter " << parameter;
  return result;
}

double ReferenceCase::value(const std::string& parameter, double otherwise) const {
  const auto all = values(parameter);
  return all.empty() ? otherwise : all.front();
}

std::vector<ReferenceCase> reference_cases(const std::string& op) {
  std::vector<ReferenceCase> cases;
  for (const auto& [name, parameters] : file().metadata()) {
    if (name.starts_with(op + "/")) cases.emplace_back(name);
  }
  EXPECT_FALSE(cases.empty()) << "no stored cases of " << op;
  return cases;
}

Tolerance tolerance(DType dtype) {
  switch (dtype) {
    case DType::F64:
      return {1e-7, 1e-7};
    case DType::F16:
      return {1e-3, 1e-5};
    case DType::BF16:
      return {1.6e-2, 1e-5};
    default:
      return {1.3e-6, 1e-5};
  }
}

std::vector<double> as_doubles(const Tensor& x) {
  return kernels::cast(x.to(Device::cpu()).detach(), DType::F64).values<double>();
}

void expect_close(const Tensor& actual, const Tensor& expected, double widen) {
  const Tolerance t = tolerance(actual.dtype());
  expect_close(actual, expected, Tolerance{t.relative * widen, t.absolute * widen});
}

void expect_close(const Tensor& actual, const Tensor& expected, const Tolerance& allowed) {
  ASSERT_EQ(actual.shape(), expected.shape())
      << to_string(actual.shape()) << " and " << to_string(expected.shape());
  const auto a = as_doubles(actual), e = as_doubles(expected);
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool same = a[i] == e[i] || (std::isnan(a[i]) && std::isnan(e[i])) ||
                      std::abs(a[i] - e[i]) <= allowed.absolute + allowed.relative * std::abs(e[i]);
    if (!same && wrong++ == 0) first = i;
  }
  EXPECT_EQ(wrong, 0u) << wrong << " of " << a.size() << " elements differ; the first, " << first << ": got "
                       << a[first] << ", expected " << e[first];
}

}  // namespace dlcuda::testing
