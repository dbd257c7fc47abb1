// Outputs and gradients against PyTorch's; tests/reference/functional.py wrote the values.
#include "dlcuda/tests/support/reference_json.h"

#include <gtest/gtest.h>

#include <map>

#include "dlcuda/layers/functional.h"

namespace dlcuda {
namespace {

namespace F = functional;
using nlohmann::json;
using Inputs = std::vector<Tensor>;

template <std::size_t N>
void take(const json& options, const char* name, std::array<std::int64_t, N>& into) {
  if (options.contains(name)) into = options[name].get<std::array<std::int64_t, N>>();
}

F::Conv2dParams conv_params(const json& options) {
  F::Conv2dParams params;
  take(options, "stride", params.stride);
  take(options, "padding", params.padding);
  take(options, "dilation", params.dilation);
  params.groups = options.value("groups", params.groups);
  return params;
}

F::Pool2dParams pool_params(const json& options) {
  F::Pool2dParams params;
  take(options, "kernel", params.kernel);
  take(options, "stride", params.stride);
  take(options, "padding", params.padding);
  params.count_include_pad = options.value("count_include_pad", true);
  return params;
}

std::optional<int> axis_of(const json& options) {
  return options.contains("axis") ? std::optional(options["axis"].get<int>()) : std::nullopt;
}

Tensor labels_of(const json& options) {
  const auto labels = options["labels"].get<std::vector<std::int64_t>>();
  return Tensor::from_values(labels, {std::int64_t(labels.size())});
}

using Function = Tensor (*)(const Inputs&, const json&);

const std::map<std::string, Function> kFunctions{
    {"conv2d",
     [](const Inputs& in, const json& o) { return F::conv2d(in[0], in[1], in[2], conv_params(o)); }},
    {"linear", [](const Inputs& in, const json&) { return F::linear(in[0], in[1], in[2]); }},
    {"matmul", [](const Inputs& in, const json&) { return F::matmul(in[0], in[1]); }},
    {"sigmoid", [](const Inputs& in, const json&) { return F::sigmoid(in[0]); }},
    {"tanh", [](const Inputs& in, const json&) { return F::tanh(in[0]); }},
    {"relu", [](const Inputs& in, const json&) { return F::relu(in[0]); }},
    {"leaky_relu",
     [](const Inputs& in, const json& o) { return F::leaky_relu(in[0], o["slope"].get<float>()); }},
    {"avg_pool2d", [](const Inputs& in, const json& o) { return F::avg_pool2d(in[0], pool_params(o)); }},
    {"max_pool2d", [](const Inputs& in, const json& o) { return F::max_pool2d(in[0], pool_params(o)); }},
    {"softmax", [](const Inputs& in, const json&) { return F::softmax(in[0]); }},
    {"cross_entropy", [](const Inputs& in, const json& o) { return F::cross_entropy(in[0], labels_of(o)); }},
    {"sum", [](const Inputs& in, const json& o) { return F::reduce(in[0], F::Reduction::Sum, axis_of(o)); }},
    {"mean",
     [](const Inputs& in, const json& o) { return F::reduce(in[0], F::Reduction::Mean, axis_of(o)); }},
};

void check_case(const json& described, DType dtype, MemoryFormat format) {
  const std::string op = described["op"];
  SCOPED_TRACE(op + " " + described["options"].dump() + " " + to_string(dtype) + " " + to_string(format));
  Inputs inputs;
  for (const json& input : described["inputs"]) inputs.push_back(reference_tensor(input, dtype));
  if (inputs[0].rank() == 4) inputs[0] = kernels::to_format(inputs[0], format);
  for (Tensor& input : inputs) input.set_requires_grad();

  const Tensor output = kFunctions.at(op)(inputs, described["options"]);
  EXPECT_EQ(output.shape(), reference_tensor(described["output"], dtype).shape());
  expect_near(output, described["output"]["values"], "output");

  const Tensor grad = reference_tensor(described["grad"], dtype);
  F::reduce(F::multiply(F::contiguous(output), grad), F::Reduction::Sum).backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    expect_near(inputs[i].grad(), described["gradients"][i]["values"], "gradient " + std::to_string(i));
  }
}

TEST(Reference, FunctionsAndTheirGradients) {
  const json stored = reference("functional");
  ASSERT_GE(stored["cases"].size(), 20u);
  for (const json& described : stored["cases"]) {
    for (const DType dtype : {DType::F32, DType::F64}) {
      for (const auto format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        check_case(described, dtype, format);
      }
    }
  }
}

}  // namespace
}  // namespace dlcuda
