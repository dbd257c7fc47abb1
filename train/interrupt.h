// Ctrl-C and termination, noticed between two steps instead of killing the process in the middle of one.
#pragma once

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// While it lives, the first SIGINT or SIGTERM is remembered; a second one ends the process at once. One at a
/// time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// The signal's number, or 0.
  int signal() const;
};

}  // namespace dlcuda
