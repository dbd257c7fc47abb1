// How long one operation takes by itself.
#pragma once

#include <functional>

#include "dlcuda/core/tensor.h"
#include "dlcuda/train/benchmark.h"

namespace dlcuda {

/// On the CPU: calls one after another, by the clock. On CUDA: events before and after each call, and between
/// calls a fill larger than the L2 cache, so that each call finds its inputs in memory; that fill also gives
/// the host time to launch ahead. The device is waited for at the ends of rounds only.
class KernelTimer {
 public:
  /// A round takes about `seconds` of the operation's own time.
  KernelTimer(Device device, double seconds, int rounds);

  /// Milliseconds of a call, over the rounds. Throws what the operation throws.
  Spread time(const std::function<void()>& operation);

 private:
  double round(const std::function<void()>& operation, int calls);

  Device device_;
  double seconds_;
  int rounds_;
  Tensor flushed_;  // of CUDA alone
};

}  // namespace dlcuda
