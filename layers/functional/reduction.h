// Reductions. See layers/functional.h. Axes may be negative; none at all means all of them; reduced axes
// disappear, or stay with extent 1 where `keep`.
#pragma once

#include <optional>
#include <span>

#include "dlcuda/kernels/reduce.h"

namespace dlcuda {
namespace functional DLCUDA_API {

using kernels::Reduction;

Tensor sum(const Tensor& x, std::span<const int> axes = {}, bool keep = false);
Tensor mean(const Tensor& x, std::span<const int> axes = {}, bool keep = false);
/// Largest and smallest; elements that are equal to it share the gradient evenly, as PyTorch's amax and amin.
Tensor amax(const Tensor& x, std::span<const int> axes = {}, bool keep = false);
Tensor amin(const Tensor& x, std::span<const int> axes = {}, bool keep = false);
/// Mean squared distance from the mean, the count lowered by `correction` (1: Bessel's). NaN where nothing is
/// left.
Tensor variance(const Tensor& x, std::span<const int> axes = {}, bool keep = false, double correction = 1);

enum class Norm : std::uint8_t {
  L1,  ///< sum |x|
  L2,  ///< sqrt(sum x^2); the gradient at 0 is 0
  Max  ///< max |x|
};
Tensor norm(const Tensor& x, Norm norm, std::span<const int> axes = {}, bool keep = false);

/// Sum, mean, max or min over one axis, or over everything.
Tensor reduce(const Tensor& x, Reduction reduction, std::optional<int> axis = {});

}  // namespace functional
}  // namespace dlcuda
