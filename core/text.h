// Names that people type: patterns that stand for several, and which known name a mistyped one was meant to
// be.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// Levenshtein distance in bytes: insertions, deletions and substitutions count 1 each.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate closest to a mistyped word, the first among equals. Nothing when none is close: more than a
/// third of the longer word's letters (at least two) would have to change, or all of them. Case does not
/// count.
std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string> candidates);

/// Whether the whole text is what the pattern describes: '*' stands for any run of bytes, dots and none at
/// all included, '?' for any one byte, everything else for itself.
bool matches_pattern(std::string_view text, std::string_view pattern);

/// Rows of cells as columns, each as wide as its widest cell and two spaces from the next; lines end with
/// '\n'. `alignment`: '<' (left) or '>' (right) for each column.
std::string format_columns(std::span<const std::vector<std::string>> rows, std::string_view alignment);

/// "; did you mean 'digits'?", or an empty string when nothing is close. Goes at the end of a message.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// The same for a pattern that matches none of these dotted names: the nearest of the names and of the groups
/// that they form ("fc.*" for "fc.weight" and "fc.bias").
std::string did_you_mean_pattern(std::string_view pattern, std::span<const std::string> names);

}  // namespace DLCUDA_API
