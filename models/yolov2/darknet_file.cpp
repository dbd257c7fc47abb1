#include "dlcuda/models/yolov2/darknet_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

constexpr std::uint64_t kVersionBytes = 12;
/// Darknet takes larger numbers for something else: files with transposed matrices.
constexpr std::int32_t kVersionEnd = 1000;

bool is_version(const DarknetHeader& header) {
  return header.major >= 0 && header.major < kVersionEnd && header.minor >= 0 && header.minor < kVersionEnd;
}

bool has_wide_count(const DarknetHeader& header) { return header.major * 10 + header.minor >= 2; }

}  // namespace

std::uint64_t DarknetHeader::bytes() const {
  return kVersionBytes + (has_wide_count(*this) ? sizeof(std::uint64_t) : sizeof(std::uint32_t));
}

DarknetHeader parse_darknet_header(std::span<const std::byte> bytes, std::uint64_t file_size,
                                   std::string_view source) {
  const auto check_length = [&](std::uint64_t expected) {
    const std::uint64_t length = std::min<std::uint64_t>(bytes.size(), file_size);
    DLCUDA_CHECK(length >= expected, FormatError,
                 "{}: offset {}: the file ends within the header of Darknet's weights; expected {} bytes",
                 source, length, expected);
  };
  check_length(kVersionBytes);
  DarknetHeader header;
  std::int32_t version[3];
  std::memcpy(version, bytes.data(), kVersionBytes);
  header.major = version[0];
  header.minor = version[1];
  header.revision = version[2];
  DLCUDA_CHECK(
      is_version(header), FormatError,
      "{}: offset 0: expected the version of Darknet's weights (0.1.0, 0.2.0), got {}.{}.{}; it is no "
      "such file",
      source, header.major, header.minor, header.revision);
  check_length(header.bytes());
  // A u32 is the low half of the u64.
  std::memcpy(&header.seen, bytes.data() + kVersionBytes, std::size_t(header.bytes() - kVersionBytes));
  return header;
}

std::vector<std::byte> format_darknet_header(const DarknetHeader& header) {
  DLCUDA_CHECK(is_version(header), ArgumentError,
               "Darknet weights: major and minor version must be from 0 to {}, got {}.{}", kVersionEnd - 1,
               header.major, header.minor);
  DLCUDA_CHECK(has_wide_count(header) || header.seen <= std::numeric_limits<std::uint32_t>::max(),
               ArgumentError,
               "Darknet weights: version {}.{} counts pictures with 32 bits, got {}; take version 0.2",
               header.major, header.minor, header.seen);
  std::vector<std::byte> bytes(kVersionBytes + sizeof header.seen);
  const std::int32_t version[3] = {header.major, header.minor, header.revision};
  std::memcpy(bytes.data(), version, kVersionBytes);
  std::memcpy(bytes.data() + kVersionBytes, &header.seen, sizeof header.seen);
  bytes.resize(std::size_t(header.bytes()));
  return bytes;
}

void check_darknet_size(const DarknetHeader& header, std::span<const DarknetSection> sections,
                        std::uint64_t file_size, std::string_view source, std::string_view network) {
  std::uint64_t expected = header.bytes(), complete_end = expected;
  std::size_t complete = 0;
  for (const DarknetSection& section : sections) {
    expected += section.bytes;
    if (expected > file_size) continue;
    complete_end = expected;
    ++complete;
  }
  if (file_size == expected) return;
  const std::string where =
      complete < sections.size()
          ? fmt::format(
                "it holds the first {} of {} convolutions, and {} of the {} bytes of {} from offset {} on",
                complete, sections.size(), file_size - complete_end, sections[complete].bytes,
                sections[complete].name, complete_end)
          : fmt::format("{} bytes are left over from offset {} on", file_size - expected, expected);
  DLCUDA_THROW(FormatError,
               "{}: expected {} bytes for {} ({} convolutions after a header of {} bytes), got {}: {}; is it "
               "another model, or one for other classes?",
               source, expected, network, sections.size(), header.bytes(), file_size, where);
}

}  // namespace dlcuda
