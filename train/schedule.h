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
/// From 1/20 to 1 along a straight line during the first part `warmup` (0 to 1, not 1) of the training, then
/// to 0 along half a cosine wave: large rates before the norms' statistics have settled can cost a small
/// network its first epochs (Goyal et al., 2017; Smith, 2018). Throws ArgumentError for another part.
Schedule warmup_cosine_schedule(double warmup = 0.1);

}  // namespace dlcuda
