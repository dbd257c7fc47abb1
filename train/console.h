// The run for people: a header, then on a terminal a bar that moves, in a pipe or a file one line an epoch.
#pragma once

#include <cstdio>
#include <string>

#include "dlcuda/core/macros.h"
#include "dlcuda/train/report.h"

namespace dlcuda DLCUDA_API {

/// What a stream can show.
struct ConsoleTraits {
  bool terminal = false;  ///< a bar can be redrawn in place
  bool unicode = false;
  int fixed_width = 0;  ///< columns; 0: ask the terminal each time, for windows change their size
};
/// A terminal that is not "dumb"; Unicode from the locale.
ConsoleTraits console_traits(std::FILE* out);

class Console : public TrainObserver {
 public:
  Console(std::FILE* out, const ConsoleTraits& traits) : out_(out), traits_(traits) {}
  explicit Console(std::FILE* out) : Console(out, console_traits(out)) {}
  /// Leaves no half-drawn bar behind.
  ~Console() override { clear_bar(); }

  const ConsoleTraits& traits() const { return traits_; }
  /// A line of its own, above the bar.
  void print(const std::string& line);

  void on_start(const StartReport& report) override;
  void on_progress(const ProgressReport& report) override;
  void on_epoch(const EpochReport& report) override;
  void on_note(const std::string& text) override { print(text); }
  void on_final(const FinalReport& report) override;

 private:
  void clear_bar();
  int width() const;

  std::FILE* out_;
  ConsoleTraits traits_;
  bool bar_drawn_ = false;
  std::string score_name_;
};

/// The bar, at most `width` columns: what does not fit is left out, the bar itself first.
std::string format_progress(const ProgressReport& report, int width, bool unicode);
std::string format_epoch(const EpochReport& report, const std::string& score_name);
/// Layers with output shapes and parameters, in aligned columns; lines end with '\n'.
std::string format_layers(const std::vector<LayerSummary>& layers, std::int64_t parameters);
/// 61706 -> "61,706"
std::string with_commas(std::int64_t value);
/// 75 -> "1:15", 4000 -> "1:06:40"
std::string format_duration(double seconds);

}  // namespace dlcuda
