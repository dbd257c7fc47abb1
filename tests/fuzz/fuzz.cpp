// What all targets share: the flag --write-seeds=FOLDER, which writes the seeds and ends the program, and the
// file in memory.
#include "dlcuda/tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kFlag = "--write-seeds=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    if (!argument.starts_with(kFlag)) continue;
    const std::filesystem::path folder = argument.substr(kFlag.size());
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const std::string& seed : dlcuda::fuzz::seeds()) {
      std::ofstream file(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
      file << seed;
      dlcuda::fuzz::require(bool(file.flush()), "a seed cannot be written");
    }
    std::exit(0);
  }
  return 0;
}

namespace dlcuda::fuzz {

std::string file_with(std::string_view bytes) {
  static const int descriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  require(descriptor >= 0, "there is no file in memory");
  // Shorter and then longer: nothing of the file before is left.
  require(::ftruncate(descriptor, 0) == 0, "the file in memory cannot be emptied");
  require(::pwrite(descriptor, bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()),
          "the file in memory cannot be written");
  return "/proc/self/fd/" + std::to_string(descriptor);
}

void fail(const char* what) {
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

}  // namespace dlcuda::fuzz
