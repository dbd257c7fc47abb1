#include "dlcuda/layers/functional/loss.h"

#include <array>
#include <limits>
#include <numeric>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/layers/functional/activation.h"
#include "dlcuda/layers/functional/arithmetic.h"
#include "dlcuda/layers/functional/layout.h"
#include "dlcuda/layers/functional/reduction.h"
#include "dlcuda/layers/recording.h"

namespace dlcuda::functional {

using autograd::any_requires_grad;
using autograd::BackwardContext;
using autograd::record;
using autograd::Saved;

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& class_weight,
                     const CrossEntropyParams& params) {
  kernels::CrossEntropyOutput out = kernels::cross_entropy_forward(logits, labels, class_weight, params);
  if (!any_requires_grad({logits})) return out.loss;
  return record("cross_entropy", std::move(out.loss), {logits},
                [saved_logits = Saved(logits), saved_labels = Saved(labels),
                 saved_weight = Saved(class_weight), saved_log_sum_exp = Saved(out.log_sum_exp),
                 saved_totals = Saved(out.totals), params](const BackwardContext& context) {
                  const Tensor dloss = as_format(context.grad, MemoryFormat::Contiguous);
                  return std::vector{kernels::cross_entropy_backward(
                      dloss, saved_logits.get(), saved_labels.get(), saved_weight.get(),
                      saved_log_sum_exp.get(), saved_totals.get(), params)};
                });
}

namespace {

using kernels::ElementLoss;
using kernels::ElementLossParams;

Tensor element_loss(const char* name, const Tensor& x, const Tensor& target, const Tensor& weight,
                    const ElementLossParams& params) {
  Tensor y = kernels::element_loss_forward(x, target, weight, params);
  if (!any_requires_grad({x})) return y;
  return record(name, std::move(y), {x},
                [saved_x = Saved(x), saved_target = Saved(target), saved_weight = Saved(weight),
                 params](const BackwardContext& context) {
                  const Tensor& input = saved_x.get();
                  const bool scalar = params.reduction != LossReduction::None;
                  const Tensor dy = scalar ? context.grad : as_format(context.grad, input.format());
                  return std::vector{kernels::element_loss_backward(dy, input, saved_target.get(),
                                                                    saved_weight.get(), params)};
                });
}

constexpr std::array kLastAxis{-1};

void require_pair(const char* op, const Tensor& a, const Tensor& b) {
  DLCUDA_CHECK(a.shape() == b.shape(), ShapeError, "{}: shapes must agree, got {} and {}", op,
               to_string(a.shape()), to_string(b.shape()));
  DLCUDA_CHECK(is_floating_point(a.dtype()) && a.dtype() == b.dtype(), DTypeError,
               "{}: expected two tensors of one floating-point dtype, got {} and {}; cast one", op,
               to_string(a.dtype()), to_string(b.dtype()));
  DLCUDA_CHECK(a.device() == b.device(), DeviceError,
               "{}: expected two tensors on one device, got {} and {}; move one with to(device)", op,
               to_string(a.device()), to_string(b.device()));
}

void require_rows(const char* op, const Tensor& a, const Tensor& b) {
  DLCUDA_CHECK(a.rank() == 2, ShapeError, "{}: expected rows (N, D), got shape {}", op, to_string(a.shape()));
  require_pair(op, a, b);
}

void require_flags(const char* op, const Tensor& a, const Tensor& same) {
  DLCUDA_CHECK(same.shape() == Shape{a.size(0)}, ShapeError, "{}: same must have shape [{}], got {}", op,
               a.size(0), to_string(same.shape()));
  DLCUDA_CHECK(same.dtype() == a.dtype(), DTypeError,
               "{}: same must be {} like the rows, got {}; cast it first", op, to_string(a.dtype()),
               to_string(same.dtype()));
  DLCUDA_CHECK(same.device() == a.device(), DeviceError,
               "{}: same is on {}, expected {}; move it with to(device)", op, to_string(same.device()),
               to_string(a.device()));
}

/// |a - b|, and how the gradient goes through it: norm() has none at 0.
Tensor distance(const Tensor& a, const Tensor& b, double epsilon) {
  const Tensor difference = subtract(a, b);
  return norm(epsilon == 0 ? difference : affine(difference, 1, epsilon), Norm::L2, kLastAxis);
}

}  // namespace

Tensor soft_cross_entropy(const Tensor& logits, const Tensor& target) {
  require_rows("soft_cross_entropy", logits, target);
  return scale(mean(sum(multiply(target, log_softmax(logits)), kLastAxis)), -1);
}

Tensor squared_loss(const Tensor& x, const Tensor& target, LossReduction reduction) {
  return element_loss("squared_loss", x, target, {}, {.kind = ElementLoss::Squared, .reduction = reduction});
}
Tensor absolute_loss(const Tensor& x, const Tensor& target, LossReduction reduction) {
  return element_loss("absolute_loss", x, target, {},
                      {.kind = ElementLoss::Absolute, .reduction = reduction});
}
Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta, LossReduction reduction) {
  return element_loss("smooth_l1_loss", x, target, {},
                      {.kind = ElementLoss::SmoothL1, .reduction = reduction, .beta = beta});
}
Tensor binary_cross_entropy(const Tensor& logits, const Tensor& target, const Tensor& positive_weight,
                            LossReduction reduction) {
  return element_loss("binary_cross_entropy", logits, target, positive_weight,
                      {.kind = ElementLoss::BinaryCrossEntropy, .reduction = reduction});
}
Tensor focal_loss(const Tensor& logits, const Tensor& target, double alpha, double gamma,
                  LossReduction reduction) {
  return element_loss("focal_loss", logits, target, {},
                      {.kind = ElementLoss::Focal, .reduction = reduction, .gamma = gamma, .alpha = alpha});
}

Tensor dice_loss(const Tensor& probabilities, const Tensor& target, double smooth) {
  DLCUDA_CHECK(probabilities.rank() >= 2, ShapeError,
               "dice_loss: expected probabilities (N, ...), got shape {}", to_string(probabilities.shape()));
  require_pair("dice_loss", probabilities, target);
  std::vector<int> inside(static_cast<std::size_t>(probabilities.rank() - 1));
  std::iota(inside.begin(), inside.end(), 1);
  const Tensor both = affine(sum(multiply(probabilities, target), inside), 2, smooth);
  const Tensor all = affine(add(sum(probabilities, inside), sum(target, inside)), 1, smooth);
  return affine(mean(divide(both, all)), -1, 1);
}

Tensor cosine_similarity(const Tensor& a, const Tensor& b, double epsilon) {
  require_rows("cosine_similarity", a, b);
  // In f16 the epsilon would be 0.
  const auto direction = [&](const Tensor& x) {
    const Tensor wide = widened(x);
    const Tensor length = norm(wide, Norm::L2, kLastAxis, true);
    return divide(wide, clamp(length, epsilon, std::numeric_limits<double>::infinity()));
  };
  return cast(sum(multiply(direction(a), direction(b)), kLastAxis), a.dtype());
}

Tensor squared_distance(const Tensor& a, const Tensor& b) {
  require_rows("squared_distance", a, b);
  return sum(square(subtract(a, b)), kLastAxis);
}

Tensor triplet_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative, double margin,
                    bool squared) {
  require_rows("triplet_loss", anchor, positive);
  require_rows("triplet_loss", anchor, negative);
  constexpr double kEpsilon = 1e-6;  // keeps PyTorch's distance away from its kink
  const auto d = [&](const Tensor& other) {
    return squared ? squared_distance(anchor, other) : distance(anchor, other, kEpsilon);
  };
  return mean(relu(affine(subtract(d(positive), d(negative)), 1, margin)));
}

Tensor contrastive_loss(const Tensor& a, const Tensor& b, const Tensor& same, double margin) {
  require_rows("contrastive_loss", a, b);
  require_flags("contrastive_loss", a, same);
  const Tensor apart = square(relu(affine(distance(a, b, 0), -1, margin)));
  return mean(add(multiply(same, squared_distance(a, b)), multiply(affine(same, -1, 1), apart)));
}

Tensor cosine_loss(const Tensor& a, const Tensor& b, const Tensor& same, double margin) {
  require_rows("cosine_loss", a, b);
  require_flags("cosine_loss", a, same);
  const Tensor cosine = cosine_similarity(a, b);
  return mean(add(multiply(same, affine(cosine, -1, 1)),
                  multiply(affine(same, -1, 1), relu(affine(cosine, 1, -margin)))));
}

}  // namespace dlcuda::functional
