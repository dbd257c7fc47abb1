#include "dlcuda/train/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "dlcuda/train/svg.h"

namespace dlcuda {
namespace {

constexpr double kPanelWidth = 480, kHeight = 380;
constexpr double kLeft = 64, kRight = 24, kTop = 84, kBottom = 52;  // margins of a panel's plot area
constexpr std::size_t kMostMarkers = 40;

constexpr const char* kStyles =
    R"(  .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
  .s0 { stroke: #2563eb; } .d0 { fill: #2563eb; } .s1 { stroke: #ea580c; } .d1 { fill: #ea580c; }
)";
constexpr const char* kDarkStyles =
    R"(    .s0 { stroke: #60a5fa; } .d0 { fill: #60a5fa; } .s1 { stroke: #fb923c; } .d1 { fill: #fb923c; }
)";

struct Axis {
  double low, high, step;
  double at(double value, double from, double to) const {
    return from + (value - low) / (high - low) * (to - from);
  }
};

Axis value_axis(const CurvePanel& panel) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Curve& curve : panel.curves) {
    for (const double value : curve.values) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (low > high) low = 0, high = 1;
  if (panel.percent)
    high = 1;  // 100% is where a score wants to go,
  else
    low = 0;  // and 0 where a loss does
  if (high - low < 1e-9) low -= panel.percent ? 0.01 : 0, high += panel.percent ? 0 : 1;
  const double step = svg::nice_step(high - low, 5);
  // The tolerance keeps a value that lies on a tick from opening another step.
  return {std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step, step};
}

std::string label(double value, double step, bool percent) {
  const double shown_step = percent ? step * 100 : step;
  const int digits = svg::digits_for(shown_step);
  return percent ? fmt::format("{:.{}f}%", value * 100, digits) : fmt::format("{:.{}f}", value, digits);
}

class PanelDrawing {
 public:
  PanelDrawing(const CurvePanel& panel, double offset, std::size_t marked)
      : panel_(panel), marked_(marked), left_(offset + kLeft), right_(offset + kPanelWidth - kRight) {
    for (const Curve& curve : panel.curves) epochs_ = std::max(epochs_, curve.values.size());
    values_ = value_axis(panel);
  }

  std::string draw() {
    draw_frame();
    draw_epochs();
    draw_mark();
    for (std::size_t i = 0; i < panel_.curves.size(); ++i) draw_curve(i);
    draw_legend();
    return canvas_.take();
  }

 private:
  double x(std::size_t epoch) const {
    if (epochs_ <= 1) return (left_ + right_) / 2;
    return left_ + 8 + double(epoch - 1) / double(epochs_ - 1) * (right_ - left_ - 16);
  }
  double y(double value) const { return values_.at(value, kHeight - kBottom, kTop); }

  void draw_frame() {
    canvas_.text("name", "start", left_, kTop - 30, panel_.title);
    const int ticks = int(std::lround((values_.high - values_.low) / values_.step));
    for (int i = 0; i <= ticks; ++i) {
      const double value = values_.low + i * values_.step;
      canvas_.line(i == 0 ? "axis" : "grid", left_, y(value), right_, y(value));
      canvas_.text("text", "end", left_ - 8, y(value) + 4, label(value, values_.step, panel_.percent));
    }
  }

  void draw_epochs() {
    const auto step =
        std::size_t(std::max(1.0, svg::nice_step(double(std::max<std::size_t>(epochs_, 1)), 10)));
    for (std::size_t epoch = 1; epoch <= epochs_; ++epoch) {
      if (epoch != 1 && epoch % step != 0) continue;
      canvas_.line("axis", x(epoch), kHeight - kBottom, x(epoch), kHeight - kBottom + 4);
      canvas_.text("text", "middle", x(epoch), kHeight - kBottom + 18, fmt::to_string(epoch));
    }
    canvas_.text("text", "middle", (left_ + right_) / 2, kHeight - 12, "epoch");
  }

  void draw_mark() {
    if (marked_ == 0 || marked_ > epochs_) return;
    canvas_.line("mark", x(marked_), kTop, x(marked_), kHeight - kBottom);
    const bool near_right = x(marked_) > (left_ + right_) / 2;
    canvas_.text("text", near_right ? "end" : "start", x(marked_) + (near_right ? -6 : 6), kTop - 6,
                 fmt::format("best: epoch {}", marked_));
  }

  void draw_curve(std::size_t index) {
    const Curve& curve = panel_.curves[index];
    std::string path;
    bool pen_down = false;
    for (std::size_t i = 0; i < curve.values.size(); ++i) {
      const double value = curve.values[i];
      if (!std::isfinite(value)) {
        pen_down = false;
        continue;
      }
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f} ", pen_down ? 'L' : 'M', x(i + 1), y(value));
      pen_down = true;
    }
    if (path.empty()) return;
    canvas_.raw(
        fmt::format("<path class=\"line s{}\" d=\"{}\"/>\n", index % 2, path.substr(0, path.size() - 1)));
    if (curve.values.size() > kMostMarkers) return;
    for (std::size_t i = 0; i < curve.values.size(); ++i) {
      if (!std::isfinite(curve.values[i])) continue;
      canvas_.raw(
          fmt::format("<circle class=\"d{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>epoch {}: "
                      "{:.5g}</title></circle>\n",
                      index % 2, x(i + 1), y(curve.values[i]), i + 1, curve.values[i]));
    }
  }

  void draw_legend() {
    constexpr double kLetter = 6.6;  // about the width of a letter at 12 px
    double at = right_;
    for (std::size_t i = panel_.curves.size(); i-- > 0;) {
      const std::string& name = panel_.curves[i].name;
      canvas_.text("text", "end", at, kTop - 30, name);
      at -= kLetter * double(name.size()) + 24;
      canvas_.line(i % 2 == 0 ? "line s0" : "line s1", at, kTop - 34, at + 16, kTop - 34);
      at -= 16;
    }
  }

  const CurvePanel& panel_;
  std::size_t marked_;
  double left_, right_;
  std::size_t epochs_ = 0;
  Axis values_{};
  svg::Canvas canvas_;
};

}  // namespace

std::string draw_curves(const std::string& title, const std::vector<CurvePanel>& panels,
                        std::size_t marked_epoch) {
  std::string picture =
      svg::open(kPanelWidth * double(panels.size()), kHeight, kLeft, title, kStyles, kDarkStyles);
  for (std::size_t i = 0; i < panels.size(); ++i) {
    picture += PanelDrawing(panels[i], kPanelWidth * double(i), marked_epoch).draw();
  }
  return picture + "</svg>\n";
}

}  // namespace dlcuda
