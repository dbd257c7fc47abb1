// --json: the run as one JSON object a line, for programs.
//
//   {"event":"start","model":...,"device":...,"seed":...,"parameters":...,"train_count":...,...}
//   {"event":"epoch","epoch":1,"train_loss":...,"val_loss":...,"val_accuracy":...,"images_per_second":...,...}
//   {"event":"final","test_loss":...,"test_accuracy":...,"weights":"PATH",...}
#pragma once

#include <cstdio>
#include <string>

#include "dlcuda/core/macros.h"
#include "dlcuda/train/report.h"

namespace dlcuda DLCUDA_API {

/// Writes each event to `out` as it happens, and flushes.
class JsonLines : public TrainObserver {
 public:
  explicit JsonLines(std::FILE* out) : out_(out) {}
  void on_start(const StartReport& report) override;
  void on_epoch(const EpochReport& report) override;
  void on_note(const std::string& text) override;
  void on_final(const FinalReport& report) override;

 private:
  std::FILE* out_;
  std::string score_name_;
};

}  // namespace dlcuda
