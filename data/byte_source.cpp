#include "dlcuda/data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

/// A regular file opened for reading.
class File {
 public:
  explicit File(const std::filesystem::path& path) : path_(path.string()) {
    // O_NONBLOCK: opening a pipe that nobody writes to would otherwise wait for ever.
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    DLCUDA_CHECK(descriptor_ >= 0, IoError, "{}: cannot be opened: {}", path_, reason(errno));
    struct stat status {};
    const char* problem = nullptr;
    if (::fstat(descriptor_, &status) != 0) {
      problem = "cannot be examined";
    } else if (S_ISDIR(status.st_mode)) {
      problem = "is a folder, expected a file";
    } else if (!S_ISREG(status.st_mode)) {
      problem = "is not a regular file";
    }
    if (problem != nullptr) {
      ::close(descriptor_);
      DLCUDA_THROW(IoError, "{}: {}", path_, problem);
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(descriptor_); }

  std::size_t read(std::span<std::uint8_t> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::read(descriptor_, bytes.data() + done, bytes.size() - done);
      if (got < 0 && errno == EINTR) continue;
      DLCUDA_CHECK(got >= 0, IoError, "{}: cannot be read: {}", path_, reason(errno));
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }
  void rewind() {
    DLCUDA_CHECK(::lseek(descriptor_, 0, SEEK_SET) == 0, IoError, "{}: cannot be read: {}", path_,
                 reason(errno));
  }
  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }

 private:
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
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
