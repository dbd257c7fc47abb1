// Parameters after each step against PyTorch's; tests/reference/optim.py wrote the values.
#include "dlcuda/tests/support/reference_json.h"

#include <gtest/gtest.h>

#include <map>

#include "dlcuda/layers/functional.h"
#include "dlcuda/optim/optimizer.h"

namespace dlcuda {
namespace {

namespace F = functional;
using nlohmann::json;
using Factory = std::unique_ptr<Optimizer> (*)(const NamedTensors&);

const std::map<std::string, Factory> kOptimizers{
    {"sgd", [](const NamedTensors& p) { return make_optimizer("sgd", p, 0.1); }},
    {"sgd_weight_decay",
     [](const NamedTensors& p) -> std::unique_ptr<Optimizer> {
       return std::make_unique<Sgd>(p, 0.1, kernels::SgdParams{.weight_decay = 0.01});
     }},
    {"momentum", [](const NamedTensors& p) { return make_optimizer("momentum", p, 0.1); }},
    {"nesterov",
     [](const NamedTensors& p) -> std::unique_ptr<Optimizer> {
       return std::make_unique<Sgd>(
           p, 0.1, kernels::SgdParams{.momentum = 0.9, .weight_decay = 0.01, .nesterov = true});
     }},
    {"adam", [](const NamedTensors& p) { return make_optimizer("adam", p, 0.05); }},
    {"adam_weight_decay",
     [](const NamedTensors& p) -> std::unique_ptr<Optimizer> {
       return std::make_unique<Adam>(
           p, 0.05, kernels::AdamParams{.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.02});
     }},
};

Tensor stored_tensor(const json& shape, const json& values, DType dtype) {
  return reference_tensor({{"shape", shape}, {"values", values}}, dtype);
}

void check_case(const json& stored, const std::string& name, DType dtype) {
  SCOPED_TRACE(name + " " + to_string(dtype));
  NamedTensors parameters;
  for (std::size_t i = 0; i < stored["shapes"].size(); ++i) {
    Tensor parameter = stored_tensor(stored["shapes"][i], stored["start"][i], dtype);
    parameters.emplace_back(std::to_string(i), parameter.set_requires_grad());
  }
  const auto optimizer = kOptimizers.at(name)(parameters);
  const json& after = stored["cases"][name];
  ASSERT_EQ(after.size(), 5u);
  for (std::size_t step = 0; step < after.size(); ++step) {
    auto mode = GradientMode::Overwrite;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      // The gradient of sum(parameter * constant) is the constant.
      const Tensor gradient = stored_tensor(stored["shapes"][i], stored["gradients"][step][i], dtype);
      F::reduce(F::multiply(parameters[i].second, gradient), F::Reduction::Sum).backward(mode);
      mode = GradientMode::Accumulate;
    }
    optimizer->step();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      expect_near(parameters[i].second, after[step][i],
                  "parameter " + std::to_string(i) + " after step " + std::to_string(step + 1));
    }
  }
}

TEST(OptimizerReference, EveryStepOfEveryKind) {
  const json stored = reference("optim");
  ASSERT_EQ(stored["cases"].size(), kOptimizers.size());
  for (const auto& [name, factory] : kOptimizers) {
    check_case(stored, name, DType::F32);
    check_case(stored, name, DType::F64);
  }
}

}  // namespace
}  // namespace dlcuda
