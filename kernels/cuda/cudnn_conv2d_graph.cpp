#include "dlcuda/kernels/cuda/cudnn_conv2d_graph.h"

#include <bit>
#include <optional>
#include <unordered_map>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/launch.cuh"

namespace dlcuda::kernels::cuda {
namespace {

namespace fe = cudnn_frontend;

enum Uid : std::int64_t { kX = 1, kWeight, kBias, kY };  // of the graphs' tensors

fe::DataType_t cudnn_type(const ConvolutionProblem& problem) {
  switch (problem.dtype) {
    case DType::F32:
      return fe::DataType_t::FLOAT;
    case DType::F16:
      return fe::DataType_t::HALF;
    case DType::BF16:
      return fe::DataType_t::BFLOAT16;
    default:
      DLCUDA_THROW(DTypeError, "{} on CUDA takes f32, f16 or bf16, got {}: cast the tensors or use the CPU",
                   problem.name(), to_string(problem.dtype));
  }
}

template <typename Attributes>
Attributes convolution_attributes(const Conv2dParams& params) {
  const auto& [top, left, bottom, right] = params.padding;
  return Attributes()
      .set_pre_padding({top, left})
      .set_post_padding({bottom, right})
      .set_stride({params.stride[0], params.stride[1]})
      .set_dilation({params.dilation[0], params.dilation[1]});
}

/// How a graph says it; undefined for activations that it cannot say.
std::optional<fe::graph::Pointwise_attributes> pointwise_of(const ActivationParams& activation) {
  fe::graph::Pointwise_attributes attributes;
  switch (activation.kind) {
    case Activation::Relu:
      return attributes.set_mode(fe::PointwiseMode_t::RELU_FWD);
    case Activation::Relu6:
      return attributes.set_mode(fe::PointwiseMode_t::RELU_FWD).set_relu_upper_clip(6.0f);
    case Activation::LeakyRelu:
      return attributes.set_mode(fe::PointwiseMode_t::RELU_FWD).set_relu_lower_clip_slope(activation.slope);
    case Activation::Tanh:
      return attributes.set_mode(fe::PointwiseMode_t::TANH_FWD);
    case Activation::Sigmoid:
      return attributes.set_mode(fe::PointwiseMode_t::SIGMOID_FWD);
    default:
      return std::nullopt;
  }
}

void describe(fe::graph::Graph& graph, const ConvolutionProblem& problem, bool with_epilogue) {
  const auto layout = [&](fe::graph::Tensor_attributes& tensor, const Shape& shape, Uid uid) {
    const Strides strides = dense_strides(shape, problem.format);
    const auto extents = shape.extents();
    tensor.set_uid(uid)
        .set_dim({extents.begin(), extents.end()})
        .set_stride({strides.begin(), strides.begin() + shape.rank()})
        .set_data_type(cudnn_type(problem));
  };
  const auto input = [&](const Shape& shape, Uid uid) {
    fe::graph::Tensor_attributes tensor;
    layout(tensor, shape, uid);
    return graph.tensor(tensor);
  };
  const auto output = [&](const std::shared_ptr<fe::graph::Tensor_attributes>& tensor, const Shape& shape,
                          Uid uid) {
    layout(*tensor, shape, uid);
    tensor->set_output(true);
  };
  const Conv2dParams& params = problem.params;
  switch (problem.pass) {
    case ConvolutionPass::Forward: {
      auto y = graph.conv_fprop(input(problem.x, kX), input(problem.weight, kWeight),
                                convolution_attributes<fe::graph::Conv_fprop_attributes>(params));
      if (with_epilogue && problem.bias) {
        y = graph.pointwise(y, input(Shape{1, problem.y[1], 1, 1}, kBias),
                            fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
      }
      if (const auto activation = pointwise_of(problem.activation); with_epilogue && activation) {
        y = graph.pointwise(y, *activation);
      }
      output(y, problem.y, kY);
      break;
    }
    case ConvolutionPass::BackwardData:
      output(graph.conv_dgrad(input(problem.y, kY), input(problem.weight, kWeight),
                              convolution_attributes<fe::graph::Conv_dgrad_attributes>(params)),
             problem.x, kX);
      break;
    case ConvolutionPass::BackwardWeight:
      output(graph.conv_wgrad(input(problem.y, kY), input(problem.x, kX),
                              convolution_attributes<fe::graph::Conv_wgrad_attributes>(params)),
             problem.weight, kWeight);
      break;
  }
}

/// Engines that the problem does not allow; building one of them fails.
void bar_engines(fe::graph::Graph& graph, const ConvolutionProblem& problem) {
  using Note = fe::NumericalNote_t;
  if (problem.deterministic) graph.deselect_numeric_notes({Note::NONDETERMINISTIC});
  if (problem.dtype != DType::F32) return;
  // TF32 is a use of tensor cores; f32 inputs are never rounded to 16 bits.
  graph.deselect_numeric_notes({Note::DOWN_CONVERT_INPUTS});
  if (!problem.tf32) graph.deselect_numeric_notes({Note::TENSOR_CORE});
  // Fast transforms lose digits to cancellation; who wants speed and not digits has TF32.
  graph.deselect_numeric_notes({Note::WINOGRAD, Note::WINOGRAD_TILE_4x4, Note::WINOGRAD_TILE_6x6,
                                Note::WINOGRAD_TILE_13x13, Note::FFT});
}

}  // namespace

const char* ConvolutionProblem::name() const {
  constexpr const char* kNames[] = {"conv2d_forward", "conv2d_backward_data", "conv2d_backward_weight"};
  return kNames[static_cast<int>(pass)];
}

bool ConvolutionProblem::fuses_epilogue() const {
  return activation.kind == Activation::Identity || pointwise_of(activation).has_value();
}

std::string ConvolutionProblem::describe() const {
  return fmt::format("{} x {} weight {} y {} {} {} stride {} padding {} dilation {} groups {}{}{}{}", name(),
                     to_string(x), to_string(weight), to_string(y), to_string(dtype), to_string(format),
                     fmt::join(params.stride, "x"), fmt::join(params.padding, " "),
                     fmt::join(params.dilation, "x"), params.groups, bias ? " bias" : "",
                     activation.kind == Activation::Identity
                         ? ""
                         : fmt::format(" activation {} {}", static_cast<int>(activation.kind),
                                       activation.kind == Activation::LeakyRelu ? activation.slope : 0.0f),
                     dtype == DType::F32 && tf32 ? " TF32" : "");
}

std::vector<std::int64_t> ConvolutionProblem::key() const {
  std::vector<std::int64_t> result{static_cast<std::int64_t>(pass),
                                   static_cast<std::int64_t>(format),
                                   static_cast<std::int64_t>(dtype),
                                   bias,
                                   static_cast<std::int64_t>(activation.kind),
                                   std::bit_cast<std::int32_t>(activation.slope),
                                   tf32,
                                   deterministic,
                                   device.index,
                                   params.groups};
  const auto append = [&](const auto& values) { result.insert(result.end(), values.begin(), values.end()); };
  for (const Shape* shape : {&x, &weight, &y}) append(shape->extents());
  append(params.stride);
  append(params.padding);
  append(params.dilation);
  return result;
}

ConvolutionGraph::ConvolutionGraph(const ConvolutionProblem& problem, bool with_epilogue,
                                   cudnnHandle_t handle)
    : with_bias_(with_epilogue && problem.bias) {
  graph_.set_io_data_type(cudnn_type(problem))
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  // Told here, the frontend need not open a cudart of its own to ask for it.
  int major = 0, minor = 0;
  DLCUDA_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, problem.device.index));
  DLCUDA_CUDA_CHECK(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, problem.device.index));
  graph_.set_sm_version(10 * major + minor);
  kernels::cuda::describe(graph_, problem, with_epilogue);

  const std::string doing = "planning " + problem.describe();
  check_cudnn(graph_.validate(), doing.c_str());
  check_cudnn(graph_.build_operation_graph(handle), doing.c_str());
  check_cudnn(graph_.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}), doing.c_str());
  bar_engines(graph_, problem);
  engines_.resize(static_cast<std::size_t>(graph_.get_execution_plan_count()));
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    check_cudnn(graph_.get_plan_name_at_index(static_cast<std::int64_t>(i), engines_[i]), doing.c_str());
  }
}

bool ConvolutionGraph::good(fe::error_t status) {
  if (status.is_bad()) why_ = status.get_message();
  return status.is_good();
}

bool ConvolutionGraph::build(std::int64_t engine) { return good(graph_.build_plan_at_index(engine)); }

std::int64_t ConvolutionGraph::workspace_bytes(std::int64_t engine) const {
  std::int64_t bytes = 0;
  check_cudnn(graph_.get_workspace_size_plan_at_index(engine, bytes), "asking for the size of a workspace");
  return bytes;
}

bool ConvolutionGraph::execute(std::int64_t engine, cudnnHandle_t handle, const ConvolutionPointers& pointers,
                               void* workspace) {
  std::unordered_map<std::int64_t, void*> addresses{
      {kX, pointers.x}, {kWeight, pointers.weight}, {kY, pointers.y}};
  if (with_bias_) addresses.emplace(kBias, pointers.bias);
  return good(graph_.execute_plan_at_index(handle, addresses, workspace, engine));
}

}  // namespace dlcuda::kernels::cuda
