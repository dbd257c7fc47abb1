// A folder that goes with the test that made it, and where the real data lie.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>

#include "dlcuda/tests/support/errors.h"

namespace dlcuda {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "dlcuda-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + name);
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, std::span<const unsigned char> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

/// Where the real data sets lie: $DLCUDA_DATA_DIR, else beside the source tree. Tests skip what is not there.
inline std::filesystem::path shared_data_folder() {
  if (const char* folder = std::getenv("DLCUDA_DATA_DIR"); folder != nullptr && *folder != '\0')
    return folder;
  return std::filesystem::path(DLCUDA_SOURCE_DIR) / ".." / "shared" / "data";
}

}  // namespace dlcuda
