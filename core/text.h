// Words in messages to people: which known name did they mean?
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// Levenshtein distance in bytes: insertions, deletions and substitutions count 1 each.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate closest to a mistyped word, the first among equals. Nothing when none is close: more than a
/// third of the longer word's letters (at least two) would have to change, or all of them. Case does not
/// count.
std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string> candidates);

/// "; did you mean 'digits'?", or an empty string when nothing is close. Goes at the end of a message.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace DLCUDA_API
