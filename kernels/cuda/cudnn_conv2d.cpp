// 2-D convolution by cuDNN's graph API.
//
//   forward          y  = conv(x, w) + bias      bias is added by kernels/cuda/bias.cu, in place
//   backward data    dx = dgrad(dy, w)
//   backward weight  dw = wgrad(dy, x), db = sum of dy
//
// f32 (TF32 where kernels/precision.h allows it), f16 and bf16 with f32 arithmetic; x and y in either format,
// weights contiguous (O, I, KH, KW). Only deterministic engines are used. Outputs are overwritten.
//
// For channels-last tensors cuDNN's tensor-core engines want the weights channels-last too, (O, KH, KW, I):
// mixed layouts have few engines or none. So a copy in that order is made for each call (of weights, which
// are small beside the activations), and a weight gradient is computed in that order and copied back.
// One-pixel kernels and one-channel groups lie the same way in both orders and are used as they are.
#include "dlcuda/kernels/cuda/cudnn_conv2d.h"

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cuda/cudnn.h"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/stream.h"
#include "dlcuda/kernels/precision.h"

namespace dlcuda::kernels::cuda {
namespace {

namespace fe = cudnn_frontend;

enum class Pass { Forward, BackwardData, BackwardWeight };
enum Uid : std::int64_t { kX = 1, kWeight, kY };  // of the graphs' tensors, gradients under the same names

const char* name(Pass pass) {
  constexpr const char* kNames[] = {"conv2d_forward", "conv2d_backward_data", "conv2d_backward_weight"};
  return kNames[static_cast<int>(pass)];
}

Shape shape_of(const TensorView& view) { return Shape(std::span(view.shape, std::size_t(view.rank))); }

/// All that a plan depends on.
struct Problem {
  Pass pass;
  Shape x, weight, y;
  MemoryFormat format;
  DType dtype;
  Conv2dParams params;
  Device device;
  bool tf32;

  std::vector<std::int64_t> key() const {
    std::vector<std::int64_t> result{static_cast<std::int64_t>(pass),
                                     static_cast<std::int64_t>(format),
                                     static_cast<std::int64_t>(dtype),
                                     device.index,
                                     tf32,
                                     params.groups};
    const auto append = [&](const auto& values) {
      result.insert(result.end(), values.begin(), values.end());
    };
    for (const Shape* shape : {&x, &weight, &y}) append(shape->extents());
    append(params.stride);
    append(params.padding);
    append(params.dilation);
    return result;
  }
};

struct Plan {
  fe::graph::Graph graph;
  std::int64_t workspace_bytes = 0;
  mutable std::mutex executing;
};

fe::DataType_t cudnn_type(Pass pass, DType dtype) {
  switch (dtype) {
    case DType::F32:
      return fe::DataType_t::FLOAT;
    case DType::F16:
      return fe::DataType_t::HALF;
    case DType::BF16:
      return fe::DataType_t::BFLOAT16;
    default:
      DLCUDA_THROW(DTypeError, "{} on CUDA takes f32, f16 or bf16, got {}: cast the tensors or use the CPU",
                   name(pass), to_string(dtype));
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

void describe(fe::graph::Graph& graph, const Problem& problem) {
  const auto layout = [&](fe::graph::Tensor_attributes& tensor, const Shape& shape, Uid uid) {
    const Strides strides = dense_strides(shape, problem.format);
    const auto extents = shape.extents();
    tensor.set_uid(uid)
        .set_dim({extents.begin(), extents.end()})
        .set_stride({strides.begin(), strides.begin() + shape.rank()})
        .set_data_type(cudnn_type(problem.pass, problem.dtype));
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
    case Pass::Forward:
      output(graph.conv_fprop(input(problem.x, kX), input(problem.weight, kWeight),
                              convolution_attributes<fe::graph::Conv_fprop_attributes>(params)),
             problem.y, kY);
      break;
    case Pass::BackwardData:
      output(graph.conv_dgrad(input(problem.y, kY), input(problem.weight, kWeight),
                              convolution_attributes<fe::graph::Conv_dgrad_attributes>(params)),
             problem.x, kX);
      break;
    case Pass::BackwardWeight:
      output(graph.conv_wgrad(input(problem.y, kY), input(problem.x, kX),
                              convolution_attributes<fe::graph::Conv_wgrad_attributes>(params)),
             problem.weight, kWeight);
      break;
  }
}

std::shared_ptr<const Plan> build_plan(const Problem& problem, cudnnHandle_t handle) {
  auto plan = std::make_shared<Plan>();
  fe::graph::Graph& graph = plan->graph;
  graph.set_io_data_type(cudnn_type(problem.pass, problem.dtype))
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  // Told here, the frontend need not open a cudart of its own to ask for it.
  int major = 0, minor = 0;
  DLCUDA_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, problem.device.index));
  DLCUDA_CUDA_CHECK(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, problem.device.index));
  graph.set_sm_version(10 * major + minor);
  describe(graph, problem);

  const std::string doing = fmt::format(
      "{}: planning x {}, weight {}, y {}, {}, {}, stride {}x{}, padding {} {} {} {}, dilation {}x{}, groups "
      "{}",
      name(problem.pass), to_string(problem.x), to_string(problem.weight), to_string(problem.y),
      to_string(problem.dtype), to_string(problem.format), problem.params.stride[0], problem.params.stride[1],
      problem.params.padding[0], problem.params.padding[1], problem.params.padding[2],
      problem.params.padding[3], problem.params.dilation[0], problem.params.dilation[1],
      problem.params.groups);
  check_cudnn(graph.validate(), doing.c_str());
  check_cudnn(graph.build_operation_graph(handle), doing.c_str());
  check_cudnn(graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}), doing.c_str());
  graph.deselect_numeric_notes({fe::NumericalNote_t::NONDETERMINISTIC});
  if (problem.dtype == DType::F32) {
    // TF32 is a use of tensor cores; f32 inputs are never rounded to 16 bits.
    graph.deselect_numeric_notes({fe::NumericalNote_t::DOWN_CONVERT_INPUTS});
    if (!problem.tf32) graph.deselect_numeric_notes({fe::NumericalNote_t::TENSOR_CORE});
  }
  check_cudnn(graph.check_support(), doing.c_str());
  check_cudnn(graph.build_plans(), doing.c_str());
  check_cudnn(graph.get_workspace_size(plan->workspace_bytes), doing.c_str());
  return plan;
}

/// Plans are made once for each problem and serve all threads.
std::shared_ptr<const Plan> find_plan(const Problem& problem, cudnnHandle_t handle) {
  // Never destroyed: at the end of the process cuDNN's engines may be gone before them.
  static auto& mutex = *new std::mutex;
  static auto& plans = *new std::map<std::vector<std::int64_t>, std::shared_ptr<const Plan>>;
  const auto key = problem.key();
  {
    const std::lock_guard lock(mutex);
    if (const auto found = plans.find(key); found != plans.end()) return found->second;
  }
  auto plan = build_plan(problem, handle);
  const std::lock_guard lock(mutex);
  return plans.emplace(key, std::move(plan)).first->second;
}

void run(Pass pass, const TensorView& x, const TensorView& weight, const TensorView& y,
         const Conv2dParams& params) {
  const Device device = this_device();
  const bool channels_last = is_channels_last(x) || is_channels_last(y);
  const Problem problem{pass,
                        shape_of(x),
                        shape_of(weight),
                        shape_of(y),
                        channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous,
                        x.dtype,
                        params,
                        device,
                        allow_tf32()};
  // dlopen, then the handle: a missing library is reported before anything is allocated.
  const cudnnHandle_t handle = cudnn_handle(device, this_stream());
  const auto plan = find_plan(problem, handle);

  const bool reorder = channels_last && weight.shape[1] > 1 && weight.shape[2] * weight.shape[3] > 1;
  Tensor reordered;
  if (reorder) {
    reordered = Tensor::empty(problem.weight, weight.dtype, device, MemoryFormat::ChannelsLast);
    if (pass != Pass::BackwardWeight) copy(weight, reordered.raw());
  }
  Tensor workspace;
  if (plan->workspace_bytes > 0) workspace = Tensor::empty({plan->workspace_bytes}, DType::U8, device);
  std::unordered_map<std::int64_t, void*> pointers{
      {kX, x.data}, {kWeight, reorder ? reordered.data() : weight.data}, {kY, y.data}};
  // cuDNN does not promise that one plan may be executed by two threads at once; enqueuing takes
  // microseconds.
  const std::lock_guard lock(plan->executing);
  check_cudnn(plan->graph.execute(handle, pointers, workspace.defined() ? workspace.data() : nullptr),
              name(pass));
  if (reorder && pass == Pass::BackwardWeight) copy(reordered.raw(), weight);
}

}  // namespace

void cudnn_conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                          const TensorView& y, const Conv2dParams& params) {
  run(Pass::Forward, x, weight, y, params);
  if (bias.data != nullptr) bias_add(y, bias, y);
}

void cudnn_conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                const Conv2dParams& params) {
  run(Pass::BackwardData, dx, weight, dy, params);
}

void cudnn_conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                  const Conv2dParams& params) {
  run(Pass::BackwardWeight, x, dw, dy, params);
}

}  // namespace dlcuda::kernels::cuda
