#include "dlcuda/kernels/cuda/cudnn_conv2d_graph.h"

#include <bit>
#include <iterator>
#include <optional>
#include <unordered_map>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/launch.cuh"

namespace dlcuda::kernels::cuda {
namespace {

namespace fe = cudnn_frontend;

// Of the graphs' tensors, in the order of ConvolutionPointers.
enum Uid : std::int64_t {
  kX = 1,
  kWeight,
  kBias,
  kY,
  kScale,
  kShift,
  kSum,
  kSquares,
  kMean,
  kInverseStd,
  kNormWeight,
  kNormBias,
  kDX,
  kDNormWeight,
  kDNormBias,
  kUnused0,
  kUnused1,
  kUnused2,
};

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

/// A graph in the making.
class Description {
 public:
  Description(fe::graph::Graph& graph, const ConvolutionProblem& problem, std::vector<std::int64_t>& uids)
      : graph_(graph), problem_(problem), uids_(uids) {}

  void forward(bool with_epilogue) {
    const Conv2dParams& params = problem_.params;
    Tensor y = graph_.conv_fprop(problem_.x_norm ? normed_x() : picture(problem_.x, kX),
                                 picture(problem_.weight, kWeight),
                                 convolution_attributes<fe::graph::Conv_fprop_attributes>(params));
    if (with_epilogue && problem_.bias)
      y = pointwise(fe::PointwiseMode_t::ADD, y, channels(problem_.y, kBias, cudnn_type(problem_)));
    if (const auto activation = pointwise_of(problem_.activation); with_epilogue && activation) {
      y = graph_.pointwise(y, *activation);
    }
    output(y, problem_.y, kY);
    if (!problem_.y_totals) return;
    const auto [sum, squares] = graph_.genstats(y, {});
    output_channels(sum, problem_.y, kSum);
    output_channels(squares, problem_.y, kSquares);
  }

  void backward_data() {
    Tensor dx = graph_.conv_dgrad(picture(problem_.y, kY), picture(problem_.weight, kWeight),
                                  convolution_attributes<fe::graph::Conv_dgrad_attributes>(problem_.params));
    if (!problem_.x_norm) return output(dx, problem_.x, kX);
    layout(*dx, problem_.x);
    const Tensor x = picture(problem_.x, kX), mean = channels(problem_.x, kMean),
                 inverse_std = channels(problem_.x, kInverseStd), weight = channels(problem_.x, kNormWeight),
                 bias = channels(problem_.x, kNormBias);
    // Whether the ReLU let x's value through follows from the value itself.
    using Mode = fe::PointwiseMode_t;
    Tensor value = pointwise(Mode::MUL, pointwise(Mode::SUB, x, mean), inverse_std);
    value = pointwise(Mode::ADD, pointwise(Mode::MUL, value, weight), bias);
    const Tensor through = pointwise(Mode::RELU_BWD, dx, value);
    output(through, problem_.x, kDX);
    const auto sums = graph_.dbn_weight(through, x, mean, inverse_std, weight, {});
    std::int64_t uid = kDNormWeight;
    for (const Tensor& sum : sums) output_channels(sum, problem_.x, uid++);
  }

  void backward_weight() {
    output(graph_.conv_wgrad(picture(problem_.y, kY), problem_.x_norm ? normed_x() : picture(problem_.x, kX),
                             convolution_attributes<fe::graph::Conv_wgrad_attributes>(problem_.params)),
           problem_.weight, kWeight);
  }

 private:
  using Attributes = fe::graph::Tensor_attributes;
  using Tensor = std::shared_ptr<Attributes>;

  void layout(Attributes& tensor, const Shape& shape) const {
    const Strides strides = dense_strides(shape, problem_.format);
    const auto extents = shape.extents();
    tensor.set_dim({extents.begin(), extents.end()})
        .set_stride({strides.begin(), strides.begin() + shape.rank()})
        .set_data_type(cudnn_type(problem_));
  }
  Tensor input(Attributes& attributes, std::int64_t uid) {
    uids_.push_back(uid);
    return graph_.tensor(attributes.set_uid(uid));
  }
  Tensor picture(const Shape& shape, Uid uid) {
    Attributes tensor;
    layout(tensor, shape);
    return input(tensor, uid);
  }
  /// A number for each channel of a picture.
  Tensor channels(const Shape& picture, Uid uid, fe::DataType_t type = fe::DataType_t::FLOAT) {
    const std::int64_t count = picture[1];
    Attributes tensor;
    tensor.set_dim({1, count, 1, 1}).set_stride({count, 1, count, count}).set_data_type(type);
    return input(tensor, uid);
  }
  void output(const Tensor& tensor, const Shape& shape, Uid uid) {
    layout(*tensor, shape);
    uids_.push_back(uid);
    tensor->set_uid(uid).set_output(true);
  }
  void output_channels(const Tensor& tensor, const Shape& picture, std::int64_t uid) {
    const std::int64_t count = picture[1];
    uids_.push_back(uid);
    tensor->set_uid(uid)
        .set_dim({1, count, 1, 1})
        .set_stride({count, 1, count, count})
        .set_data_type(fe::DataType_t::FLOAT)
        .set_output(true);
  }
  Tensor pointwise(fe::PointwiseMode_t mode, const Tensor& a, const Tensor& b) {
    return graph_.pointwise(a, b, fe::graph::Pointwise_attributes().set_mode(mode));
  }
  /// relu(x * scale + shift), each step in the dtype of x: the engines know no other form.
  Tensor normed_x() {
    const auto type = cudnn_type(problem_);
    Tensor x =
        pointwise(fe::PointwiseMode_t::MUL, picture(problem_.x, kX), channels(problem_.x, kScale, type));
    x->set_data_type(type);
    x = pointwise(fe::PointwiseMode_t::ADD, x, channels(problem_.x, kShift, type));
    x->set_data_type(type);
    x = graph_.pointwise(x, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::RELU_FWD));
    x->set_data_type(type);
    return x;
  }

  fe::graph::Graph& graph_;
  const ConvolutionProblem& problem_;
  std::vector<std::int64_t>& uids_;
};

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

void* address_of(std::int64_t uid, const ConvolutionPointers& p, std::int64_t x_channels) {
  void* const in_order[] = {p.x,   p.weight,       p.bias,      p.y,           p.scale,       p.shift,
                            p.sum, p.squares,      p.mean,      p.inverse_std, p.norm_weight, p.norm_bias,
                            p.dx,  p.dnorm_weight, p.dnorm_bias};
  static_assert(std::size(in_order) == kUnused0 - kX);
  if (uid < kUnused0) return in_order[uid - kX];
  // Three numbers for each channel of x, one behind the other.
  return static_cast<float*>(p.unused) + (uid - kUnused0) * x_channels;
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
  return fmt::format("{} x {} weight {} y {} {} {} stride {} padding {} dilation {} groups {}{}{}{}{}{}",
                     name(), to_string(x), to_string(weight), to_string(y), to_string(dtype),
                     to_string(format), fmt::join(params.stride, "x"), fmt::join(params.padding, " "),
                     fmt::join(params.dilation, "x"), params.groups, bias ? " bias" : "",
                     x_norm ? " behind a norm" : "", y_totals ? " with totals" : "",
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
                                   x_norm,
                                   y_totals,
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
                                   const Planner& planner)
    : x_channels_(problem.x[1]) {
  graph_.set_io_data_type(cudnn_type(problem))
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  if (planner.properties) {
    graph_.set_device_properties(planner.properties);
  } else {
    // Told here, the frontend need not open a cudart of its own to ask for it.
    int major = 0, minor = 0;
    DLCUDA_CUDA_CHECK(
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, problem.device.index));
    DLCUDA_CUDA_CHECK(
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, problem.device.index));
    graph_.set_sm_version(10 * major + minor);
  }
  Description description(graph_, problem, uids_);
  switch (problem.pass) {
    case ConvolutionPass::Forward:
      description.forward(with_epilogue);
      break;
    case ConvolutionPass::BackwardData:
      description.backward_data();
      break;
    case ConvolutionPass::BackwardWeight:
      description.backward_weight();
      break;
  }

  const std::string doing = "planning " + problem.describe();
  check_cudnn(graph_.validate(), doing.c_str());
  check_cudnn(graph_.build_operation_graph(planner.handle), doing.c_str());
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
  std::unordered_map<std::int64_t, void*> addresses;
  for (const std::int64_t uid : uids_) addresses.emplace(uid, address_of(uid, pointers, x_channels_));
  return good(graph_.execute_plan_at_index(handle, addresses, workspace, engine));
}

}  // namespace dlcuda::kernels::cuda
