// A convolution as one of cuDNN's graphs: its description, and the engines that can compute it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/cuda/cudnn.h"

namespace dlcuda::kernels::cuda {

enum class ConvolutionPass { Forward, BackwardData, BackwardWeight };

/// All that the choice of an engine depends on.
struct ConvolutionProblem {
  ConvolutionPass pass;
  Shape x, weight, y;
  MemoryFormat format;  // of all three
  DType dtype;
  Conv2dParams params;
  bool bias;                    // forward: y gets one
  ActivationParams activation;  // forward: follows the bias
  /// A norm and a ReLU between x and the convolution: applied on the way forward and for the weight's
  /// gradient; x's gradient goes back through the ReLU, and the norm's sums come with it.
  bool x_norm;
  bool y_totals;  // forward: sums of y and y^2
  bool tf32;
  bool deterministic;
  Device device;

  const char* name() const;  // "conv2d_forward"
  /// Whether anything follows the convolution, and whether it may be a part of the graph.
  bool has_epilogue() const { return bias || activation.kind != Activation::Identity; }
  bool fuses_epilogue() const;
  /// For messages, and as part of the key of measured choices.
  std::string describe() const;
  /// For finding it again in this process.
  std::vector<std::int64_t> key() const;
};

/// Device addresses. Gradients stand under the names of what they are the gradient of, but for those that go
/// through a norm.
struct ConvolutionPointers {
  void *x, *weight, *bias, *y;
  void *scale, *shift;                                      // x_norm, forward and weight's gradient
  void *sum, *squares;                                      // y_totals
  void *mean, *inverse_std, *norm_weight, *norm_bias, *dx;  // x_norm, x's gradient
  void *dnorm_weight, *dnorm_bias;
  void* unused;  // room for 3 numbers a channel of x that cuDNN offers and nobody reads
};

/// Where cuDNN plans: with a handle of a device, or from a description of one that is not there.
struct Planner {
  cudnnHandle_t handle = nullptr;
  std::shared_ptr<const cudnn_frontend::DeviceProperties> properties{};
};

/// The engines that cuDNN's heuristics offer for a problem, best first, and those of them that were built.
class ConvolutionGraph {
 public:
  /// With the epilogue as a part of the graph, or without. Throws DeviceError where cuDNN knows no engine at
  /// all.
  ConvolutionGraph(const ConvolutionProblem& problem, bool with_epilogue, const Planner& planner);

  /// cuDNN's names: engine and settings. They stay the same within one version of cuDNN.
  const std::vector<std::string>& engines() const { return engines_; }
  /// Makes an engine ready. False, with the reason in why(), where that fails, or where the engine does what
  /// the problem does not allow: TF32, results that do not repeat.
  bool build(std::int64_t engine);
  const std::string& why() const { return why_; }
  std::int64_t workspace_bytes(std::int64_t engine) const;
  /// Enqueues an engine that was built; false, with the reason in why(), where it fails.
  bool execute(std::int64_t engine, cudnnHandle_t handle, const ConvolutionPointers& pointers,
               void* workspace);

 private:
  bool good(cudnn_frontend::error_t status);

  cudnn_frontend::graph::Graph graph_;
  std::vector<std::int64_t> uids_;  // of the tensors that it has
  std::int64_t x_channels_ = 0;
  std::vector<std::string> engines_;
  std::string why_;
};

}  // namespace dlcuda::kernels::cuda
