#include "dlcuda/train/step_profile.h"

#include <algorithm>
#include <span>
#include <utility>

#include "dlcuda/core/check.h"

namespace dlcuda {

StepProfile::StepProfile(const std::filesystem::path& path, std::int64_t steps)
    : path_(path), file_(path), last_(std::min(kLast, steps)) {
  DLCUDA_CHECK(steps >= kFirst, ArgumentError,
               "--profile: it begins at step {}, and this run has {}: use more --epochs, a smaller "
               "--batch-size or a higher --limit",
               kFirst, steps);
}

void StepProfile::restart() {
  profile_.reset();
  recorded_ = 0;
}

void StepProfile::before_step(std::int64_t step) {
  if (!done_ && !profile_ && step >= kFirst) profile_.emplace();
}

std::string StepProfile::after_step(std::int64_t step) {
  recorded_ = step;
  return step >= last_ ? finish() : std::string();
}

std::string StepProfile::finish() {
  if (std::exchange(done_, true)) return {};
  if (recorded_ < kFirst) {
    profile_.reset();
    return fmt::format("no profile: it begins at step {}, and the run ended after step {}", kFirst,
                       recorded_);
  }
  profile_->stop();
  const std::string trace = profile_->chrome_trace();
  file_.write(std::as_bytes(std::span(trace)));
  file_.commit();
  return fmt::format(
      "profile of steps {} to {}: {} (open it in https://ui.perfetto.dev or chrome://tracing)\n{}", kFirst,
      recorded_, path_.string(), profile_->table());
}

}  // namespace dlcuda
