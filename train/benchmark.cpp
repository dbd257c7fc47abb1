#include "dlcuda/train/benchmark.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/core/stream.h"

namespace dlcuda {

Spread spread_of(std::vector<double> values) {
  DLCUDA_CHECK(!values.empty(), ArgumentError, "spread_of: no values");
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double part) {
    const double at = part * double(values.size() - 1);
    const auto below = std::size_t(at);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (at - double(below)) * (values[above] - values[below]);
  };
  return {.median = quantile(0.5),
          .least = values.front(),
          .lower_quartile = quantile(0.25),
          .upper_quartile = quantile(0.75),
          .most = values.back()};
}

Benchmark::Benchmark(Device device, std::function<void()> work, double seconds)
    : device_(device), work_(std::move(work)) {
  constexpr std::int64_t kMostCalls = 1'000'000'000;
  DLCUDA_CHECK(std::isfinite(seconds) && seconds > 0, ArgumentError,
               "a benchmark's rounds must take more than 0 seconds, got {}", seconds);
  for (int call = 0; call < 3; ++call) run(1);
  // A single call is too short to be timed, so the rounds grow until their length says something.
  double milliseconds = run(1);
  std::int64_t calls = 1;
  while (milliseconds * double(calls) < 250 * seconds && calls < kMostCalls) {
    calls *= 2;
    milliseconds = run(calls);
  }
  calls_ = std::clamp(std::int64_t(std::ceil(1000 * seconds / milliseconds)), std::int64_t(1), kMostCalls);
}

double Benchmark::round() { return run(calls_); }

double Benchmark::run(std::int64_t calls) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  for (std::int64_t call = 0; call < calls; ++call) work_();
  current_stream(device_).synchronize();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count() / double(calls);
}

}  // namespace dlcuda
