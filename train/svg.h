// What the project's pictures share: escaped text, rounded axis steps, a buffer to print elements into.
// Internal.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace dlcuda::svg {

/// Text as it may stand in an element or an attribute.
std::string escape(std::string_view text);

/// 1, 2 or 5 times a power of ten, so that about `wanted` steps cover `span` > 0.
double nice_step(double span, int wanted);

/// How many digits after the point tell multiples of `step` apart.
int digits_for(double step);

/// A picture's beginning: its size in pixels, the styles that all of them share (page, title, name, text,
/// grid, axis, mark) followed by the picture's own, in light and in dark, and its title at x = `left`.
/// "</svg>" is its end.
std::string open(double width, double height, double left, std::string_view title,
                 std::string_view own_styles, std::string_view own_dark_styles = {});

/// Elements one after another. `style` is a class of the picture's style sheet.
class Canvas {
 public:
  void line(std::string_view style, double x1, double y1, double x2, double y2);
  /// `anchor`: start, middle or end.
  void text(std::string_view style, std::string_view anchor, double x, double y, std::string_view words);
  void rect(std::string_view style, double x, double y, double width, double height);
  /// Finished elements.
  void raw(std::string_view elements) { svg_ += elements; }
  std::string take() { return std::move(svg_); }

 private:
  std::string svg_;
};

}  // namespace dlcuda::svg
