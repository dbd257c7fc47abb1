// What reaches the disk, and in which order: the system calls behind AtomicFile are seen, and made to fail,
// by functions of the same name in this program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "dlcuda/core/error.h"
#include "dlcuda/core/file.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/file_text.h"

namespace dlcuda {
namespace {

using testing::ElementsAre;

std::vector<std::string>* calls = nullptr;  // of the watch at hand
std::string failing;                        // the call that fails with EIO

class CallWatch {
 public:
  explicit CallWatch(const std::string& fails = {}) {
    failing = fails;
    calls = &seen_;
  }
  ~CallWatch() { calls = nullptr; }
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;
  const std::vector<std::string>& seen() const { return seen_; }

 private:
  std::vector<std::string> seen_;
};

bool fails(const std::string& call) {
  if (calls == nullptr) return false;
  calls->push_back(call);
  if (call != failing) return false;
  errno = EIO;
  return true;
}

}  // namespace
}  // namespace dlcuda

extern "C" int fsync(int descriptor) {
  struct stat status {};
  const bool folder = ::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode);
  if (dlcuda::fails(folder ? "fsync folder" : "fsync file")) return -1;
  return int(::syscall(SYS_fsync, descriptor));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (dlcuda::fails("rename")) return -1;
  return int(::syscall(SYS_rename, from, to));
}

namespace dlcuda {
namespace {

TEST(FileDurability, TheFileThenItsNameReachTheDisk) {
  const TempFolder folder;
  const CallWatch watch;
  save_safetensors(folder / "w", {{"w", Tensor::scalar(1)}});
  EXPECT_THAT(watch.seen(), ElementsAre("fsync file", "rename", "fsync folder"));
}

TEST(FileDurability, WhatCannotReachTheDiskReplacesNothing) {
  for (const std::string call : {"fsync file", "rename"}) {
    SCOPED_TRACE(call);
    const TempFolder folder;
    write_text(folder / "w", "before");
    const CallWatch watch(call);
    expect_error<IoError>(
        [&] {
          save_safetensors(folder / "w", {{"w", Tensor::scalar(1)}});
        },
        (folder / "w").string(), "cannot be written", "Input/output error");
    EXPECT_EQ(watch.seen().back(), call);
    EXPECT_EQ(read_text(folder / "w"), "before");
    const auto items = std::filesystem::directory_iterator(folder.path());
    EXPECT_EQ(std::distance(begin(items), end(items)), 1);
  }
}

TEST(FileDurability, ANameThatMayBeLostIsAnError) {
  const TempFolder folder;
  const CallWatch watch("fsync folder");
  expect_error<IoError>(
      [&] {
        save_safetensors(folder / "w", {{"w", Tensor::scalar(1)}});
      },
      "Input/output error");
}

}  // namespace
}  // namespace dlcuda
