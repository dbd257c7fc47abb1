#include "dlcuda/models/model_sizes.h"

#include <optional>

#include "dlcuda/train/planning.h"

namespace dlcuda {
namespace {

using Shapes = std::map<std::string, Shape>;

Shapes shapes_of(const ZooModel& model, const ModelSizes& sizes) {
  Shapes shapes;
  for (const auto& [name, tensor] : model.make(sizes.classes, sizes.channels)->state_dict()) {
    shapes.emplace(name, tensor.shape());
  }
  return shapes;
}

/// The size for which the weights have their extents, when `base` is the model's shapes for `size` and `next`
/// those for one more: extents grow linearly with it.
std::optional<std::int64_t> solve(const Shapes& base, const Shapes& next, std::int64_t size,
                                  const Shapes& weights) {
  std::optional<std::int64_t> result;
  for (const auto& [name, shape] : base) {
    const auto grown = next.find(name), given = weights.find(name);
    if (grown == next.end() || given == weights.end() || given->second.rank() != shape.rank()) continue;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const std::int64_t slope = grown->second[axis] - shape[axis];
      if (slope <= 0) continue;
      const std::int64_t difference = given->second[axis] - shape[axis];
      const std::int64_t found = size + difference / slope;
      if (difference % slope != 0 || found < 1 || (result && *result != found)) return std::nullopt;
      result = found;
    }
  }
  return result;
}

}  // namespace

ModelSizes find_sizes(const ZooModel& model, const std::map<std::string, Shape>& weights) {
  const PlanningGround ground(Device::cpu());
  const ModelSizes usual{model.classes, model.input.channels};
  const Shapes base = shapes_of(model, usual);
  const auto classes =
      solve(base, shapes_of(model, {usual.classes + 1, usual.channels}), usual.classes, weights);
  const auto channels =
      solve(base, shapes_of(model, {usual.classes, usual.channels + 1}), usual.channels, weights);
  return {classes.value_or(usual.classes), channels.value_or(usual.channels)};
}

}  // namespace dlcuda
