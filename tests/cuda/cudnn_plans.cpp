// cudnn_plans PROPERTIES CONVOLUTIONS: whether cuDNN has an engine for every convolution of the zoo, on a GPU
// that need not be there. PROPERTIES: a device as cuDNN describes it (dump_cudnn_properties writes such a
// file). CONVOLUTIONS: what the models ask for (launch_counts --convolutions).
//
// Exit codes: 0 all have one; 1 some have none; 77 cuDNN is missing or too old to plan without a device.
#include <fmt/core.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/cuda/cudnn_conv2d_graph.h"

namespace dlcuda::kernels::cuda {
namespace {

using Json = nlohmann::json;
namespace fe = cudnn_frontend;

constexpr int kSkipped = 77;

std::string text_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  DLCUDA_CHECK(file.good(), IoError, "{} could not be read", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Shape shape_of(const Json& extents) { return Shape(extents.get<std::vector<std::int64_t>>()); }

ConvolutionPass pass_of(const std::string& name) {
  if (name.ends_with("backward_data")) return ConvolutionPass::BackwardData;
  if (name.ends_with("backward_weight")) return ConvolutionPass::BackwardWeight;
  return ConvolutionPass::Forward;
}

ConvolutionProblem problem_of(const Json& one, DType dtype) {
  return {.pass = pass_of(one.at("pass")),
          .x = shape_of(one.at("x")),
          .weight = shape_of(one.at("weight")),
          .y = shape_of(one.at("y")),
          .format = one.at("channels_last") ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous,
          .dtype = dtype,
          .params = {.stride = one.at("stride"),
                     .padding = one.at("padding"),
                     .dilation = one.at("dilation"),
                     .groups = one.at("groups")},
          .bias = false,
          .activation = {.kind = Activation::Identity},
          .x_norm = one.at("x_norm"),
          .y_totals = one.at("y_totals"),
          .tf32 = true,
          .deterministic = false,
          .device = Device::cuda()};
}

/// Empty, or why there is none.
std::string missing_engine(const ConvolutionProblem& problem, const Planner& planner) {
  try {
    ConvolutionGraph graph(problem, false, planner);
    for (std::size_t i = 0; i < graph.engines().size(); ++i) {
      if (graph.build(static_cast<std::int64_t>(i))) return {};
    }
    return graph.engines().empty() ? "no engine" : graph.why();
  } catch (const DeviceError& error) {
    return error.what();
  }
}

int run(const char* properties_path, const char* convolutions_path) {
  try {
    open_cudnn();
  } catch (const DeviceError& error) {
    fmt::print("skipped: {}\n", error.what());
    return kSkipped;
  }
  if (fe::detail::get_backend_version() < 90800) {
    fmt::print("skipped: cuDNN {} cannot plan without a device\n", fe::detail::get_backend_version_string());
    return kSkipped;
  }
  const auto properties = std::make_shared<fe::DeviceProperties>();
  const std::string text = text_of(properties_path);
  check_cudnn(properties->deserialize({text.begin(), text.end()}), properties_path);
  const Planner planner{.handle = nullptr, .properties = properties};

  int planned = 0, missing = 0;
  for (const Json& one : Json::parse(text_of(convolutions_path))) {
    const bool fused = one.at("x_norm") || one.at("y_totals");
    for (const DType dtype : {DType::F16, DType::BF16, DType::F32}) {
      if (fused && dtype != DType::F16) continue;  // cuDNN fuses these in f16 only
      const ConvolutionProblem problem = problem_of(one, dtype);
      const std::string why = missing_engine(problem, planner);
      ++planned;
      if (why.empty()) continue;
      ++missing;
      fmt::print("no engine for {} (in {}): {}\n", problem.describe(), one.at("models").dump(),
                 why.substr(0, 300));
    }
  }
  fmt::print("cuDNN {}, {}: {} of {} convolutions have an engine\n", fe::detail::get_backend_version_string(),
             Json::parse(text).value("deviceName", "?"), planned - missing, planned);
  return missing == 0 ? 0 : 1;
}

}  // namespace
}  // namespace dlcuda::kernels::cuda

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: cudnn_plans PROPERTIES CONVOLUTIONS\n");
    return 2;
  }
  try {
    return dlcuda::kernels::cuda::run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
