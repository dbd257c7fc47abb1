// Dynamic loss scaling (Micikevicius et al., 2018), for gradients in f16: the gradient of the loss is
// multiplied by a scale, so that small gradients do not vanish; where that makes others overflow, the step is
// left out and the scale falls. All of it lives on the device, and nothing waits for it.
#pragma once

#include <cstdint>
#include <span>

#include "dlcuda/kernels/backend.h"

namespace dlcuda {
namespace kernels DLCUDA_API {

struct LossScaleParams {
  double initial = 65536;
  double growth = 2;             ///< factor after `interval` steps in a row that were finite; above 1
  double backoff = 0.5;          ///< factor after one that was not; in (0, 1)
  std::int64_t interval = 2000;  ///< at least 1
};

struct LossScaleState {
  Tensor scale;    ///< f32 (1): what the gradient of the next loss is multiplied by
  Tensor unscale;  ///< f32 (1): what this step's gradients are to be multiplied by; 0: leave the step out
  Tensor counts;   ///< i64 (3): steps since the scale has changed; steps left out so far; room for a mark
};
/// The state at the beginning. Throws ArgumentError for parameters out of range.
LossScaleState make_loss_scale(Device device, const LossScaleParams& params);

/// One of the gradients of a step: dense, f32, f16 or bf16 (f64 on the CPU).
struct GradientView {
  TensorView view;

  template <typename Visit>
  void for_each_view(const Visit& visit) const {
    visit(view);
  }
};

/// Looks at the gradients that a step with state.scale has given: unscale = 1 / scale where all elements are
/// finite, else 0; then changes the scale for the next step. It stays a positive, normal, finite number.
/// Where a label out of range was found on a CUDA device
/// (kernels/cross_entropy.h), unscale is 0, and nothing else changes.
void settle_loss_scale(std::span<const GradientView> gradients, LossScaleState& state,
                       const LossScaleParams& params);

struct LossScaleViews {
  TensorView scale, unscale, counts;

  template <typename Visit>
  void for_each_view(const Visit& visit) const {
    for (const TensorView* view : {&scale, &unscale, &counts}) visit(*view);
  }
};

DLCUDA_LOOP_BACKENDS(void settle_loss_scale(std::span<const GradientView> gradients,
                                            const LossScaleViews& state, const LossScaleParams& params);)

}  // namespace kernels
}  // namespace dlcuda
