// Whole files as strings.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_text(const std::filesystem::path& path, std::string_view text) {
  write_file(path, std::span(reinterpret_cast<const unsigned char*>(text.data()), text.size()));
}

}  // namespace dlcuda
