// 2-D convolution by cuDNN's graph API.
//
//   forward          y  = f(conv(x, w) + bias)
//   backward data    dx = dgrad(dy, w)
//   backward weight  dw = wgrad(dy, x)
//
// and the same with what a batch norm around the convolution does (kernels/conv2d_norm.h).
//
// f32 (TF32 where kernels/precision.h allows it), f16 and bf16 with f32 arithmetic; x, y and weights in
// either format, all in the same. Outputs are overwritten.
//
// There are several ways to compute each: cuDNN's engines, with bias and activation in the same pass or in
// one of their own (kernels/conv2d_epilogue.h), and for one-pixel kernels of channels-last tensors, which are
// a matrix product, also cuBLASLt. Which is the fastest differs from GPU to GPU and from size to size, for
// the matrix product, too: it is measured, once for each problem, and kept in a file (kernels/plan_cache.h).
// Where nothing may be measured (deterministic mode, capture) the way that ranks first is taken: cuDNN's own
// order, bias and activation in the same pass if possible.
//
#include "dlcuda/kernels/cuda/cudnn_conv2d.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/determinism.h"
#include "dlcuda/kernels/batch_norm.h"
#include "dlcuda/kernels/conv2d_epilogue.h"
#include "dlcuda/kernels/cuda/cudnn_conv2d_graph.h"
#include "dlcuda/kernels/cuda/format.h"
#include "dlcuda/kernels/cuda/stream.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/kernels/plan_cache.h"
#include "dlcuda/kernels/precision.h"

namespace dlcuda::kernels::cuda {
namespace {

using Pass = ConvolutionPass;

/// The tensors of a call; the weight (or its gradient) in the problem's format.
struct Operands {
  TensorView x, weight, bias, y;
  NormViews norm{};                               // between x and the convolution
  TensorView sum{}, squares{};                    // of y
  TensorView dx{}, dnorm_weight{}, dnorm_bias{};  // x's gradient through the norm's ReLU

  ConvolutionPointers pointers() const {
    return {.x = x.data,
            .weight = weight.data,
            .bias = bias.data,
            .y = y.data,
            .scale = norm.scale.data,
            .shift = norm.shift.data,
            .sum = sum.data,
            .squares = squares.data,
            .mean = norm.mean.data,
            .inverse_std = norm.inverse_std.data,
            .norm_weight = norm.weight.data,
            .norm_bias = norm.bias.data,
            .dx = dx.data,
            .dnorm_weight = dnorm_weight.data,
            .dnorm_bias = dnorm_bias.data,
            .unused = nullptr};
  }
};

Shape shape_of(const TensorView& view) { return Shape(std::span(view.shape, std::size_t(view.rank))); }

/// Pixels by channels.
TensorView as_matrix(const TensorView& view) {
  TensorView matrix = view;
  matrix.rank = 2;
  matrix.shape[1] = matrix.strides[0] = view.shape[1];
  matrix.shape[0] = view.numel() / view.shape[1];
  matrix.strides[1] = 1;
  return matrix;
}

bool is_product(const ConvolutionProblem& problem) {
  const auto& [stride, padding, dilation, groups] = problem.params;
  const bool one_pixel = problem.weight[2] == 1 && problem.weight[3] == 1;
  const bool as_they_are =
      stride == std::array<std::int64_t, 2>{1, 1} && padding == std::array<std::int64_t, 4>{} && groups == 1;
  return one_pixel && as_they_are && problem.format == MemoryFormat::ChannelsLast && !problem.x_norm &&
         !problem.y_totals;
}

void multiply(Pass pass, const Operands& o) {
  const TensorView x = as_matrix(o.x), weight = as_matrix(o.weight), y = as_matrix(o.y);
  switch (pass) {
    case Pass::Forward:
      return matmul(x, weight, o.bias, y, {.transpose_b = true});
    case Pass::BackwardData:
      return matmul(y, weight, {}, x, {});
    case Pass::BackwardWeight:
      return matmul(y, x, {}, weight, {.transpose_a = true});
  }
}

/// A way to compute a problem. Without a graph: a matrix product, which adds the bias itself.
class Way {
 public:
  Way(const ConvolutionProblem& problem, std::shared_ptr<ConvolutionGraph> graph, bool fused,
      std::int64_t engine)
      : pass_(problem.pass),
        graph_(std::move(graph)),
        adds_bias_(fused || !graph_),
        rest_(fused ? ActivationParams{.kind = Activation::Identity} : problem.activation),
        fused_(fused),
        engine_(engine) {}

  /// As it stands in the file.
  std::string name() const {
    if (!graph_) return "product";
    return (fused_ ? "fused " : "plain ") + graph_->engines()[std::size_t(engine_)];
  }
  /// Whether cuDNN's heuristics know it.
  bool ranked() const { return graph_ != nullptr; }
  bool build() { return !graph_ || graph_->build(engine_); }
  const std::string& why() const { return graph_->why(); }

  /// Enqueues it. False where cuDNN refuses.
  bool run(const Operands& o, cudnnHandle_t handle, Device device) const {
    if (!graph_) {
      multiply(pass_, o);
      finish(o);
      return true;
    }
    Tensor workspace, unused;
    const std::int64_t bytes = graph_->workspace_bytes(engine_);
    if (bytes > 0) workspace = Tensor::empty({bytes}, DType::U8, device);
    ConvolutionPointers pointers = o.pointers();
    if (pointers.dnorm_weight != nullptr) {
      unused = Tensor::empty({3, o.x.shape[1]}, DType::F32, device);
      pointers.unused = unused.data();
    }
    {
      // cuDNN does not promise that one plan may be executed by two threads at once; enqueuing takes
      // microseconds.
      const std::lock_guard lock(executing_);
      if (!graph_->execute(engine_, handle, pointers, bytes > 0 ? workspace.data() : nullptr)) return false;
    }
    finish(o);
    return true;
  }

 private:
  /// What the library did not do.
  void finish(const Operands& o) const {
    const bool bias = o.bias.data != nullptr && !adds_bias_;
    if (!bias && rest_.kind == Activation::Identity) return;
    conv2d_epilogue(bias ? o.bias : TensorView{}, {}, o.y, rest_, batch_norm_apply, activation_forward);
  }

  Pass pass_;
  std::shared_ptr<ConvolutionGraph> graph_;
  bool adds_bias_;
  ActivationParams rest_;  ///< the activation, where the graph has none
  bool fused_;
  std::int64_t engine_;
  mutable std::mutex executing_;
};
using Ways = std::vector<std::shared_ptr<Way>>;

/// All ways, best first as far as cuDNN's heuristics know; the matrix product comes last, since they do not
/// know it. None of them is built yet.
Ways ways_of(const ConvolutionProblem& problem, cudnnHandle_t handle) {
  const Planner planner{.handle = handle};
  Ways ways;
  const auto add = [&](bool fused) {
    const auto graph = std::make_shared<ConvolutionGraph>(problem, fused, planner);
    for (std::size_t i = 0; i < graph->engines().size(); ++i) {
      const auto& all = graph->engines();
      if (std::find(all.begin(), all.begin() + std::ptrdiff_t(i), all[i]) !=
          all.begin() + std::ptrdiff_t(i)) {
        continue;  // offered twice
      }
      ways.push_back(std::make_shared<Way>(problem, graph, fused, std::int64_t(i)));
    }
  };
  if (problem.has_epilogue() && problem.fuses_epilogue()) {
    try {
      add(true);
    } catch (const DeviceError&) {
      // No engine does that as well: it gets a pass of its own.
    }
  }
  add(false);
  if (is_product(problem)) ways.push_back(std::make_shared<Way>(problem, nullptr, false, 0));
  return ways;
}

/// The first way of which the name is `name`, or any if that is empty, and that can be built.
std::shared_ptr<Way> first_way(const Ways& ways, const std::string& name = {}) {
  for (const auto& way : ways) {
    if ((name.empty() || way->name() == name) && way->build()) return way;
  }
  return nullptr;
}

/// Two events on a stream.
class Stopwatch {
 public:
  Stopwatch(Device device, void* stream)
      : device_(device.index),
        stream_(stream),
        start_(dlcuda::cuda::create_event(device_, true)),
        end_(dlcuda::cuda::create_event(device_, true)) {}
  ~Stopwatch() {
    dlcuda::cuda::destroy_event(device_, start_);
    dlcuda::cuda::destroy_event(device_, end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void start() { dlcuda::cuda::record_event(device_, start_, stream_); }
  float milliseconds() {
    dlcuda::cuda::record_event(device_, end_, stream_);
    dlcuda::cuda::synchronize_event(device_, end_);
    return dlcuda::cuda::elapsed_ms(device_, start_, end_);
  }

 private:
  int device_;
  void* stream_;
  void *start_, *end_;
};

constexpr int kMostMeasured = 24;  // heuristics rank well: the fastest stands among the first
constexpr int kRuns = 5;

/// The shortest of some runs after one that loads the kernels; less than nothing where it cannot run.
float measure(const Way& way, const Operands& o, cudnnHandle_t handle, Device device, float best) {
  Stopwatch watch(device, this_stream());
  float shortest = -1;
  try {
    if (!way.run(o, handle, device)) return -1;
    for (int i = 0; i < kRuns; ++i) {
      watch.start();
      if (!way.run(o, handle, device)) return -1;
      const float time = watch.milliseconds();
      shortest = shortest < 0 ? time : std::min(shortest, time);
      if (best >= 0 && time > 2 * best) break;  // not worth another run
    }
  } catch (const OutOfMemoryError&) {
    return -1;  // its workspace does not fit; another's will
  }
  return shortest;
}

/// The fastest way on these tensors, whose outputs it overwrites; null where none runs.
std::shared_ptr<Way> fastest_way(const Ways& ways, const Operands& o, cudnnHandle_t handle, Device device) {
  std::shared_ptr<Way> fastest;
  float best = -1;
  int measured = 0;
  for (const auto& way : ways) {
    if ((measured >= kMostMeasured && way->ranked()) || !way->build()) continue;
    const float time = measure(*way, o, handle, device, best);
    ++measured;
    if (time >= 0 && (best < 0 || time < best)) {
      best = time;
      fastest = way;
    }
  }
  return fastest;
}

PlanCache& plan_cache() {
  // Never destroyed: convolutions may run until the end of the process.
  static auto& cache = *new PlanCache(cache_folder().empty() ? "" : cache_folder() / "cudnn-plans.txt");
  return cache;
}

/// What a measurement holds for.
std::string cache_key(const ConvolutionProblem& problem) {
  cudaDeviceProp properties{};
  DLCUDA_CUDA_CHECK(cudaGetDeviceProperties(&properties, problem.device.index));
  return fmt::format("{} | {} | cuDNN {}", problem.describe(), properties.name,
                     cudnn_frontend::detail::get_backend_version());
}

[[noreturn]] void refuse(const ConvolutionProblem& problem, const Ways& ways, cudnnHandle_t handle) {
  if (problem.deterministic) {
    ConvolutionProblem any = problem;
    any.deterministic = false;
    if (first_way(ways_of(any, handle))) {
      refuse_if_deterministic(problem.describe(), "tensors in channels-last format, f16 or bf16, or the CPU");
    }
  }
  DLCUDA_THROW(DeviceError, "{}: none of cuDNN {}'s {} engines can be used; the last one: {}",
               problem.describe(), cudnn_frontend::detail::get_backend_version_string(), ways.size(),
               ways.empty() ? "" : ways.back()->why());
}

std::shared_ptr<const Way> choose_way(const ConvolutionProblem& problem, bool may_measure, const Operands& o,
                                      cudnnHandle_t handle) {
  Ways ways = ways_of(problem, handle);
  std::shared_ptr<Way> chosen;
  if (may_measure) {
    const std::string key = cache_key(problem);
    if (const auto known = plan_cache().find(key)) chosen = first_way(ways, *known);
    if (!chosen) {
      if (const auto fastest = fastest_way(ways, o, handle, problem.device)) {
        const std::string name = fastest->name();
        plan_cache().store(key, name);
        // Begun anew, so that what was built for the others is given back.
        ways.clear();
        ways = ways_of(problem, handle);
        chosen = first_way(ways, name);
      }
    }
  }
  if (!chosen) chosen = first_way(ways);
  if (!chosen) refuse(problem, ways, handle);
  return chosen;
}

bool is_capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  DLCUDA_CUDA_CHECK(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

/// Ways are chosen once for each problem and serve all threads.
std::shared_ptr<const Way> find_way(const ConvolutionProblem& problem, const Operands& o,
                                    cudnnHandle_t handle) {
  // Never destroyed: at the end of the process cuDNN's engines may be gone before them.
  static auto& mutex = *new std::mutex;
  static auto& ways = *new std::map<std::vector<std::int64_t>, std::shared_ptr<const Way>>;
  const auto find = [&](const std::vector<std::int64_t>& key) -> std::shared_ptr<const Way> {
    const std::lock_guard lock(mutex);
    const auto found = ways.find(key);
    return found != ways.end() ? found->second : nullptr;
  };
  auto key = problem.key();
  if (auto way = find(key)) return way;
  const bool may_measure = !problem.deterministic && !is_capturing(this_stream());
  if (!may_measure && !problem.deterministic) key.push_back(1);  // a later call may still measure
  // One at a time: two measurements would slow each other down.
  static auto& choosing = *new std::mutex;
  const std::lock_guard lock(choosing);
  if (auto way = find(key)) return way;
  auto way = choose_way(problem, may_measure, o, handle);
  const std::lock_guard adding(mutex);
  return ways.emplace(std::move(key), std::move(way)).first->second;
}

ConvolutionProblem problem_of(Pass pass, const Operands& o, const Conv2dParams& params,
                              const ActivationParams& activation) {
  const bool channels_last = is_channels_last(o.x) || is_channels_last(o.y);
  return {.pass = pass,
          .x = shape_of(o.x),
          .weight = shape_of(o.weight),
          .y = shape_of(o.y),
          .format = channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous,
          .dtype = o.x.dtype,
          .params = params,
          .bias = o.bias.data != nullptr,
          .activation = activation,
          .x_norm = o.norm.mean.data != nullptr,
          .y_totals = o.sum.data != nullptr,
          .tf32 = allow_tf32(),
          .deterministic = deterministic(),
          .device = this_device()};
}

void run(Pass pass, const Operands& operands, const Conv2dParams& params,
         const ActivationParams& activation = {.kind = Activation::Identity}) {
  const ConvolutionProblem problem = problem_of(pass, operands, params, activation);
  // dlopen, then the handle: a missing library is reported before anything is allocated.
  const cudnnHandle_t handle = cudnn_handle(problem.device, this_stream());
  const auto way = find_way(problem, operands, handle);
  DLCUDA_CHECK(way->run(operands, handle, problem.device), DeviceError, "{} failed in cuDNN {}: {}",
               problem.describe(), cudnn_frontend::detail::get_backend_version_string(), way->why());
}

/// Whether cuDNN has an engine.
bool can_run(const ConvolutionProblem& problem, cudnnHandle_t handle) {
  static auto& mutex = *new std::mutex;
  static auto& known = *new std::map<std::vector<std::int64_t>, bool>;
  const std::lock_guard lock(mutex);
  const auto key = problem.key();
  if (const auto found = known.find(key); found != known.end()) return found->second;
  bool can = false;
  try {
    can = first_way(ways_of(problem, handle)) != nullptr;
  } catch (const DeviceError&) {
    // Planning it says no.
  }
  known.emplace(key, can);
  return can;
}

}  // namespace

void cudnn_conv2d_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                          const TensorView& y, const Conv2dParams& params,
                          const ActivationParams& activation) {
  run(Pass::Forward, {.x = x, .weight = weight, .bias = bias, .y = y}, params, activation);
}

void cudnn_conv2d_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                                const Conv2dParams& params) {
  run(Pass::BackwardData, {.x = dx, .weight = weight, .bias = {}, .y = dy}, params);
}

void cudnn_conv2d_backward_weight(const TensorView& x, const TensorView& dy, const TensorView& dw,
                                  const Conv2dParams& params) {
  run(Pass::BackwardWeight, {.x = x, .weight = dw, .bias = {}, .y = dy}, params);
}

bool cudnn_conv2d_absorbs_norms(const Shape& x, const Shape& weight, const Shape& y, DType dtype,
                                const Conv2dParams& params, bool x_norm) {
  ConvolutionProblem problem{.pass = Pass::Forward,
                             .x = x,
                             .weight = weight,
                             .y = y,
                             .format = MemoryFormat::ChannelsLast,
                             .dtype = dtype,
                             .params = params,
                             .bias = false,
                             .activation = {.kind = Activation::Identity},
                             .x_norm = x_norm,
                             .y_totals = true,
                             .tf32 = allow_tf32(),
                             .deterministic = deterministic(),
                             .device = this_device()};
  const cudnnHandle_t handle = cudnn_handle(problem.device, this_stream());
  if (!can_run(problem, handle)) return false;
  if (!x_norm) return true;
  problem.y_totals = false;
  for (const Pass pass : {Pass::BackwardData, Pass::BackwardWeight}) {
    problem.pass = pass;
    if (!can_run(problem, handle)) return false;
  }
  return true;
}

void cudnn_conv2d_norm_forward(const TensorView& x, const NormViews& norm, const TensorView& weight,
                               const TensorView& y, const TensorView& sum, const TensorView& squares,
                               const Conv2dParams& params) {
  run(Pass::Forward,
      {.x = x, .weight = weight, .bias = {}, .y = y, .norm = norm, .sum = sum, .squares = squares}, params);
}

void cudnn_conv2d_norm_backward_weight(const TensorView& x, const NormViews& norm, const TensorView& dy,
                                       const TensorView& dw, const Conv2dParams& params) {
  run(Pass::BackwardWeight, {.x = x, .weight = dw, .bias = {}, .y = dy, .norm = norm}, params);
}

void cudnn_conv2d_norm_backward_data(const TensorView& dy, const TensorView& weight, const TensorView& x,
                                     const NormViews& norm, const TensorView& dx,
                                     const TensorView& dnorm_weight, const TensorView& dnorm_bias,
                                     const Conv2dParams& params) {
  run(Pass::BackwardData,
      {.x = x,
       .weight = weight,
       .bias = {},
       .y = dy,
       .norm = norm,
       .dx = dx,
       .dnorm_weight = dnorm_weight,
       .dnorm_bias = dnorm_bias},
      params);
}

}  // namespace dlcuda::kernels::cuda
