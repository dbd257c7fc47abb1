// The cases of the table: inputs made from their descriptions, an operation run on them, its gradients.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dlcuda/core/safetensors.h"
#include "dlcuda/tests/ops/op.h"
#include "dlcuda/tests/support/devices.h"

namespace dlcuda::testing {

/// How the numbers of an input are made. `Exact`: what table.py makes, held by every dtype. `Smooth`: each
/// shifted a little, so that no two are alike and none is on a kink.
enum class Fill { Exact, Smooth };

/// Outputs and gradients, by position; a gradient that does not exist is undefined.
struct Evaluation {
  Outputs outputs;
  std::vector<Tensor> gradients;
};

class OpCase {
 public:
  /// From the JSON text that make_values.py or the live comparison wrote.
  OpCase(std::string name, const std::string& description);

  const std::string& name() const { return name_; }  ///< "conv2d/3"
  std::string op() const { return description_.at("op"); }
  bool supports(DType dtype) const;
  bool has_images() const;  ///< takes channels-last
  double slack() const { return description_.at("slack"); }
  bool checks_numeric_gradient() const;
  std::vector<int> gradient_inputs() const { return description_.at("gradients"); }
  std::size_t outputs() const { return description_.at("outputs").size(); }

  Inputs inputs(const Variant& variant, Fill fill = Fill::Exact) const;
  /// The inputs that a file holds as "name/in0", ...; images channels-last if the description says so.
  Inputs read_inputs(const SafetensorsFile& file, Device device) const;
  /// The operation on these inputs; differentiates by those that the description names.
  Evaluation evaluate(const Inputs& inputs) const;
  Outputs run(const Inputs& inputs) const;
  /// The gradient that reaches output j, with y's shape, dtype, format and device; undefined if none does.
  Tensor upstream(std::size_t j, const Tensor& y) const;

 private:
  std::string name_;
  nlohmann::json description_;
};

/// All cases in tests/ops/values, or those of one file there (DLCUDA_OPS_FAMILY names it).
const std::vector<OpCase>& stored_cases();
/// "out0" or "grad2" of a stored case: f64 or i64, at most 256 elements.
Tensor stored_values(const OpCase& c, const std::string& key);
/// The elements of x that are stored of it: all, or 256 of them evenly spread.
std::vector<double> stored_elements(const std::vector<double>& x);

/// How far a value may be from the right one.
double allowed_error(DType dtype, double slack, double expected, double largest);

}  // namespace dlcuda::testing
