// Pictures for the tool to look at.
#pragma once

#include <cstdint>

#include "dlcuda/data/image_file.h"

namespace dlcuda::testing {

inline Image noise(std::int64_t channels, std::int64_t height, std::int64_t width, unsigned seed) {
  Image image{{channels, height, width}, {}};
  for (std::size_t i = 0; i < image.shape.pixels(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    image.pixels.push_back(std::uint8_t(seed >> 24));
  }
  return image;
}

}  // namespace dlcuda::testing
