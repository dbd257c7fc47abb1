#include "dlcuda/layers/functional/loss.h"

#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  auto [loss, log_sum_exp] = kernels::cross_entropy_forward(logits, labels);
  if (!any_requires_grad({logits})) return loss;
  return record("cross_entropy", std::move(loss), {logits},
                [saved_logits = Saved(logits), saved_labels = Saved(labels),
                 saved_log_sum_exp = Saved(log_sum_exp)](const BackwardContext& context) {
                  return std::vector{kernels::cross_entropy_backward(
                      context.grad, saved_logits.get(), saved_labels.get(), saved_log_sum_exp.get())};
                });
}

}  // namespace dlcuda::functional
