// What the models' entries in the zoo have in common. Internal.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>

#include "dlcuda/layers/module.h"

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
