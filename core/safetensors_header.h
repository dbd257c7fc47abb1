// The header of a safetensors file, as a pure function of bytes in both directions.
//
//   8 bytes    n, the length of the header: unsigned, little-endian
//   n bytes    the header: a JSON object, which may be padded with spaces at its end
//                "name": {"dtype": "F32", "shape": [6, 1, 5, 5], "data_offsets": [begin, end]}, ...
//                "__metadata__": {"any key": "any text", ...}      (may be absent)
//   the rest   the elements, little-endian, in N, C, H, W order; data_offsets count from its beginning, and
//   the
//              tensors cover it without gaps or overlaps
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/dtype.h"
#include "dlcuda/core/macros.h"
#include "dlcuda/core/shape.h"

namespace dlcuda DLCUDA_API {
namespace safetensors {

/// Bytes of the length field, and the most bytes a header may have.
inline constexpr std::uint64_t kLengthBytes = 8;
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

/// What a header says about one tensor. Its elements are bytes begin..end-1 of the data.
struct Entry {
  std::string name;
  DType dtype = DType::F32;
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Header {
  std::vector<Entry> entries;                   ///< in the order of the header, names unique
  std::map<std::string, std::string> metadata;  ///< empty when there is none
  std::uint64_t data_start = 0;                 ///< offset of the data in the file
};

/// Text from a file as messages show it: quoted, control characters escaped, and cut after 80 bytes.
std::string shown(std::string_view text);

/// Where the data begins in a file of `file_size` bytes that starts with `bytes` (at least the length field).
/// Throws FormatError, in which `source` is the name of the file.
std::uint64_t parse_data_start(std::span<const std::byte> bytes, std::uint64_t file_size,
                               std::string_view source);

/// Reads the header of a file of `file_size` bytes that starts with `bytes`: the length field and the header;
/// what follows is ignored. Everything that the header says is checked against the file's size, so that a
/// file cannot make its reader allocate more than a few times its own length, nor recurse. Throws
/// FormatError, in which `source` is the name of the file.
Header parse_header(std::span<const std::byte> bytes, std::uint64_t file_size, std::string_view source);

/// The length field and the header for these entries and this metadata, padded with spaces to a multiple of 8
/// bytes. Throws ArgumentError for names or texts that are not UTF-8, and for a header beyond
/// kMaxHeaderBytes.
std::string format_header(std::span<const Entry> entries, const std::map<std::string, std::string>& metadata);

}  // namespace safetensors
}  // namespace dlcuda
