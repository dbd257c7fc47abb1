// Bytes of a file from outside, read in order; gzip is unpacked on the way. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace dlcuda {

class ByteSource {
 public:
  /// Opens a regular file. Throws IoError (missing, a folder, a pipe or device, no permission) and
  /// FormatError (empty). Never blocks.
  static std::unique_ptr<ByteSource> open(const std::filesystem::path& path);

  virtual ~ByteSource() = default;
  /// Fills as much of `bytes` as there is; less than asked for means that the end is reached. Throws IoError,
  /// and FormatError for a gzip stream that is cut off, fails its checksum or has something behind it.
  virtual std::size_t read(std::span<std::uint8_t> bytes) = 0;
  /// The most bytes that the file can hold, known without reading it. Exact for a plain file.
  virtual std::uint64_t limit() const = 0;
  virtual bool compressed() const = 0;
};

}  // namespace dlcuda
