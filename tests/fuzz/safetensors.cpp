// The safetensors reader: the header as bytes, then the same bytes as a file whose tensors are read and
// mapped. What is accepted must be consistent, and what the writer makes of it must read back the same.
#include "dlcuda/core/safetensors.h"

#include <cstring>
#include <filesystem>
#include <span>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/fuzz/fuzz.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned seed);

namespace dlcuda {
namespace {

using fuzz::require;

bool same(const safetensors::Entry& a, const safetensors::Entry& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.begin == b.begin && a.end == b.end;
}

void check_header(const safetensors::Header& header, std::size_t size) {
  std::uint64_t total = 0;
  for (const auto& entry : header.entries) {
    require(entry.begin <= entry.end, "an entry ends before it begins");
    require(checked_bytes(entry.shape, size_of(entry.dtype)) == entry.end - entry.begin,
            "an entry's bytes are not those of its shape");
    total += entry.end - entry.begin;
  }
  require(header.data_start + total == size, "the entries do not cover the data");

  const std::string written = safetensors::format_header(header.entries, header.metadata);
  const auto again =
      safetensors::parse_header(std::as_bytes(std::span(written)), written.size() + total, "written");
  require(again.metadata == header.metadata, "the metadata change in writing");
  require(again.entries.size() == header.entries.size(), "entries get lost in writing");
  for (std::size_t i = 0; i < again.entries.size(); ++i) {
    require(same(again.entries[i], header.entries[i]), "an entry changes in writing");
  }
}

void check_file(const std::string& path) {
  const SafetensorsFile file(path);
  for (const std::string& name : file.names()) {
    try {
      const Tensor read = file.tensor(name), mapped = file.mapped_tensor(name);
      require(read.shape() == file.shape(name) && read.dtype() == file.dtype(name),
              "a tensor is not what the header says");
      require(mapped.shape() == read.shape() && mapped.dtype() == read.dtype() &&
                  (read.nbytes() == 0 || std::memcmp(mapped.data(), read.data(), read.nbytes()) == 0),
              "a mapped tensor differs from the one that was read");
    } catch (const FormatError&) {
      require(file.dtype(name) == DType::Bool, "a tensor cannot be read that the header is right about");
    }
  }
}

}  // namespace

std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> seeds;
  struct Spec {
    std::string name;
    DType dtype;
    Shape shape;
  };
  const auto add = [&](const std::vector<Spec>& tensors,
                       const std::map<std::string, std::string>& metadata = {}) {
    std::vector<safetensors::Entry> entries;
    std::uint64_t offset = 0;
    for (const auto& [name, dtype, shape] : tensors) {
      const std::uint64_t end = offset + checked_bytes(shape, size_of(dtype));
      entries.push_back({name, dtype, shape, offset, end});
      offset = end;
    }
    seeds.push_back(safetensors::format_header(entries, metadata) + std::string(offset, '\1'));
  };
  add({});
  add({}, {{"format", "pt"}});
  add({{"w", DType::F32, Shape{2}}});
  add({{"scalar", DType::I64, Shape{}}, {"empty", DType::F16, Shape{0, 3}}});
  add({{"b", DType::Bool, Shape{3}}, {"h", DType::BF16, Shape{2, 2}}, {"u", DType::U8, Shape{1}}});
  add({{"features.0.weight", DType::F32, Shape{2, 1, 3, 3}}, {"features.0.bias", DType::F32, Shape{2}}},
      {{"a", "1"}, {"quote\"\n", "\xc3\xa4"}});
  add({{"d", DType::F64, Shape{1, 1, 1, 1, 1, 1, 1, 2}}, {"\xe6\xa8\xa1", DType::I32, Shape{5}}});
  return seeds;
}

}  // namespace dlcuda

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dlcuda;
  const auto bytes = std::as_bytes(std::span(data, size));
  bool accepted = false;
  try {
    check_header(safetensors::parse_header(bytes, size, "bytes"), size);
    accepted = true;
  } catch (const FormatError&) {
  }
  // The reader of the file must be of the same opinion.
  try {
    check_file(fuzz::file_with({reinterpret_cast<const char*>(data), size}));
    fuzz::require(accepted, "a file is accepted whose bytes are refused");
  } catch (const FormatError&) {
    fuzz::require(!accepted, "a file is refused whose bytes are accepted");
  }
  return 0;
}

// A header whose length field is wrong is refused before anything of it is looked at. Half of the mutations
// keep the length right: the header ends where the last brace is.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, most);
  constexpr std::size_t kField = dlcuda::safetensors::kLengthBytes;
  if (seed % 2 == 0 || size <= kField) return size;
  std::uint64_t length = size - kField;
  while (length > 0 && data[kField + length - 1] != '}') --length;
  std::memcpy(data, &length, sizeof(length));
  return size;
}
