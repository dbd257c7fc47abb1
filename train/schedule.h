// Learning rates over the steps of a run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// A factor of the learning rate that the user chose, from the part of the training that is done: 0 at the
/// first step, towards 1 at the last.
struct Schedule {
  std::string name;
  std::function<double(double done)> factor;
};

/// The same rate throughout.
Schedule constant_schedule();
/// From 1 to `last` along half a cosine wave (Loshchilov & Hutter, 2017, without restarts).
Schedule cosine_schedule(double last = 0);

}  // namespace dlcuda
