// The font of data/draw.h: printable ASCII in 5 x 7 pixels. Internal.
#pragma once

#include <cstdint>

namespace dlcuda::glyphs {

inline constexpr std::int64_t kWidth = 5, kHeight = 7;
/// With the space between letters and lines.
inline constexpr std::int64_t kCellWidth = 6, kCellHeight = 9;

/// Whether the letter's pixel is set; everywhere for what is no printable ASCII.
bool has_ink(char letter, std::int64_t row, std::int64_t column);

}  // namespace dlcuda::glyphs
