// A profile of some steps of a training run: what --profile FILE does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "dlcuda/core/file.h"
#include "dlcuda/core/macros.h"
#include "dlcuda/core/profile.h"

namespace dlcuda DLCUDA_API {

/// Records the training steps kFirst to kLast, counted from 1 over all epochs: those before them make plans,
/// fill caches and take memory from the system. What happens between two of them (a validation, where they
/// are of two epochs) is in the profile, too.
class StepProfile {
 public:
  static constexpr std::int64_t kFirst = 3, kLast = 12;

  /// `steps`: of the whole run, which may end before kLast. Throws ArgumentError where it ends before kFirst,
  /// IoError where `path` cannot be written.
  StepProfile(const std::filesystem::path& path, std::int64_t steps);

  /// For a run that begins again, with at least as many steps: forgets what was recorded so far, unless it is
  /// written already.
  void restart();
  /// To be called before the batch of a step is fetched.
  void before_step(std::int64_t step);
  /// To be called after a step's update. After the last one, writes the file and returns the table, and where
  /// the file is, for the user; else an empty text.
  std::string after_step(std::int64_t step);
  /// The same for a run that was interrupted; an empty text where the file is written already.
  std::string finish();

 private:
  std::filesystem::path path_;
  AtomicFile file_;
  std::int64_t last_;
  std::optional<Profile> profile_;
  std::int64_t recorded_ = 0;  // the last step
  bool done_ = false;
};

}  // namespace dlcuda
