// Files as bytes: reading a regular file at any offset, and replacing a file as a whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// A regular file opened for reading. Several threads may read from it at once.
class InputFile {
 public:
  /// Throws IoError for what is missing, unreadable or no regular file; never waits for a pipe's other end.
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  const std::string& path() const noexcept { return path_; }
  /// Bytes when it was opened.
  std::uint64_t size() const noexcept { return size_; }
  /// Fills `bytes` from `offset` on and returns how many were read: fewer only at the end of the file. Throws
  /// IoError.
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Bytes offset..offset+size-1 as a read-only, private mapping, which lasts as long as the pointer and its
  /// copies. size > 0. Writing to it, and reading from it after the file was cut short, ends the process
  /// (SIGSEGV, SIGBUS). Throws IoError, also where the bytes are not all in the file.
  std::shared_ptr<const std::byte> map(std::uint64_t offset, std::size_t size) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// Writes a file that appears under its name only when it is complete and on the disk: until commit() the
/// bytes go to a temporary file in the same folder, which is removed when anything fails. What stood under
/// the name before stays as it was until then. Errors are IoErrors with path and reason.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends.
  void write(std::span<const std::byte> bytes);
  /// Brings the bytes to the disk, then the name; once, at the end.
  void commit();

 private:
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_;
  std::filesystem::path folder_;
  std::filesystem::path temporary_;  // empty once it has become path_
  int descriptor_ = -1;
};

}  // namespace dlcuda
