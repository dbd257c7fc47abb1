#include "dlcuda/train/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "dlcuda/core/text.h"

namespace dlcuda {
namespace {

constexpr int kUsualWidth = 80, kWidestBar = 32, kNarrowestBar = 4;

bool utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view locale = value;
    return locale.find("UTF-8") != locale.npos || locale.find("utf8") != locale.npos;
  }
  return false;
}

std::string draw_bar(double fraction, int columns, bool unicode) {
  const int full = std::clamp(int(std::floor(fraction * columns)), 0, columns);
  std::string bar;
  for (int i = 0; i < columns; ++i) bar += unicode ? (i < full ? "━" : "╌") : (i < full ? "#" : ".");
  return bar;
}

std::string rate(double images_per_second) { return with_commas(std::llround(images_per_second)) + " img/s"; }

// Four places, unless the loss is so large that it says something else.
std::string loss_text(double loss) {
  return loss < 1e4 ? fmt::format("{:.4f}", loss) : fmt::format("{:.3e}", loss);
}

}  // namespace

ConsoleTraits console_traits(std::FILE* out) {
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return {.terminal = isatty(fileno(out)) == 1 && !dumb, .unicode = utf8_locale()};
}

int Console::width() const {
  if (traits_.fixed_width > 0) return traits_.fixed_width;
  winsize size{};
  if (ioctl(fileno(out_), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualWidth;
  return size.ws_col;
}

void Console::clear_bar() {
  if (!bar_drawn_) return;
  bar_drawn_ = false;
  std::fputs("\r\x1b[K", out_);
  std::fflush(out_);
}

void Console::print(const std::string& line) {
  clear_bar();
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fputc('\n', out_);
  std::fflush(out_);
}

void Console::on_start(const StartReport& report) {
  score_name_ = report.score_name;
  const TrainOptions& options = report.options;
  print(fmt::format("model: {}, {} parameters", report.model, with_commas(report.parameters)));
  if (!report.layers.empty()) {
    std::string table = format_layers(report.layers, report.parameters);
    table.pop_back();
    print(table);
  }
  print(fmt::format("device: {} ({}), {} thread{}, {}, {}", report.device, report.device_reason,
                    options.threads, options.threads == 1 ? "" : "s", to_string(options.precision),
                    report.memory_format));
  print(fmt::format("data: {}", report.dataset_detail));
  print(fmt::format("training: {} epoch{}, batch size {}, {}, learning rate {:g} ({}), seed {}",
                    options.epochs, options.epochs == 1 ? "" : "s", options.batch_size, options.optimizer,
                    options.lr, report.schedule, options.seed));
  print(fmt::format("run folder: {}", report.run_folder));
}

void Console::on_progress(const ProgressReport& report) {
  if (!traits_.terminal) return;
  // One write, which ends by clearing what an earlier, longer line left: nothing flickers.
  const std::string line = fmt::format("\r{}\x1b[K", format_progress(report, width() - 1, traits_.unicode));
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fflush(out_);
  bar_drawn_ = true;
}

void Console::on_epoch(const EpochReport& report) { print(format_epoch(report, score_name_)); }

void Console::on_final(const FinalReport& report) {
  print(fmt::format("test: {} {:.2f}%, loss {}, on {} images with the weights of epoch {} ({})", score_name_,
                    report.test.score * 100, loss_text(report.test.loss), with_commas(report.test.count),
                    report.weights_epoch, report.weights));
  print(fmt::format(
      "trained in {} at {}",
      report.seconds < 60 ? fmt::format("{:.1f} s", report.seconds) : format_duration(report.seconds),
      rate(report.images_per_second)));
}

std::string format_progress(const ProgressReport& report, int width, bool unicode) {
  const double fraction = report.steps > 0 ? double(report.step) / double(report.steps) : 0;
  const std::string epochs = fmt::to_string(report.epochs);
  const std::string head = fmt::format("epoch {:>{}}/{} ", report.epoch, epochs.size(), epochs);
  // From the most to the least important.
  const std::string parts[] = {fmt::format("{:3.0f}%", fraction * 100),
                               fmt::format("  loss {}", loss_text(report.loss)),
                               fmt::format("  {}", rate(report.images_per_second)),
                               fmt::format("  ETA {}", format_duration(report.seconds_left))};
  std::string tail;
  for (const std::string& part : parts) {
    if (int(head.size() + tail.size() + part.size()) > width) break;
    tail += part;
  }
  const int room = std::min(kWidestBar, width - int(head.size() + tail.size()) - 1);
  if (room < kNarrowestBar) return (head + tail).substr(0, std::size_t(std::max(width, 0)));
  return fmt::format("{}{} {}", head, draw_bar(fraction, room, unicode), tail);
}

std::string format_epoch(const EpochReport& report, const std::string& score_name) {
  const std::string epochs = fmt::to_string(report.epochs);
  const std::string line =
      fmt::format("epoch {:>{}}/{}  train loss {}  val loss {}  val {} {:.2f}%  {}  {:.1f} s", report.epoch,
                  epochs.size(), epochs, loss_text(report.train.loss), loss_text(report.validation.loss),
                  score_name, report.validation.score * 100, rate(report.images_per_second), report.seconds);
  return report.best ? line + "  best" : line;
}

std::string format_layers(const std::vector<LayerSummary>& layers, std::int64_t parameters) {
  // As wide as the sum, which stands above the table.
  const std::size_t count = with_commas(parameters).size();
  std::vector<std::vector<std::string>> rows;
  for (const LayerSummary& layer : layers) {
    rows.push_back({"", layer.name, layer.layer, layer.output,
                    fmt::format("{:>{}}", with_commas(layer.parameters), count)});
  }
  return format_columns(rows, "<<<<>");
}

std::string with_commas(std::int64_t value) {
  std::string digits = fmt::to_string(value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto total = std::llround(seconds);
  const auto hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, rest)
                   : fmt::format("{}:{:02}", minutes, rest);
}

}  // namespace dlcuda
