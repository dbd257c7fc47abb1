// Reads the program's own section table. Linker symbols around the section would need a section name of ours,
// and GCC forgets section attributes of static variables in template functions (its bug 41091); "noinit"
// survives there.
#include "dlcuda/tests/hostcuda/static_shared.h"

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string_view>

#include "dlcuda/core/check.h"
#include "dlcuda/tests/hostcuda/mock.h"

namespace dlcuda::hostcuda {
namespace {

constexpr const char* kProgram = "/proc/self/exe";

template <typename T>
void read_at(std::ifstream& file, std::uint64_t offset, T* to, std::size_t count) {
  file.seekg(std::streamoff(offset));
  file.read(reinterpret_cast<char*>(to), std::streamsize(count * sizeof(T)));
  DLCUDA_CHECK(file.good(), IoError, "host shim: cannot read the section table of {}", kProgram);
}

/// By how much a position-independent program was moved: the first object listed is the program.
std::uintptr_t load_offset() {
  std::uintptr_t offset = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        *static_cast<std::uintptr_t*>(result) = info->dlpi_addr;
        return 1;
      },
      &offset);
  return offset;
}

}  // namespace

std::vector<std::span<unsigned char>> find_static_shared() {
  std::ifstream file(kProgram, std::ios::binary);
  Elf64_Ehdr header{};
  read_at(file, 0, &header, 1);
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  read_at(file, header.e_shoff, sections.data(), sections.size());
  const Elf64_Shdr& name_table = sections.at(header.e_shstrndx);
  std::string names(name_table.sh_size, '\0');
  read_at(file, name_table.sh_offset, names.data(), names.size());

  std::vector<std::span<unsigned char>> found;
  for (const auto& section : sections) {
    if (!std::string_view(names.c_str() + section.sh_name).starts_with(".noinit")) continue;
    found.emplace_back(reinterpret_cast<unsigned char*>(load_offset() + section.sh_addr), section.sh_size);
  }
  return found;
}

// Neither memset nor instrumented: under ASan there are redzones in between.
__attribute__((no_sanitize("address", "undefined"))) void poison_static_shared(
    const std::vector<std::span<unsigned char>>& sections) {
  constexpr std::uint64_t kPoisonWord = kPoison * 0x0101010101010101u;
  for (const auto& section : sections) {
    volatile unsigned char* byte = section.data();
    volatile unsigned char* const end = byte + section.size();
    for (; end - byte >= 8; byte += 8) *reinterpret_cast<volatile std::uint64_t*>(byte) = kPoisonWord;
    for (; byte != end; ++byte) *byte = kPoison;
  }
}

}  // namespace dlcuda::hostcuda
