// What the models' entries in the zoo have in common. Internal.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "dlcuda/data/shapes.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda {

/// ZooModel::make for a Model that is made from a configuration with `classes` and `in_channels`.
template <typename Model, typename Config>
auto configured(const Config& config) {
  return [config](std::int64_t classes, std::int64_t channels) -> std::unique_ptr<Module> {
    Config changed = config;
    changed.classes = classes;
    changed.in_channels = channels;
    return std::make_unique<Model>(changed);
  };
}

/// A classifier of generated shapes: what a training program makes where it is given no other data.
inline ZooModel small_shapes_model(const char* name, std::string paper, std::int64_t parameters,
                                   decltype(ZooModel::make) make) {
  return {.name = name,
          .paper = std::move(paper),
          .input = {3, 32, 32},
          .classes = std::int64_t(kShapeNames.size()),
          .normalization = shapes_normalization(),
          .parameters = parameters,
          .make = std::move(make)};
}

/// Channels times a width multiplier, to the nearest multiple of 8, and never more than a tenth below the
/// product: the rule of the MobileNets and EfficientNets.
inline std::int64_t scaled_channels(std::int64_t channels, double width) {
  constexpr std::int64_t kMultiple = 8;
  const double exact = static_cast<double>(channels) * width;
  std::int64_t rounded = static_cast<std::int64_t>(exact + kMultiple / 2) / kMultiple * kMultiple;
  if (rounded < kMultiple) rounded = kMultiple;
  return static_cast<double>(rounded) < 0.9 * exact ? rounded + kMultiple : rounded;
}

}  // namespace dlcuda
