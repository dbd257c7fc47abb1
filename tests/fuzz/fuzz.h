// What a fuzzing target is made of: a file with the two functions below, named in CMakeLists.txt. libFuzzer
// calls the first one with any bytes; what it may not do is crash, hang, allocate beyond measure or throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Always returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace dlcuda::fuzz {

/// Well-formed inputs to begin from.
std::vector<std::string> seeds();

/// A file in memory with these bytes, for readers that take a path. One for each process: the next one
/// replaces it.
std::string file_with(std::string_view bytes);

/// Ends the process, so that libFuzzer keeps the input.
[[noreturn]] void fail(const char* what);
inline void require(bool condition, const char* what) {
  if (!condition) fail(what);
}

}  // namespace dlcuda::fuzz
