#include "dlcuda/data/idx.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>

#include "dlcuda/core/check.h"
#include "dlcuda/data/byte_source.h"

namespace dlcuda {
namespace {

constexpr std::uint32_t kImageMagic = 2051, kLabelMagic = 2049;

std::string describe_magic(std::uint32_t magic) {
  if (magic == kImageMagic) return "2051 (IDX images)";
  if (magic == kLabelMagic) return "2049 (IDX labels)";
  return fmt::format("{} (0x{:08x})", magic, magic);
}

/// An IDX file of unsigned bytes: its header is checked when it is opened, the payload when it is read.
template <std::size_t kAxes>
class IdxReader {
 public:
  IdxReader(const std::filesystem::path& path, std::uint32_t magic)
      : path_(path.string()), source_(ByteSource::open(path)) {
    const std::uint32_t found = big_endian("the magic number");
    DLCUDA_CHECK(found == magic, FormatError, "{}: wrong magic number at offset 0: expected {}, got {}",
                 path_, describe_magic(magic), describe_magic(found));
    std::uint64_t payload = 1;
    bool overflow = false;
    for (auto& extent : extents) {
      extent = big_endian("the extents");
      overflow = overflow || __builtin_mul_overflow(payload, std::uint64_t(extent), &payload);
    }
    DLCUDA_CHECK(extents[0] != 0, FormatError, "{}: holds zero items (count at offset 4)", path_);
    DLCUDA_CHECK(std::ranges::count(extents, 0u) == 0, FormatError, "{}: an extent is 0 ({})", path_,
                 promise());
    const std::uint64_t limit = source_->limit(), room = limit < kHeader ? 0 : limit - kHeader;
    DLCUDA_CHECK(
        !overflow && payload <= room, FormatError,
        "{}: truncated, or its header is wrong: it promises {}, but the file {} {} bytes after the header",
        path_, promise(), source_->compressed() ? "cannot hold more than" : "has", room);
    DLCUDA_CHECK(source_->compressed() || payload == room, FormatError,
                 "{}: {} trailing bytes after the {} that the header promises", path_, room - payload,
                 promise());
    payload_ = payload;
  }

  std::vector<std::uint8_t> read() {
    std::vector<std::uint8_t> bytes;
    // The size of a plain file is known to fit. What a gzip file unpacks to is only a claim, so memory
    // follows data.
    if (!source_->compressed()) bytes.reserve(payload_);
    constexpr std::uint64_t kChunk = 1 << 20;
    while (bytes.size() < payload_) {
      const std::size_t have = bytes.size(), want = std::min<std::uint64_t>(kChunk, payload_ - have);
      bytes.resize(have + want);
      const std::size_t got = source_->read(std::span(bytes).subspan(have));
      DLCUDA_CHECK(got == want, FormatError,
                   "{}: truncated: the header promises {}, but the data end after {} bytes", path_, promise(),
                   have + got);
    }
    // Reading past the end also makes gzip compare its checksum.
    std::array<std::uint8_t, 1> more{};
    DLCUDA_CHECK(source_->read(more) == 0, FormatError,
                 "{}: trailing bytes after the {} that the header promises", path_, promise());
    return bytes;
  }

  std::array<std::uint32_t, kAxes> extents{};

 private:
  static constexpr std::uint64_t kHeader = 4 + 4 * kAxes;

  std::uint32_t big_endian(const char* what) {
    std::array<std::uint8_t, 4> b{};
    DLCUDA_CHECK(source_->read(b) == b.size(), FormatError, "{}: truncated: the file ends within {}", path_,
                 what);
    return std::uint32_t(b[0]) << 24 | std::uint32_t(b[1]) << 16 | std::uint32_t(b[2]) << 8 |
           std::uint32_t(b[3]);
  }
  std::string promise() const { return fmt::format("{} bytes", fmt::join(extents, " x ")); }

  std::string path_;
  std::unique_ptr<ByteSource> source_;
  std::uint64_t payload_ = 0;
};

}  // namespace

IdxImages read_idx_images(const std::filesystem::path& path) {
  IdxReader<3> reader(path, kImageMagic);
  IdxImages images;
  images.count = reader.extents[0];
  images.rows = reader.extents[1];
  images.columns = reader.extents[2];
  images.pixels = reader.read();
  return images;
}

std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path) {
  return IdxReader<1>(path, kLabelMagic).read();
}

}  // namespace dlcuda
