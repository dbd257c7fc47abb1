#include "dlcuda/kernels/plan_cache.h"

#include <algorithm>
#include <cstdlib>
#include <span>

#include "dlcuda/core/error.h"
#include "dlcuda/core/file.h"

namespace dlcuda::kernels {
namespace {

constexpr std::string_view kHeader = "dlcuda plans 1";

std::filesystem::path folder_in(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr ? std::filesystem::path(value) : std::filesystem::path();
}

/// One field of a line.
std::string field(std::string_view text) {
  std::string result(text);
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r' || c == '\0'; },
      ' ');
  return result;
}

/// Takes the next line off `text`; nothing when its end is missing, as where a file was cut off.
std::optional<std::string_view> next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

}  // namespace

std::filesystem::path cache_folder() {
  if (auto folder = folder_in("DLCUDA_CACHE_DIR"); !folder.empty()) return folder;
  if (const auto folder = folder_in("XDG_CACHE_HOME"); folder.is_absolute()) return folder / "dlcuda";
  if (const auto folder = folder_in("HOME"); !folder.empty()) return folder / ".cache" / "dlcuda";
  return {};
}

PlanCache::Entries PlanCache::read(const std::filesystem::path& path) {
  std::string content;
  try {
    const InputFile file(path);
    if (file.size() > kLargestFile) return {};
    content.resize(file.size());
    content.resize(file.read_at(0, std::as_writable_bytes(std::span(content))));
  } catch (const IoError&) {
    return {};
  }
  std::string_view text = content;
  if (next_line(text) != kHeader) return {};
  Entries entries;
  while (!text.empty()) {
    const auto line = next_line(text);
    const std::size_t tab = line ? line->find('\t') : std::string_view::npos;
    // One wrong line casts doubt on all others.
    if (tab == std::string_view::npos || line->find('\t', tab + 1) != std::string_view::npos) return {};
    entries.insert_or_assign(std::string(line->substr(0, tab)), std::string(line->substr(tab + 1)));
  }
  return entries;
}

void PlanCache::write() const {
  std::string content = std::string(kHeader) + "\n";
  for (const auto& [key, value] : entries_) content += key + "\t" + value + "\n";
  if (content.size() > kLargestFile) return;
  try {
    std::error_code ignored;  // AtomicFile will say it
    std::filesystem::create_directories(file_.parent_path(), ignored);
    AtomicFile file(file_);
    file.write(std::as_bytes(std::span(content)));
    file.commit();
  } catch (const IoError&) {
    // A place that cannot be written to: every process measures for itself.
  }
}

std::optional<std::string> PlanCache::find(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (!read_ && !file_.empty()) entries_.merge(read(file_));
  read_ = true;
  const auto found = entries_.find(field(key));
  return found != entries_.end() ? std::optional(found->second) : std::nullopt;
}

void PlanCache::store(std::string_view key, std::string_view value) {
  const std::lock_guard lock(mutex_);
  entries_.insert_or_assign(field(key), field(value));
  if (file_.empty()) return;
  entries_.merge(read(file_));  // what other processes have written since
  read_ = true;
  write();
}

}  // namespace dlcuda::kernels
