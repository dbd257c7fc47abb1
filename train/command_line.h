// What all command lines share: how flags are read and how they are refused. Flags are read as text first, so
// that every refusal is worded here, in one way. Internal.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

#include "dlcuda/core/check.h"
#include "dlcuda/core/text.h"

namespace dlcuda::command_line {

template <typename Number>
Number parse_number(const char* flag, const std::string& text, const char* expected) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  DLCUDA_CHECK(parsed.ec == std::errc() && parsed.ptr == end && !text.empty(), ArgumentError,
               "{}: expected {}, got '{}'", flag, expected, text);
  return value;
}

inline std::int64_t parse_count(const char* flag, const std::string& text, std::int64_t least,
                                std::int64_t most) {
  const std::string expected = fmt::format("a whole number from {} to {}", least, most);
  const auto value = parse_number<std::int64_t>(flag, text, expected.c_str());
  DLCUDA_CHECK(value >= least && value <= most, ArgumentError, "{}: expected {}, got '{}'", flag, expected,
               text);
  return value;
}

inline void check_name(const char* flag, const std::string& name, const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  DLCUDA_THROW(ArgumentError, "{}: unknown name '{}'{}; known are: {}", flag, name, did_you_mean(name, known),
               fmt::join(known, ", "));
}

/// CLI11 leaves what it does not know; a word that begins with a dash was meant as a flag.
inline void refuse_leftovers(const CLI::App& app) {
  const std::vector<std::string> leftovers = app.remaining();
  if (leftovers.empty()) return;
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  const std::string word = leftovers.front().substr(0, leftovers.front().find('='));
  const char* kind = word.starts_with("-") ? "unknown flag" : "unexpected argument";
  DLCUDA_THROW(ArgumentError, "{} '{}'{} (--help lists all flags)", kind, word, did_you_mean(word, known));
}

}  // namespace dlcuda::command_line
