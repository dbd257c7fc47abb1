#include "dlcuda/core/determinism.h"

#include <atomic>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

std::atomic<bool> enabled = false;

}  // namespace

bool deterministic() { return enabled.load(std::memory_order_relaxed); }
void set_deterministic(bool value) { enabled.store(value, std::memory_order_relaxed); }

void refuse_if_deterministic(std::string_view operation, std::string_view alternative) {
  DLCUDA_CHECK(
      !deterministic(), Error,
      "{} has no deterministic implementation for these arguments, and deterministic mode is on: use "
      "{}, or turn it off with set_deterministic(false)",
      operation, alternative);
}

}  // namespace dlcuda
