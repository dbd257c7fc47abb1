// The table of operations, C++ side: what each is called here, and what it refuses. README.md tells how the
// pieces fit.
#pragma once

#include <array>
#include <functional>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dlcuda/core/device.h"
#include "dlcuda/core/tensor.h"

namespace dlcuda::testing {

using Inputs = std::vector<Tensor>;  ///< undefined where the case leaves one out
using Outputs = std::vector<Tensor>;

/// The parameters of a case by name. A missing one without a default fails the test, by an exception.
class Params {
 public:
  explicit Params(nlohmann::json values) : values_(std::move(values)) {}
  bool has(const std::string& name) const { return values_.contains(name) && !values_[name].is_null(); }
  template <typename T>
  T get(const std::string& name) const {
    return values_.at(name).get<T>();
  }
  template <typename T>
  T get(const std::string& name, const T& otherwise) const {
    return has(name) ? get<T>(name) : otherwise;
  }
  std::int64_t integer(const std::string& name) const { return get<std::int64_t>(name); }
  double number(const std::string& name) const { return get<double>(name); }
  bool flag(const std::string& name) const { return get<bool>(name); }
  std::string text(const std::string& name) const { return get<std::string>(name); }
  std::vector<std::int64_t> integers(const std::string& name) const {
    return get<std::vector<std::int64_t>>(name);
  }
  /// "stride": [2, 1] as the array that a parameter struct has.
  template <std::size_t N>
  std::array<std::int64_t, N> array(const std::string& name) const {
    return get<std::array<std::int64_t, N>>(name);
  }

 private:
  nlohmann::json values_;
};

using OpFunction = std::function<Outputs(const Inputs&, const Params&)>;

/// `const Op kAdd("add", [](const Inputs& in, const Params&) { return Outputs{functional::add(in[0], in[1])};
/// });` at namespace scope enters an operation into the table.
class Op {
 public:
  Op(std::string name, OpFunction run);
};
const std::map<std::string, OpFunction>& all_ops();

/// What an operation must refuse. Each operation has a case of each aspect, or says that anything goes.
enum class Aspect { Rank, Shape, DType, Device, Argument };
std::string to_string(Aspect aspect);

struct ErrorCase {
  Aspect aspect;
  /// Called with each device; for Aspect::Device only with a CUDA device, so that "another device" is the
  /// CPU. Empty: no value of this aspect is wrong (`why` says so in the table).
  std::function<void(Device)> call;
  std::string message;  ///< the whole message
};
inline ErrorCase anything_goes(Aspect aspect, std::string why) { return {aspect, {}, std::move(why)}; }

class OpErrors {
 public:
  OpErrors(std::string op, std::initializer_list<ErrorCase> cases);
};
const std::map<std::string, std::vector<ErrorCase>>& all_errors();

/// What error cases are fed with.
inline Tensor zeros(const Shape& shape, Device device, DType dtype = DType::F32) {
  return Tensor::zeros(shape, dtype, device);
}

}  // namespace dlcuda::testing
