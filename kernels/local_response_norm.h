// AlexNet's local response normalisation (Krizhevsky et al., 2012), as PyTorch has it:
//
//   y[c] = x[c] * d[c]^-beta,  d[c] = k + alpha / size * sum of x[j]^2 over j from c - size / 2 to c + (size
//   - 1) / 2
#pragma once

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct LocalResponseNormParams {
  std::int64_t size = 5;  ///< channels in a window
  double alpha = 1e-4;
  double beta = 0.75;
  double k = 1.0;
};

/// x (N, C, H, W) or (N, C), floating-point, dense in either format.
Tensor local_response_norm_forward(const Tensor& x, const LocalResponseNormParams& params = {});
/// From x alone: d is computed again, which reads what the cache holds anyhow.
Tensor local_response_norm_backward(const Tensor& dy, const Tensor& x,
                                    const LocalResponseNormParams& params = {});

// All as (outer, C, inner) in the order of memory.
DLCUDA_LOOP_BACKENDS(void local_response_norm_forward(const TensorView& x, const TensorView& y,
                                                      const LocalResponseNormParams& params);
                     void local_response_norm_backward(const TensorView& dy, const TensorView& x,
                                                       const TensorView& dx,
                                                       const LocalResponseNormParams& params);)

}  // namespace kernels
}  // namespace dlcuda
