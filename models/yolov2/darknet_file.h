// Darknet's `.weights` files as bytes; darknet_weights.h brings them into modules.
//
//   header     i32 major, minor, revision; pictures seen: u32 before version 0.2, u64 from then on
//   the rest   for each convolution, in f32: biases (or the norm's beta), and with a batch norm gamma,
//   running
//              mean, running variance; then the weights (O, I, KH, KW)
//
// All little-endian. Nothing says which network a file belongs to: its size must be that network's exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

struct DarknetHeader {
  std::int32_t major = 0, minor = 2, revision = 0;
  std::uint64_t seen = 0;  ///< pictures that the network was trained with

  /// 16 or 20, by the version.
  std::uint64_t bytes() const;
  bool operator==(const DarknetHeader&) const = default;
};

/// The header of a file of `file_size` bytes that begins with `bytes`: at least 20 of them, or the whole
/// file. Throws FormatError, in which `source` is the name of the file, for a file that is too short and for
/// a version that Darknet never had.
DarknetHeader parse_darknet_header(std::span<const std::byte> bytes, std::uint64_t file_size,
                                   std::string_view source);

/// The inverse. Throws ArgumentError for a version that Darknet never had, and where `seen` does not fit it.
std::vector<std::byte> format_darknet_header(const DarknetHeader& header);

/// What a file holds of one convolution.
struct DarknetSection {
  std::string name;  ///< for messages
  std::uint64_t bytes = 0;
};

/// Throws FormatError, saying where the file goes wrong, unless header and sections are its `file_size`
/// bytes. network: what the sections belong to.
void check_darknet_size(const DarknetHeader& header, std::span<const DarknetSection> sections,
                        std::uint64_t file_size, std::string_view source, std::string_view network);

}  // namespace dlcuda
