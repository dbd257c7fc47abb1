#include "dlcuda/train/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace dlcuda::svg {

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

double nice_step(double span, int wanted) {
  const double raw = span / wanted, power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10 * power;
}

int digits_for(double step) { return std::max(0, int(-std::floor(std::log10(step) + 1e-9))); }

std::string open(double width, double height, double left, std::string_view title,
                 std::string_view own_styles, std::string_view own_dark_styles) {
  std::string picture = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n",
      width, height);
  picture += R"(<style>
  .page { fill: #ffffff; } .title { fill: #111827; font-size: 16px; font-weight: 600; }
  .name { fill: #111827; font-size: 13px; font-weight: 600; } .text { fill: #4b5563; font-size: 12px; }
  .grid { stroke: #e5e7eb; stroke-width: 1; } .axis { stroke: #6b7280; stroke-width: 1; }
  .mark { stroke: #6b7280; stroke-width: 1; stroke-dasharray: 4 4; }
)";
  picture += own_styles;
  picture += R"(  @media (prefers-color-scheme: dark) {
    .page { fill: #0f172a; } .title, .name { fill: #f1f5f9; } .text { fill: #cbd5e1; }
    .grid { stroke: #253047; } .axis, .mark { stroke: #94a3b8; }
)";
  picture += own_dark_styles;
  picture += "  }\n</style>\n";
  picture +=
      fmt::format("<rect class=\"page\" width=\"{:.0f}\" height=\"{:.0f}\" rx=\"8\"/>\n", width, height);
  picture += fmt::format("<text class=\"title\" x=\"{:.0f}\" y=\"30\">{}</text>\n", left, escape(title));
  return picture;
}

void Canvas::line(std::string_view style, double x1, double y1, double x2, double y2) {
  fmt::format_to(std::back_inserter(svg_),
                 "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", style, x1,
                 y1, x2, y2);
}

void Canvas::text(std::string_view style, std::string_view anchor, double x, double y,
                  std::string_view words) {
  fmt::format_to(std::back_inserter(svg_),
                 "<text class=\"{}\" text-anchor=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", style, anchor,
                 x, y, escape(words));
}

void Canvas::rect(std::string_view style, double x, double y, double width, double height) {
  fmt::format_to(std::back_inserter(svg_),
                 "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n", style,
                 x, y, width, height);
}

}  // namespace dlcuda::svg
