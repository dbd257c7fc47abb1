#include "dlcuda/kernels/yolo_loss.h"

#include "dlcuda/kernels/cpu/loops.h"
#include "dlcuda/kernels/functors/yolo_loss.h"

namespace dlcuda::kernels::cpu::DLCUDA_ISA {

namespace {

/// Predictions below which another thread does not pay.
DLCUDA_INLINE std::int64_t grain(const YoloLossViews& views) {
  return kGrain / (16 * (views.labels.shape[1] + 5)) + 1;
}

}  // namespace

void yolo_loss_forward(const YoloLossViews& views, const TensorView& terms, const TensorView& loss,
                       const YoloLossParams& params) {
  visit_floating(views.raw.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const functors::YoloLoss<C> function(views, params);
    auto* assignment = views.assignment.as<std::int32_t>();
    C* term = terms.as<C>();
    parallel_for(function.grid.count(), grain(views), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto at = function.grid.place(i);
        const T* raw = views.raw.as<const T>() + function.grid.offset(views.raw, at);
        assignment[i] = function.assign(at, raw);
        term[i] = function.value(at, raw, assignment[i]);
      }
    });
    double total = 0;
    for (std::int64_t i = 0; i < function.grid.count(); ++i) total += static_cast<double>(term[i]);
    *loss.as<C>() = static_cast<C>(total / static_cast<double>(views.raw.shape[0]));
  });
}

void yolo_loss_backward(const TensorView& dloss, const YoloLossViews& views, const TensorView& draw,
                        const YoloLossParams& params) {
  visit_floating(views.raw.dtype, [&]<typename T>() {
    using C = compute_t<T>;
    const functors::YoloLoss<C> function(views, params);
    const auto* assignment = views.assignment.as<const std::int32_t>();
    const C dy = *dloss.as<const C>() / static_cast<C>(views.raw.shape[0]);
    parallel_for(function.grid.count(), grain(views), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto at = function.grid.place(i);
        function.gradient(dy, at, views.raw.as<const T>() + function.grid.offset(views.raw, at),
                          assignment[i], draw.as<T>() + function.grid.offset(draw, at), draw.strides[1]);
      }
    });
  });
}

}  // namespace dlcuda::kernels::cpu::DLCUDA_ISA
