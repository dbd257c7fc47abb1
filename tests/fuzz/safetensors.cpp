// The safetensors reader: the header as bytes, then the same bytes as a file whose tensors are read and
// mapped. What is accepted must be consistent, and what the writer makes of it must read back the same.
#include "dlcuda/core/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <span>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/fuzz/fuzz.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned seed);

namespace dlcuda {
namespace {

using fuzz::require;

constexpr DType kDTypes[] = {DType::F32, DType::F64, DType::F16, DType::BF16,
                             DType::I32, DType::I64, DType::U8,  DType::Bool};

bool same(const safetensors::Entry& a, const safetensors::Entry& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.begin == b.begin && a.end == b.end;
}

void check_header(const safetensors::Header& header, std::size_t size) {
  std::uint64_t total = 0;
  std::set<std::string_view> names;
  for (const auto& entry : header.entries) {
    require(names.insert(entry.name).second, "a name occurs twice");
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

/// A valid file: the offsets follow from the order.
std::string file_of(std::vector<safetensors::Entry> entries,
                    const std::map<std::string, std::string>& metadata = {}) {
  std::uint64_t offset = 0;
  for (safetensors::Entry& entry : entries) {
    entry.begin = offset;
    entry.end = offset += checked_bytes(entry.shape, size_of(entry.dtype));
  }
  return safetensors::format_header(entries, metadata) + std::string(offset, '\1');
}

/// Up to four tensors with few names to choose from, one of which may lie elsewhere than it should.
std::string nearly_valid(std::minstd_rand& random) {
  const auto below = [&](std::size_t n) { return std::size_t(random() >> 8) % n; };
  std::vector<safetensors::Entry> entries(below(5));
  std::uint64_t offset = 0;
  for (safetensors::Entry& entry : entries) {
    entry.name = std::string(1, char('a' + below(6)));
    entry.dtype = kDTypes[below(std::size(kDTypes))];
    std::vector<std::int64_t> extents(below(4));
    for (std::int64_t& extent : extents) extent = std::int64_t(below(5));
    entry.shape = Shape(std::span<const std::int64_t>(extents));
    entry.begin = offset;
    entry.end = offset += checked_bytes(entry.shape, size_of(entry.dtype));
  }
  if (!entries.empty() && below(2) == 0) {
    safetensors::Entry& entry = entries[below(entries.size())];
    const std::uint64_t shift = below(9);
    const bool back = below(2) == 0;
    if (below(4) != 0) entry.begin = back ? entry.begin - std::min(shift, entry.begin) : entry.begin + shift;
    if (below(4) != 0) entry.end = back ? entry.end - std::min(shift, entry.end) : entry.end + shift;
  }
  std::uint64_t bytes = 0;
  for (const safetensors::Entry& entry : entries) bytes = std::max(bytes, entry.end);
  if (below(4) == 0) bytes += below(4);
  return safetensors::format_header(entries, {}) + std::string(bytes, char(below(3)));
}

}  // namespace

std::vector<std::string> fuzz::seeds() {
  return {
      file_of({}),
      file_of({}, {{"format", "pt"}}),
      file_of({{"w", DType::F32, Shape{2}}}),
      file_of({{"scalar", DType::I64, Shape{}}, {"empty", DType::F16, Shape{0, 3}}}),
      file_of({{"b", DType::Bool, Shape{3}}, {"h", DType::BF16, Shape{2, 2}}, {"u", DType::U8, Shape{1}}}),
      file_of({{"conv.weight", DType::F32, Shape{2, 1, 3, 3}}, {"conv.bias", DType::F32, Shape{2}}},
              {{"a", "1"}, {"quote\"\n", "\xc3\xa4"}}),
      file_of({{"d", DType::F64, Shape{1, 1, 1, 1, 1, 1, 1, 2}}, {"\xe6\xa8\xa1", DType::I32, Shape{5}}}),
  };
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

// Bytes changed at random rarely leave a header that agrees with itself, and such a file is refused before
// the checks behind are reached. So some inputs are made anew, nearly valid, and others get the right length
// field.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  using namespace dlcuda;
  using safetensors::kLengthBytes;
  std::minstd_rand random(seed);
  const std::size_t choice = (random() >> 8) % 4;
  if (choice == 0) {
    const std::string file = nearly_valid(random);
    size = std::min(file.size(), most);
    std::memcpy(data, file.data(), size);
    return size;
  }
  size = LLVMFuzzerMutate(data, size, most);
  if (choice == 1 || size <= kLengthBytes) return size;
  const std::string_view rest(reinterpret_cast<const char*>(data) + kLengthBytes, size - kLengthBytes);
  const std::uint64_t length = rest.rfind('}') + 1;  // 0 where there is none
  std::memcpy(data, &length, sizeof(length));
  return size;
}
