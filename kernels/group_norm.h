// Group normalisation (Wu & He, 2018), and layer normalisation (Ba et al., 2016) as its form with one group.
//
//   y = (x - mean) * inverse_std * weight + bias
//
// with the statistics of each sample and group of channels. Data are f32, f16, bf16 (f64 on the CPU), dense
// in either format; parameters (C) and statistics (N, groups) are f32 (f64 with f64). Weight and bias may be
// undefined: 1 and 0.
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct GroupNormOutput {
  Tensor y;            ///< like x
  Tensor mean;         ///< (N, groups)
  Tensor inverse_std;  ///< (N, groups), 1 / sqrt(biased variance + epsilon)
};
/// x (N, C, ...); groups divides C.
GroupNormOutput group_norm_forward(const Tensor& x, std::int64_t groups, const Tensor& weight,
                                   const Tensor& bias, double epsilon = 1e-5);

struct GroupNormGradients {
  Tensor x, weight, bias;
};
GroupNormGradients group_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                                       const Tensor& mean, const Tensor& inverse_std);

// x as (N, C, inner) contiguous, or (N, inner, C) for channels-last; groups are those of `mean`.
struct GroupNormLayout {
  std::int64_t samples, channels, inner, groups;
  bool channels_last;
};
DLCUDA_LOOP_BACKENDS(
    void group_norm_forward(const TensorView& x, const TensorView& weight, const TensorView& bias,
                            const TensorView& y, const TensorView& mean, const TensorView& inverse_std,
                            const GroupNormLayout& layout, double epsilon);
    void group_norm_backward_data(const TensorView& dy, const TensorView& x, const TensorView& weight,
                                  const TensorView& mean, const TensorView& inverse_std, const TensorView& dx,
                                  const GroupNormLayout& layout);
    void group_norm_backward_parameters(const TensorView& dy, const TensorView& x, const TensorView& mean,
                                        const TensorView& inverse_std, const TensorView& dweight,
                                        const TensorView& dbias, const GroupNormLayout& layout);)

}  // namespace kernels
}  // namespace dlcuda
