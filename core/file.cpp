#include "dlcuda/core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

/// Not taken by another process (its id), another thread (the count), or a process that died with the same id
/// (the caller then asks again).
std::filesystem::path temporary_name(const std::filesystem::path& folder) {
  static std::atomic<unsigned> count{0};
  return folder / fmt::format(".dlcuda-{}-{}.tmp", ::getpid(), count.fetch_add(1));
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : path_(path.string()) {
  // O_NONBLOCK: opening a pipe that nobody writes to would otherwise wait for ever.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  DLCUDA_CHECK(descriptor_ >= 0, IoError, "{}: cannot be opened: {}", path_, reason(errno));
  struct stat status {};
  std::string problem;
  if (::fstat(descriptor_, &status) != 0) {
    problem = "cannot be examined: " + reason(errno);
  } else if (S_ISDIR(status.st_mode)) {
    problem = "is a folder, expected a file";
  } else if (!S_ISREG(status.st_mode)) {
    problem = "is not a regular file";
  }
  if (!problem.empty()) {
    ::close(descriptor_);
    DLCUDA_THROW(IoError, "{}: {}", path_, problem);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::size_t InputFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(descriptor_, bytes.data() + done, bytes.size() - done, off_t(offset + done));
    if (got < 0 && errno == EINTR) continue;
    DLCUDA_CHECK(got >= 0, IoError, "{}: cannot be read at offset {}: {}", path_, offset + done,
                 reason(errno));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::shared_ptr<const std::byte> InputFile::map(std::uint64_t offset, std::size_t size) const {
  struct stat status {};
  DLCUDA_CHECK(::fstat(descriptor_, &status) == 0, IoError, "{}: cannot be examined: {}", path_,
               reason(errno));
  const auto now = static_cast<std::uint64_t>(status.st_size);
  DLCUDA_CHECK(offset <= now && size <= now - offset, IoError,
               "{}: cannot be mapped: bytes {} to {} are wanted, but the file has {}; was it cut short after "
               "it was opened?",
               path_, offset, offset + size, now);
  // Mappings begin at a page.
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t before = offset % page;
  const std::size_t length = before + size;
  void* const start = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, descriptor_, off_t(offset - before));
  DLCUDA_CHECK(start != MAP_FAILED, IoError, "{}: cannot be mapped: {}", path_, reason(errno));
  const std::shared_ptr<const void> mapping(
      start, [length](const void* address) { ::munmap(const_cast<void*>(address), length); });
  return {mapping, static_cast<const std::byte*>(start) + before};
}

AtomicFile::AtomicFile(const std::filesystem::path& path)
    : path_(path), folder_(path.has_parent_path() ? path.parent_path() : std::filesystem::path(".")) {
  std::error_code ignored;
  DLCUDA_CHECK(path_.has_filename() && !std::filesystem::is_directory(path_, ignored), IoError,
               "{}: cannot be written: expected the name of a file, got a folder's", path_.string());
  do {
    temporary_ = temporary_name(folder_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor_ < 0) {
    temporary_.clear();
    fail(errno);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(int error) const {
  DLCUDA_THROW(IoError, "{}: cannot be written: {}", path_.string(), reason(error));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail(errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail(errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  temporary_.clear();
  // Without this the new name itself could be lost with the power. Some file systems cannot do it for folders
  // (EINVAL); they have nothing better to offer.
  const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) {
    // A folder may be writable without being readable; the file itself is complete and in place.
    if (errno == EACCES) return;
    fail(errno);
  }
  const int error = ::fsync(folder) == 0 ? 0 : errno;
  ::close(folder);
  if (error != 0 && error != EINVAL) fail(error);
}

}  // namespace dlcuda
