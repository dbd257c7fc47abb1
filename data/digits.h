// The embedded digit set: pictures of handwritten-looking digits, drawn by this library, so that training
// works without a download.
//
// A digit is written with pen strokes (data/digit_shapes.h): its control points tremble, then it is scaled,
// sheared, turned and shifted at random, drawn with a pen of random width and ink, and noise and sometimes a
// stray stroke are added. Positions vary so much that a linear model cannot read the set; a small
// convolutional network can.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/dataset.h"

namespace dlcuda DLCUDA_API {

inline constexpr std::int64_t kDigitSide = 28;

/// Draws picture `index` (not negative) of the set that `seed` names: 28x28 pixels, background 0, ink up to
/// 255. Returns its label, index modulo 10. The same seed and index give the same bytes in every thread and
/// on every machine. Throws ArgumentError for a negative index or a span of another size.
std::int64_t draw_digit(std::uint64_t seed, std::int64_t index, std::span<std::uint8_t> pixels);

/// Pictures [first, first + count) of the set, drawn at once by all threads of the CPU backend and kept in
/// memory.
std::shared_ptr<const ImageDataset> generate_digits(std::uint64_t seed, std::int64_t first,
                                                    std::int64_t count);

}  // namespace DLCUDA_API
