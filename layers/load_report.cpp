#include "dlcuda/layers/load_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "dlcuda/core/safetensors_header.h"
#include "dlcuda/layers/state_loader.h"

namespace dlcuda {
namespace {

constexpr std::size_t kMostLines = 40;

/// Names come from files, too: control characters and endless ones are shown as what they are.
std::string printable(const std::string& name) {
  const bool plain =
      name.size() <= 80 && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
  return plain ? name : safetensors::shown(name);
}

void append_lines(std::string& text, std::string_view kind, std::string_view separator,
                  const std::vector<LoadReport::Difference>& differences) {
  const std::size_t shown = std::min(differences.size(), kMostLines);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& [name, detail, nearest] = differences[i];
    text += fmt::format("\n  {}: {}{}{}{}", kind, printable(name), detail.empty() ? "" : separator, detail,
                        nearest.empty() ? "" : "; did you mean '" + printable(nearest) + "'?");
  }
  if (differences.size() > shown) {
    text += fmt::format("\n  {}: {} more", kind, differences.size() - shown);
  }
}

}  // namespace

std::string describe_differences(const LoadReport& report) {
  std::string text;
  append_lines(text, "missing", " ", report.missing);
  append_lines(text, "mismatched", ": ", report.mismatched);
  append_lines(text, "unexpected", "", report.unexpected);
  return text;
}

std::string LoadReport::describe() const {
  const std::size_t wanted = loaded.size() + excluded.size() + missing.size() + mismatched.size();
  std::string text = fmt::format("loaded {} of {} tensors", loaded.size(), wanted);
  std::map<std::pair<DType, DType>, std::size_t> conversions;
  for (const Conversion& conversion : converted) ++conversions[{conversion.from, conversion.to}];
  for (const auto& [dtypes, count] : conversions) {
    text +=
        fmt::format(", {} converted from {} to {}", count, to_string(dtypes.first), to_string(dtypes.second));
  }
  if (!excluded.empty()) text += fmt::format(", {} left out as asked", excluded.size());
  return text + describe_differences(*this);
}

}  // namespace dlcuda
