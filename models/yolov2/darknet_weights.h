// Darknet's `.weights` files, read and written.
//
//   header     i32 major, minor, revision; pictures seen: u32 before version 0.2, u64 from then on
//   the rest   for each convolution, in f32: biases (or the norm's beta), and with a batch norm gamma,
//   running
//              mean, running variance; then the weights (O, I, KH, KW)
//
// All little-endian. Nothing says which network a file belongs to: its size must be that of the module
// exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/module.h"

namespace dlcuda DLCUDA_API {

struct DarknetHeader {
  std::int32_t major = 0, minor = 2, revision = 0;
  std::uint64_t seen = 0;  ///< pictures that the network was trained with

  /// 16 or 20, by the version.
  std::uint64_t bytes() const;
  bool operator==(const DarknetHeader&) const = default;
};

/// The header of a file of `file_size` bytes that begins with `bytes` (at least 20, or the whole file).
/// Throws FormatError, in which `source` is the name of the file, for a file that is too short and for a
/// version that Darknet never had.
DarknetHeader parse_darknet_header(std::span<const std::byte> bytes, std::uint64_t file_size,
                                   std::string_view source);

/// Reads weights into the convolutions of a module, in order of registration: f32, each with a bias or
/// followed by a batch norm; `count`: only into the first ones, which the file must hold then (a backbone
/// without its head). The size is checked before anything is allocated, and nothing is changed when something
/// is wrong. Throws IoError; FormatError (path, offset, what was expected, what came); ArgumentError for a
/// module with other parameters than convolutions and their norms.
DarknetHeader load_darknet_weights(const std::filesystem::path& path, Module& module,
                                   std::optional<std::int64_t> count = {});
/// The same from memory; `source` stands in messages.
DarknetHeader load_darknet_weights(std::span<const std::byte> file, std::string_view source, Module& module,
                                   std::optional<std::int64_t> count = {});

/// Bytes of such a file. Throws ArgumentError as above.
std::uint64_t darknet_weights_bytes(const Module& module, const DarknetHeader& header = {},
                                    std::optional<std::int64_t> count = {});

/// The inverse, which replaces the file only when it is complete. Throws IoError; ArgumentError as above, for
/// a version that Darknet never had, and where `seen` does not fit the version.
void save_darknet_weights(const std::filesystem::path& path, const Module& module,
                          const DarknetHeader& header = {}, std::optional<std::int64_t> count = {});

}  // namespace dlcuda
