#include "dlcuda/optim/gradient_check.h"

#include <cmath>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/check.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/layers/functional.h"

namespace dlcuda {
namespace {

/// Values in [0.5, 1.5): none is lost, and equal outputs get unequal weights.
Tensor random_projection(const Shape& shape) {
  Tensor projection = Tensor::empty(shape, DType::F64);
  kernels::fill_uniform(projection, 0.5, 1.5,
                        {.key = 1, .ordinal = 0, .step = Tensor::zeros({1}, DType::I64)});
  return projection;
}

std::vector<std::int64_t> coordinates(const Shape& shape, std::int64_t position) {
  std::vector<std::int64_t> index(std::size_t(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[std::size_t(axis)] = position % shape[axis];
    position /= shape[axis];
  }
  return index;
}

/// The element at logical coordinates, wherever the memory format puts it.
double& element(const Tensor& x, const std::vector<std::int64_t>& index) {
  std::int64_t offset = 0;
  for (std::size_t axis = 0; axis < index.size(); ++axis) offset += index[axis] * x.strides()[axis];
  return x.data<double>()[offset];
}

/// f's output times the projection, summed. Outside the graph, and on the host, so that nothing that is under
/// test takes part.
double project(const Tensor& output, const std::vector<double>& projection) {
  const std::vector<double> values = output.values<double>();
  DLCUDA_CHECK(values.size() == projection.size(), ArgumentError,
               "check_gradients: f gave {} elements, and {} when it was called again", projection.size(),
               values.size());
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * projection[i];
  return sum;
}

}  // namespace

std::string GradientCheck::describe() const {
  if (input < 0) return "no element to check";
  return fmt::format("input {} at [{}]: analytic {}, numeric {}, error {:.3g}", input, fmt::join(index, ", "),
                     analytic, numeric, largest_error);
}

GradientCheck check_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                              const std::vector<Tensor>& inputs, const GradientCheckOptions& options) {
  DLCUDA_CHECK(options.epsilon > 0, ArgumentError, "check_gradients: epsilon must be positive, got {}",
               options.epsilon);
  std::vector<Tensor> copies;
  bool any = false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) {
      copies.emplace_back();
      continue;
    }
    DLCUDA_CHECK(inputs[i].device().is_cpu(), DeviceError, "check_gradients: input {} is on {}, not the CPU",
                 i, to_string(inputs[i].device()));
    copies.push_back(inputs[i].clone());
    if (inputs[i].dtype() != DType::F64) continue;
    copies.back().set_requires_grad();
    any = true;
  }
  DLCUDA_CHECK(any, ArgumentError, "check_gradients: none of the {} inputs is f64", inputs.size());

  const Tensor output = f(copies);
  DLCUDA_CHECK(output.dtype() == DType::F64, DTypeError, "check_gradients: f must return f64, got {}",
               to_string(output.dtype()));
  const Tensor projection = random_projection(output.shape());
  if (output.requires_grad()) {
    const Tensor weighted = functional::multiply(functional::contiguous(output), projection);
    functional::reduce(weighted, functional::Reduction::Sum).backward();
  }

  const autograd::NoGrad no_grad;
  const std::vector<double> weights = projection.values<double>();
  GradientCheck result;
  double worst = -1;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (!copies[i].defined() || copies[i].dtype() != DType::F64) continue;
    // An input that the output does not depend on has no gradient, which means zero.
    const Tensor grad = copies[i].grad();
    for (std::int64_t position = 0; position < copies[i].numel(); ++position) {
      const auto index = coordinates(copies[i].shape(), position);
      double& x = element(copies[i], index);
      const double before = x, above = before + options.epsilon, below = before - options.epsilon;
      x = above;
      const double high = project(f(copies), weights);
      x = below;
      const double low = project(f(copies), weights);
      x = before;
      const double numeric = (high - low) / (above - below);
      const double analytic = grad.defined() ? element(grad, index) : 0.0;
      const double error = std::abs(analytic - numeric);
      const double ratio = error / (options.atol + options.rtol * std::abs(numeric));
      // A comparison with NaN fails, here and below: it counts as the worst.
      if (ratio <= worst) continue;
      worst = std::isnan(ratio) ? HUGE_VAL : ratio;
      result = {.ok = ratio <= 1,
                .largest_error = error,
                .input = int(i),
                .index = index,
                .analytic = analytic,
                .numeric = numeric};
    }
  }
  return result;
}

}  // namespace dlcuda
