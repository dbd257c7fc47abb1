// IDX, the format of MNIST: a magic number, big-endian extents, bytes. Plain or compressed with gzip (told
// apart by the content, not by the name).
//
// Both readers take files from anywhere: they check that the path is a regular file, the header, and its
// promise against the size of the file before they allocate, and let memory grow only as data arrives. They
// throw IoError (cannot be opened or read; not a regular file) and FormatError (empty, wrong magic,
// truncated, trailing bytes, corrupt gzip, an extent of 0), both naming the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

struct IdxImages {
  std::int64_t count = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<std::uint8_t> pixels;  ///< (count, rows, columns)
};

/// Magic number 2051: unsigned bytes, three axes.
IdxImages read_idx_images(const std::filesystem::path& path);

/// Magic number 2049: unsigned bytes, one axis.
std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path);

}  // namespace DLCUDA_API
