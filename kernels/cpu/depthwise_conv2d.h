// Depthwise convolution of bf16 in channels-last: the channels of a pixel lie side by side in vector
// registers. oneDNN 2.6 takes as long for bf16 as for f32, and twice as long for the weight's gradient.
#pragma once

#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/cpu/piecewise_linear.h"

namespace dlcuda::kernels::cpu {

/// What the number of channels is a multiple of.
inline constexpr std::int64_t kDepthwiseRun = 16;
inline constexpr int kMostDepthwiseTaps = 49;
/// Weight gradients are sums over so many parts of the batch's lines at most.
inline constexpr std::int64_t kDepthwiseChunks = 16;

/// What depthwise convolutions need besides their tensors.
struct DepthwiseParams {
  Conv2dParams conv;
  void* scratch;  // of depthwise_scratch() bytes
};

/// True for bf16 in channels-last with one output of each channel, and for the sizes above. x may also be dx,
/// weight dw, y dy.
bool depthwise_applies(const TensorView& x, const TensorView& weight, const TensorView& y,
                       const Conv2dParams& params);
/// `parts`: kDepthwiseChunks for the weight's gradient.
std::size_t depthwise_scratch(const TensorView& weight, std::int64_t parts = 1);

/// The three passes, of one build.
struct DepthwiseLoops {
  // bias: in f32 or bf16, or a null view.
  void (*forward)(const TensorView& x, const TensorView& weight, const TensorView& bias, const TensorView& y,
                  const DepthwiseParams& params, const PiecewiseLinear& activation);
  void (*backward_data)(const TensorView& dy, const TensorView& weight, const TensorView& dx,
                        const DepthwiseParams& params);
  void (*backward_weight)(const TensorView& x, const TensorView& dy, const TensorView& dw,
                          const DepthwiseParams& params);
};
DLCUDA_CPU_LOOPS(DepthwiseLoops depthwise_loops();)
namespace amx {
DepthwiseLoops depthwise_loops();  // processors with AMX also have an instruction that rounds to bf16
}

/// Of the build that this machine runs best.
DepthwiseLoops depthwise_loops();

}  // namespace dlcuda::kernels::cpu
