#include "dlcuda/benchmarks/kernels/timer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "dlcuda/core/stream.h"

namespace dlcuda {
namespace {

constexpr std::int64_t kFlushedBytes = std::int64_t(256) << 20;
/// Events of a round are kept until its end.
constexpr int kMostCalls = 4096;

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

KernelTimer::KernelTimer(Device device, double seconds, int rounds)
    : device_(device), seconds_(seconds), rounds_(rounds) {
  if (device.is_cuda()) flushed_ = Tensor::empty({kFlushedBytes}, DType::U8, device);
}

Spread KernelTimer::time(const std::function<void()>& operation) {
  // Libraries make their plans in the first call, and memory is taken from the system.
  for (int call = 0; call < 2; ++call) round(operation, 1);
  int calls = 1;
  double milliseconds = round(operation, 1);
  while (milliseconds * calls < 250 * seconds_ && calls < kMostCalls) {
    calls = std::min(2 * calls, kMostCalls);
    milliseconds = round(operation, calls);
  }
  calls = int(std::clamp(std::ceil(1000 * seconds_ / milliseconds), 1.0, double(kMostCalls)));
  std::vector<double> rounds;
  for (int i = 0; i < rounds_; ++i) rounds.push_back(round(operation, calls));
  return spread_of(rounds);
}

double KernelTimer::round(const std::function<void()>& operation, int calls) {
  if (!device_.is_cuda()) {
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < calls; ++call) operation();
    return milliseconds_since(start) / calls;
  }
  const Stream stream = current_stream(device_);
  std::vector<Event> before, after;
  for (int call = 0; call < calls; ++call) {
    before.emplace_back(device_, true);
    after.emplace_back(device_, true);
  }
  for (std::size_t call = 0; call < before.size(); ++call) {
    flushed_.zero();
    before[call].record(stream);
    operation();
    after[call].record(stream);
  }
  stream.synchronize();
  double sum = 0;
  for (std::size_t call = 0; call < before.size(); ++call) sum += after[call].elapsed_ms_since(before[call]);
  return sum / calls;
}

}  // namespace dlcuda
