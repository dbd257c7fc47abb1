// Deterministic mode for a part of a test.
#pragma once

#include "dlcuda/core/determinism.h"

namespace dlcuda {

/// On while it lives, then as it was before.
class DeterministicMode {
 public:
  DeterministicMode() : before_(deterministic()) { set_deterministic(true); }
  ~DeterministicMode() { set_deterministic(before_); }
  DeterministicMode(const DeterministicMode&) = delete;
  DeterministicMode& operator=(const DeterministicMode&) = delete;

 private:
  bool before_;
};

}  // namespace dlcuda
