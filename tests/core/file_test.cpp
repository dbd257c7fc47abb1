#include "dlcuda/core/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(bytes(text));
  file.commit();
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& item : std::filesystem::directory_iterator(folder)) {
    names.push_back(item.path().filename().string());
  }
  return names;
}

/// Root may do everything; for the scope of a test it is nobody.
class Unprivileged {
 public:
  Unprivileged() : was_root_(::geteuid() == 0) {
    if (was_root_ && ::seteuid(65534) != 0) throw std::runtime_error("seteuid");
  }
  ~Unprivileged() {
    if (was_root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool was_root_;
};

/// No file of this process may grow beyond `bytes`: what a full disk looks like.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    if (::getrlimit(RLIMIT_FSIZE, &before_) != 0) throw std::runtime_error("getrlimit");
    const rlimit limit{bytes, before_.rlim_max};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("setrlimit");
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST(InputFile, ReadsAtAnyOffset) {
  const TempFolder folder;
  write_text(folder / "f", "0123456789");
  const InputFile file(folder / "f");
  EXPECT_EQ(file.size(), 10u);
  EXPECT_EQ(file.path(), (folder / "f").string());
  std::array<std::byte, 4> buffer{};
  ASSERT_EQ(file.read_at(3, buffer), 4u);
  EXPECT_EQ(char(buffer[0]), '3');
  EXPECT_EQ(char(buffer[3]), '6');
  EXPECT_EQ(file.read_at(8, buffer), 2u);
  EXPECT_EQ(file.read_at(10, buffer), 0u);
}

TEST(InputFile, RefusesWhatIsNoFile) {
  const TempFolder folder;
  expect_error<IoError>([&] { InputFile(folder / "missing"); }, (folder / "missing").string(),
                        "No such file");
  expect_error<IoError>([&] { InputFile(folder.path()); }, folder.path().string(), "is a folder");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error<IoError>([&] { InputFile(folder / "pipe"); }, (folder / "pipe").string(),
                        "not a regular file");
  expect_error<IoError>([&] { InputFile("/dev/zero"); }, "/dev/zero", "not a regular file");
}

TEST(InputFile, RefusesAnUnreadableFile) {
  const TempFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  write_text(folder / "secret", "x");
  std::filesystem::permissions(folder / "secret", std::filesystem::perms::none);
  const Unprivileged nobody;
  expect_error<IoError>([&] { InputFile(folder / "secret"); }, (folder / "secret").string(),
                        "Permission denied");
}

TEST(AtomicFile, AppearsOnlyWhenComplete) {
  const TempFolder folder;
  write_text(folder / "f", "before");
  {
    AtomicFile file(folder / "f");
    file.write(bytes("af"));
    EXPECT_EQ(read_text(folder / "f"), "before");
    file.write(bytes("ter"));
    file.commit();
    EXPECT_EQ(read_text(folder / "f"), "after");
  }
  EXPECT_EQ(read_text(folder / "f"), "after");
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("f"));
}

TEST(AtomicFile, LeavesNothingWhenItIsNotCommitted) {
  const TempFolder folder;
  AtomicFile(folder / "f").write(bytes("half"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(AtomicFile, TakesANameWithoutAFolder) {
  const TempFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_atomically("f", "here");
  std::filesystem::current_path(before);
  EXPECT_EQ(read_text(folder / "f"), "here");
}

TEST(AtomicFile, TakesTheLongestName) {
  const TempFolder folder;
  const std::string name(255, 'n');
  write_atomically(folder / name, "x");
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre(name));
}

TEST(AtomicFile, KeepsTheUsersPermissionMask) {
  const TempFolder folder;
  const mode_t before = ::umask(027);
  write_atomically(folder / "f", "x");
  ::umask(before);
  EXPECT_EQ(std::filesystem::status(folder / "f").permissions(), std::filesystem::perms(0640));
}

TEST(AtomicFile, RefusesAFolderThatIsMissing) {
  const TempFolder folder;
  const auto path = folder / "missing/f";
  expect_error<IoError>([&] { write_atomically(path, "x"); }, path.string(), "No such file or directory");
}

TEST(AtomicFile, RefusesAFolderInPlaceOfAFile) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "f");
  expect_error<IoError>([&] { write_atomically(folder / "f", "x"); }, (folder / "f").string(), "a folder's");
  expect_error<IoError>([&] { write_atomically("", "x"); }, "expected the name of a file");
  EXPECT_TRUE(std::filesystem::is_empty(folder / "f"));
}

TEST(AtomicFile, RefusesAFolderThatMayNotBeWritten) {
  const TempFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  const auto path = folder / "f";
  {
    const Unprivileged nobody;
    expect_error<IoError>([&] { write_atomically(path, "x"); }, path.string(), "Permission denied");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(AtomicFile, AFullDiskLeavesWhatWasThere) {
  const TempFolder folder;
  write_text(folder / "f", "before");
  {
    const FileSizeLimit limit(4096);
    expect_error<IoError>([&] { write_atomically(folder / "f", std::string(10'000, 'x')); },
                          (folder / "f").string(), "cannot be written: File too large");
  }
  EXPECT_EQ(read_text(folder / "f"), "before");
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("f"));
}

}  // namespace
}  // namespace dlcuda
