#include "dlcuda/data/byte_source.h"

#include <zlib.h>

#include <array>
#include <utility>

#include "dlcuda/core/check.h"
#include "dlcuda/core/file.h"

namespace dlcuda {
namespace {

/// Reads a file from its beginning to its end.
class File {
 public:
  explicit File(const std::filesystem::path& path) : file_(path) {}

  std::size_t read(std::span<std::uint8_t> bytes) {
    const std::size_t got = file_.read_at(position_, std::as_writable_bytes(bytes));
    position_ += got;
    return got;
  }
  void rewind() { position_ = 0; }
  const std::string& path() const { return file_.path(); }
  std::uint64_t size() const { return file_.size(); }

 private:
  InputFile file_;
  std::uint64_t position_ = 0;
};

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(std::unique_ptr<File> file) : file_(std::move(file)) {}
  std::size_t read(std::span<std::uint8_t> bytes) override { return file_->read(bytes); }
  std::uint64_t limit() const override { return file_->size(); }
  bool compressed() const override { return false; }

 private:
  std::unique_ptr<File> file_;
};

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<File> file) : file_(std::move(file)) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    DLCUDA_CHECK(inflateInit2(&stream_, kGzipOnly) == Z_OK, Error, "{}: zlib could not be started", path());
  }
  ~GzipSource() override { inflateEnd(&stream_); }

  std::size_t read(std::span<std::uint8_t> bytes) override {
    std::size_t done = 0;
    while (done < bytes.size() && !ended_) {
      if (stream_.avail_in == 0) refill();
      const std::size_t room = std::min<std::size_t>(bytes.size() - done, 1u << 30);
      stream_.next_out = bytes.data() + done;
      stream_.avail_out = static_cast<uInt>(room);
      const int status = inflate(&stream_, Z_NO_FLUSH);
      done += room - stream_.avail_out;
      if (status == Z_STREAM_END) {
        finish();
      } else if (status == Z_MEM_ERROR) {
        DLCUDA_THROW(Error, "{}: zlib ran out of memory", path());
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        DLCUDA_THROW(FormatError, "{}: corrupt gzip data near byte {}: {}", path(), consumed(),
                     stream_.msg != nullptr ? stream_.msg : "invalid stream");
      }
    }
    return done;
  }
  // Deflate packs at most 258 bytes into two bits: 1032 to 1.
  std::uint64_t limit() const override { return file_->size() * 1032; }
  bool compressed() const override { return true; }

 private:
  const std::string& path() const { return file_->path(); }
  std::uint64_t consumed() const { return taken_ - stream_.avail_in; }

  void refill() {
    const std::size_t got = file_->read(input_);
    DLCUDA_CHECK(got > 0, FormatError,
                 "{}: truncated gzip: the compressed stream does not end within the {} bytes", path(),
                 taken_);
    taken_ += got;
    stream_.next_in = input_.data();
    stream_.avail_in = static_cast<uInt>(got);
  }
  void finish() {
    ended_ = true;
    DLCUDA_CHECK(consumed() >= file_->size(), FormatError,
                 "{}: {} trailing bytes after the end of the gzip stream", path(),
                 file_->size() - consumed());
  }

  std::unique_ptr<File> file_;
  z_stream stream_{};
  std::array<std::uint8_t, 65536> input_;
  std::uint64_t taken_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> ByteSource::open(const std::filesystem::path& path) {
  auto file = std::make_unique<File>(path);
  DLCUDA_CHECK(file->size() > 0, FormatError, "{}: the file is empty", file->path());
  std::array<std::uint8_t, 2> start{};
  const bool gzip = file->read(start) == 2 && start[0] == 0x1f && start[1] == 0x8b;
  file->rewind();
  if (gzip) return std::make_unique<GzipSource>(std::move(file));
  return std::make_unique<PlainSource>(std::move(file));
}

}  // namespace dlcuda
