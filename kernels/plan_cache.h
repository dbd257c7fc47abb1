// Choices that were made by measurement, kept from one process to the next. Internal.
//
// The file is text: a first line that names the format and its version, then a line for each choice, key, tab
// and value. It is an optimisation and nothing else: a file that is missing, damaged, of another format or
// not writable is the same as none, and a value that means nothing any more is measured again by its user.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace dlcuda::kernels {

/// $DLCUDA_CACHE_DIR, else $XDG_CACHE_HOME/dlcuda, else $HOME/.cache/dlcuda; empty where none of them is set.
/// (A relative XDG_CACHE_HOME counts as none, as its specification says.)
std::filesystem::path cache_folder();

/// Safe to use from several threads, and from several processes on one file: each writes all that both know.
class PlanCache {
 public:
  /// An empty path: nothing is kept beyond the process. The file is read at the first use.
  explicit PlanCache(std::filesystem::path file) : file_(std::move(file)) {}

  std::optional<std::string> find(std::string_view key);
  /// Remembers the value, and writes the file (making its folder). Tabs and line ends in either become
  /// spaces.
  void store(std::string_view key, std::string_view value);

  /// Beyond this many bytes a file is taken for something else.
  static constexpr std::uint64_t kLargestFile = std::uint64_t{16} << 20;

 private:
  using Entries = std::map<std::string, std::string, std::less<>>;
  static Entries read(const std::filesystem::path& file);
  void write() const;

  const std::filesystem::path file_;
  std::mutex mutex_;
  bool read_ = false;
  Entries entries_;
};

}  // namespace dlcuda::kernels
