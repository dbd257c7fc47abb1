// The cost table's picture: two panels with logarithmic axes on which every sweep is a line. A line as steep
// as the dashed ones grows as its abscissa does.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>

#include "dlcuda/benchmarks/cost/report.h"
#include "dlcuda/train/svg.h"

namespace dlcuda::cost {
namespace {

constexpr double kPanelWidth = 500, kPlotTop = 84, kPlotHeight = 340, kLeft = 70, kRight = 20;
constexpr double kLegendLine = 18, kHeight = kPlotTop + kPlotHeight + 64;
constexpr std::size_t kColors = 9, kLegendColumns = 4;

constexpr const char* kStyles =
    R"(  .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; } .infer { stroke-dasharray: 5 3; }
  .s0 { stroke: #2563eb; } .s1 { stroke: #ea580c; } .s2 { stroke: #059669; } .s3 { stroke: #9333ea; }
  .s4 { stroke: #dc2626; } .s5 { stroke: #ca8a04; } .s6 { stroke: #0891b2; } .s7 { stroke: #db2777; }
  .s8 { stroke: #64748b; }
  .f0 { fill: #2563eb; } .f1 { fill: #ea580c; } .f2 { fill: #059669; } .f3 { fill: #9333ea; }
  .f4 { fill: #dc2626; } .f5 { fill: #ca8a04; } .f6 { fill: #0891b2; } .f7 { fill: #db2777; }
  .f8 { fill: #64748b; }
)";

struct LogAxis {
  int low = 0, high = 1;  // powers of ten
  double at(double value, double from, double to) const {
    return from + (std::log10(value) - low) / (high - low) * (to - from);
  }
};

LogAxis axis_of(const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  LogAxis axis{int(std::floor(std::log10(*least))), int(std::ceil(std::log10(*most)))};
  if (axis.high == axis.low) ++axis.high;
  return axis;
}

using Series = std::function<std::vector<Sample>(const StepSweep&)>;

struct Panel {
  const char *title, *x_name;
  Series series;
  /// Names of powers of ten.
  std::function<std::string(int)> x_label, y_label;
};

class PanelDrawing {
 public:
  PanelDrawing(const Panel& panel, const std::vector<StepSweep>& sweeps,
               const std::function<std::size_t(const StepSweep&)>& color, double offset)
      : panel_(panel), left_(offset + kLeft), right_(offset + kPanelWidth - kRight) {
    std::vector<double> xs, ys;
    for (const StepSweep& sweep : sweeps) {
      for (const Sample& sample : panel.series(sweep)) xs.push_back(sample.x), ys.push_back(sample.y);
    }
    x_ = axis_of(xs);
    y_ = axis_of(ys);
    frame();
    for (const StepSweep& sweep : sweeps) line(sweep, color(sweep));
  }
  std::string take() { return canvas_.take(); }

 private:
  double x(double value) const { return x_.at(value, left_, right_); }
  double y(double value) const { return y_.at(value, kPlotTop + kPlotHeight, kPlotTop); }

  void frame() {
    const double bottom = kPlotTop + kPlotHeight;
    canvas_.text("name", "start", left_, kPlotTop - 14, panel_.title);
    for (int power = y_.low; power <= y_.high; ++power) {
      const double at = y(std::pow(10, power));
      canvas_.line(power == y_.low ? "axis" : "grid", left_, at, right_, at);
      canvas_.text("text", "end", left_ - 8, at + 4, panel_.y_label(power));
    }
    for (int power = x_.low; power <= x_.high; ++power) {
      const double at = x(std::pow(10, power));
      canvas_.line("grid", at, kPlotTop, at, bottom);
      canvas_.text("text", "middle", at, bottom + 18, panel_.x_label(power));
    }
    canvas_.text("text", "middle", (left_ + right_) / 2, bottom + 38, panel_.x_name);
    slopes();
  }

  /// y growing as x does, through every second power of ten.
  void slopes() {
    for (int shift = y_.low - x_.high + 1; shift < y_.high - x_.low; shift += 2) {
      const int from = std::max(x_.low, y_.low - shift), to = std::min(x_.high, y_.high - shift);
      if (from >= to) continue;
      canvas_.line("mark", x(std::pow(10, from)), y(std::pow(10, from + shift)), x(std::pow(10, to)),
                   y(std::pow(10, to + shift)));
    }
  }

  void line(const StepSweep& sweep, std::size_t color) {
    std::string path;
    for (const Sample& sample : panel_.series(sweep)) {
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f} ", path.empty() ? 'M' : 'L', x(sample.x),
                     y(sample.y));
      canvas_.raw(fmt::format(
          "<circle class=\"f{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.2\"><title>{}</title></circle>\n", color,
          x(sample.x), y(sample.y),
          svg::escape(fmt::format("{}, {}, {}: {:.4g} at {:.4g}", sweep.model, to_string(sweep.axis),
                                  sweep.train ? "training" : "inference", sample.y, sample.x))));
    }
    canvas_.raw(fmt::format("<path class=\"line s{}{}\" d=\"{}\"/>\n", color, sweep.train ? "" : " infer",
                            path.substr(0, path.size() - 1)));
  }

  const Panel& panel_;
  double left_, right_;
  LogAxis x_, y_;
  svg::Canvas canvas_;
};

/// 3, "FLOP" -> "1 kFLOP"
std::string with_prefix(int power, const char* unit) {
  constexpr std::array kPrefixes{"", "k", "M", "G", "T", "P"};
  const int index = std::clamp(power / 3, 0, int(kPrefixes.size()) - 1);
  return fmt::format("{:g} {}{}", std::pow(10, power - 3 * index), kPrefixes[std::size_t(index)], unit);
}

}  // namespace

std::string draw(const CostReport& report) {
  std::vector<std::string> models;
  for (const StepSweep& sweep : report.steps) {
    if (std::find(models.begin(), models.end(), sweep.model) == models.end()) models.push_back(sweep.model);
  }
  const auto color = [&](const StepSweep& sweep) {
    return std::size_t(std::find(models.begin(), models.end(), sweep.model) - models.begin()) % kColors;
  };
  const auto bytes = [](int power) { return with_prefix(power, "B"); };
  const std::array panels{
      Panel{"time of a step", "FLOPs of the multiply-adds", [](const StepSweep& s) { return s.time(); },
            [](int power) { return with_prefix(power, ""); },
            [](int power) {
              return power < 3 ? fmt::format("{:g} ms", std::pow(10, power))
                               : fmt::format("{:g} s", std::pow(10, power - 3));
            }},
      Panel{"peak memory", "bytes of the tensors that grow", [](const StepSweep& s) { return s.memory(); },
            bytes, bytes}};

  const double lines = std::ceil(double(models.size()) / kLegendColumns);
  std::string picture = svg::open(kPanelWidth * double(panels.size()), kHeight + lines * kLegendLine, kLeft,
                                  "What a step costs (dashed: inference)", kStyles);
  for (std::size_t i = 0; i < panels.size(); ++i) {
    picture += PanelDrawing(panels[i], report.steps, color, kPanelWidth * double(i)).take();
  }
  svg::Canvas legend;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const double x = kLeft + 220 * double(i % kLegendColumns),
                 y = kHeight + kLegendLine * double(i / kLegendColumns);
    legend.line(fmt::format("line s{}", i % kColors), x, y - 4, x + 18, y - 4);
    legend.text("text", "start", x + 24, y, models[i]);
  }
  return picture + legend.take() + "</svg>\n";
}

}  // namespace dlcuda::cost
