// Batch normalisation (Ioffe & Szegedy, 2015) of (N, C) or (N, C, H, W), with what usually follows it in the
// same pass:
//
//   y = activation((x - mean) * inverse_std * weight + bias + residual)
//
// Data are f32, f16, bf16 (f64 on the CPU), dense in either format; parameters and statistics are (C), f32
// (f64 with f64). Weight, bias and residual may be undefined: 1, 0, 0. The activation must be one whose
// backward pass reads the output only (activation_saves_input() is false); Identity is none.
#pragma once

#include "dlcuda/kernels/activation.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct BatchNormParams {
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< share of the new value in the running statistics
  ActivationParams activation{.kind = Activation::Identity};
};

struct BatchNormOutput {
  Tensor y;            ///< like x
  Tensor mean;         ///< (C), of the batch or the running one
  Tensor inverse_std;  ///< (C), 1 / sqrt(variance + epsilon)
};

/// Sums over each channel of x and of its squares, (C) each, f32 (f64 with f64): what a convolution can hand
/// to the norm behind it (kernels/conv2d_norm.h).
struct ChannelTotals {
  Tensor sum{}, squares{};
  bool defined() const { return sum.defined(); }
};

/// With the statistics of the batch (the variance divided by n). totals, if defined, are those of x, which is
/// then not read for its statistics; they cost digits where a channel's mean is large beside its spread.
/// running_mean and running_var, if defined, move towards them by `momentum`; the running variance is the
/// unbiased one. batches, if defined, is an i64 of one element, which grows by 1. into, if defined, becomes
/// y: like x, or a channel slice in its format, which CUDA writes in place and the CPU copies into. Throws
/// ShapeError for a single value per channel.
BatchNormOutput batch_norm_training(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Tensor& residual, const Tensor& running_mean,
                                    const Tensor& running_var, const BatchNormParams& params = {},
                                    const Tensor& batches = {}, const ChannelTotals& totals = {},
                                    const Tensor& into = {});

/// With the running statistics, which do not change.
BatchNormOutput batch_norm_inference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                     const Tensor& residual, const Tensor& running_mean,
                                     const Tensor& running_var, const BatchNormParams& params = {},
                                     const Tensor& into = {});

/// What batch_norm_backward() computes the gradients from.
struct BatchNormBackward {
  Tensor dy;         ///< like x, or a channel slice in its format
  Tensor more = {};  ///< a second part of y's gradient, or undefined: it is dy + more
  Tensor x;
  /// The output. Where it is undefined it is computed anew from x: element by element on CUDA, where that
  /// takes less time than reading it does, in a pass of its own on the CPU. Needed where a residual was added
  /// and the activation is not Identity; Identity never looks at it.
  Tensor y = {};
  Tensor weight = {}, bias = {};
  Tensor mean, inverse_std;
};
struct BatchNormGradients {
  Tensor x, weight, bias;
  Tensor residual;  ///< defined if asked for; may be dy itself
};
/// Gradients of either form. `training`: whether mean and inverse_std were those of the batch, which then
/// depend on x.
BatchNormGradients batch_norm_backward(const BatchNormBackward& of, bool training, bool with_residual,
                                       const BatchNormParams& params = {});

/// A normalisation whose statistics are known, and the activation behind it, for convolutions that apply both
/// to their input.
struct KnownNorm {
  Tensor mean, inverse_std, weight, bias;  ///< (C), as above
  /// (C), of x's dtype: the norm is x * scale + shift. What cuDNN takes; undefined where no totals were
  /// given.
  Tensor scale{}, shift{};
  Activation activation = Activation::Relu;  ///< or Relu6
};
/// From the totals of x, which has `count` values per channel, more than one. Moves the running statistics
/// and counts the batch as batch_norm_training() does.
KnownNorm batch_norm_known(const ChannelTotals& totals, std::int64_t count, DType x_dtype,
                           const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                           const Tensor& running_var, const BatchNormParams& params = {},
                           const Tensor& batches = {});
/// The same in a pass over x, (N, C) or (N, C, H, W), which is more exact.
KnownNorm batch_norm_known(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const Tensor& running_mean, const Tensor& running_var,
                           const BatchNormParams& params = {}, const Tensor& batches = {});

struct FoldedWeights {
  Tensor weight, bias;
};
/// The weight (O, ...) and bias (O) of a convolution or linear layer that computes what the given one and a
/// batch normalisation in inference compute together. A missing bias is 0.
FoldedWeights fold_batch_norm(const Tensor& layer_weight, const Tensor& layer_bias, const Tensor& weight,
                              const Tensor& bias, const Tensor& running_mean, const Tensor& running_var,
                              double epsilon = 1e-5);

/// What batch_norm_from_totals() reads and writes. A null pointer: left out.
struct TotalsViews {
  TensorView sum, squares;
  double count;
  TensorView weight, bias;                        // needed for scale and shift only
  TensorView running_mean, running_var, batches;  // moved
  TensorView mean, inverse_std, scale, shift;     // written

  template <typename Visit>
  void for_each_view(const Visit& visit) const {
    for (const TensorView* view : {&sum, &squares, &weight, &bias, &running_mean, &running_var, &batches,
                                   &mean, &inverse_std, &scale, &shift}) {
      visit(*view);
    }
  }
};

/// BatchNormBackward for backends; a null pointer where a tensor is undefined.
struct BatchNormBackwardViews {
  TensorView dy, more, x, y, weight, bias, mean, inverse_std;

  template <typename Visit>
  void for_each_view(const Visit& visit) const {
    for (const TensorView* view : {&dy, &more, &x, &y, &weight, &bias, &mean, &inverse_std}) visit(*view);
  }
};

// x, residual, y and their gradients as (outer, C, inner) in the order of memory. On CUDA the y that is
// written and the dy whose sums are taken may be slices, whose rows of (C, inner) lie farther apart; all else
// is dense. A null pointer: left out.
DLCUDA_LOOP_BACKENDS(
    // Batch statistics; moves the running ones, and counts the batch.
    void batch_norm_statistics(const TensorView& x, const TensorView& mean, const TensorView& inverse_std,
                               const TensorView& running_mean, const TensorView& running_var,
                               const TensorView& batches, const BatchNormParams& params);
    void batch_norm_from_totals(const TotalsViews& views, const BatchNormParams& params);
    // mean and inverse_std from the running statistics.
    void batch_norm_running(const TensorView& running_mean, const TensorView& running_var,
                            const TensorView& mean, const TensorView& inverse_std, double epsilon);
    // Without mean and inverse_std: 0 and 1. y may be x. On CUDA bias may also have x's dtype.
    void batch_norm_apply(const TensorView& x, const TensorView& mean, const TensorView& inverse_std,
                          const TensorView& weight, const TensorView& bias, const TensorView& residual,
                          const TensorView& y, const ActivationParams& activation);
    // dweight = sum g * (x - mean) * inverse_std and dbias = sum g, with g = dy + more, through the
    // activation. g is written, if wanted; with `more` it must be.
    void batch_norm_backward_parameters(const BatchNormBackwardViews& of, const TensorView& g,
                                        const TensorView& dweight, const TensorView& dbias,
                                        const ActivationParams& activation);
    // `more` has no part in it. Both: without y on CUDA, it is computed from x.
    void batch_norm_backward_data(const BatchNormBackwardViews& of, const TensorView& dweight,
                                  const TensorView& dbias, const TensorView& dx, bool training,
                                  const ActivationParams& activation);)

namespace cpu DLCUDA_BACKEND_NAMESPACE {
DLCUDA_CPU_LOOPS(
    // Of x as above.
    void channel_totals(const TensorView& x, const TensorView& sum, const TensorView& squares);)
}

}  // namespace kernels
}  // namespace dlcuda
