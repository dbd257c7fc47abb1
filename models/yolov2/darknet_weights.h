// Darknet's `.weights` files (darknet_file.h), read into modules and written from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/models/yolov2/darknet_file.h"

namespace dlcuda DLCUDA_API {

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
