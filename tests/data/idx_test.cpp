#include "dlcuda/data/idx.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/data/idx_files.h"

namespace dlcuda {
namespace {

class Idx : public testing::Test {
 protected:
  std::filesystem::path write(const Bytes& bytes, const std::string& name = "file") {
    write_file(folder_ / name, bytes);
    return folder_ / name;
  }
  /// Reading the images fails, and the message names the file.
  template <typename ErrorType, typename... Words>
  void images_refused(const Bytes& bytes, const Words&... words) {
    const auto path = write(bytes);
    expect_error<ErrorType>([&] { read_idx_images(path); }, path.string(), words...);
  }

  TempFolder folder_;
};

TEST_F(Idx, ReadsPlainImages) {
  const IdxImages images =
      read_idx_images(write(idx({2051, 2, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255})));
  EXPECT_EQ(images.count, 2);
  EXPECT_EQ(images.rows, 2);
  EXPECT_EQ(images.columns, 3);
  EXPECT_EQ(images.pixels, (std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255}));
}

TEST_F(Idx, ReadsPlainLabels) {
  EXPECT_EQ(read_idx_labels(write(idx({2049, 3}, {7, 0, 9}))), (std::vector<std::uint8_t>{7, 0, 9}));
}

TEST_F(Idx, ReadsGzipWhateverTheNameSays) {
  // More than one buffer of compressed input and more than one chunk of output.
  Bytes payload;
  std::uint32_t state = 1;
  for (int i = 0; i < 3 * 1024 * 1024; ++i) {
    state = state * 1664525u + 1013904223u;
    payload.push_back(static_cast<unsigned char>(state >> 28));
  }
  const Bytes packed = gzip(idx({2051, 3, 1024, 1024}, payload));
  ASSERT_GT(packed.size(), 200000u);
  const IdxImages images = read_idx_images(write(packed, "no-suffix"));
  EXPECT_EQ(images.count, 3);
  EXPECT_TRUE(images.pixels == payload);
  EXPECT_EQ(read_idx_labels(write(gzip(idx_labels(12)), "labels.gz")).back(), 1);
}

TEST_F(Idx, MissingFile) {
  expect_error<IoError>([&] { read_idx_images(folder_ / "nothing"); }, "nothing", "cannot be opened",
                        "No such file");
}

TEST_F(Idx, FolderInsteadOfFile) {
  expect_error<IoError>([&] { read_idx_images(folder_.path()); }, folder_.path().string(), "is a folder");
}

TEST_F(Idx, PipeIsRefusedWithoutWaiting) {
  const auto path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_error<IoError>([&] { read_idx_images(path); }, "pipe", "not a regular file");
}

TEST_F(Idx, DeviceIsRefused) {
  expect_error<IoError>([] { read_idx_images("/dev/zero"); }, "/dev/zero", "not a regular file");
}

TEST_F(Idx, UnreadableFile) {
  const auto path = write(idx_images(1));
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0000), 0);
  // The superuser reads everything, so this thread looks at files as nobody meanwhile.
  const int owner = ::setfsuid(65534);
  const int probe = ::open(path.c_str(), O_RDONLY);
  if (probe >= 0) {
    ::close(probe);
    ::setfsuid(static_cast<uid_t>(owner));
    GTEST_SKIP() << "this user reads files without permission";
  }
  expect_error<IoError>([&] { read_idx_images(path); }, path.string(), "cannot be opened",
                        "Permission denied");
  ::setfsuid(static_cast<uid_t>(owner));
}

TEST_F(Idx, EmptyFile) { images_refused<FormatError>({}, "empty"); }

TEST_F(Idx, WrongMagic) {
  images_refused<FormatError>(idx({1234, 1, 1, 1}, {0}), "wrong magic number", "expected 2051", "got 1234",
                              "offset 0");
}

TEST_F(Idx, LabelsInsteadOfImages) {
  images_refused<FormatError>(idx_labels(20), "wrong magic number", "expected 2051 (IDX images)",
                              "got 2049 (IDX labels)");
}

TEST_F(Idx, ImagesInsteadOfLabels) {
  const auto path = write(idx_images(1));
  expect_error<FormatError>([&] { read_idx_labels(path); }, "expected 2049 (IDX labels)",
                            "got 2051 (IDX images)");
}

TEST_F(Idx, FileEndsWithinTheHeader) {
  images_refused<FormatError>({0, 0, 8}, "truncated", "magic number");
  images_refused<FormatError>(idx({2051, 1}), "truncated", "extents");
  images_refused<FormatError>(gzip(idx({2051, 1})), "truncated", "extents");
}

TEST_F(Idx, ZeroImages) { images_refused<FormatError>(idx({2051, 0, 28, 28}), "zero items"); }

TEST_F(Idx, ZeroRows) { images_refused<FormatError>(idx({2051, 5, 0, 28}), "an extent is 0", "5 x 0 x 28"); }

TEST_F(Idx, ZeroLabels) {
  const auto path = write(idx({2049, 0}));
  expect_error<FormatError>([&] { read_idx_labels(path); }, "zero items");
}

TEST_F(Idx, FourGibibyteExtentInASmallFile) {
  const Bytes header = idx({2051, 1, 1, 0xffffffffu});
  ASSERT_EQ(header.size(), 16u);
  images_refused<FormatError>(header, "promises 1 x 1 x 4294967295 bytes", "has 0 bytes after the header");
  images_refused<FormatError>(gzip(header), "promises 1 x 1 x 4294967295 bytes", "cannot hold more than");
}

TEST_F(Idx, ProductOfExtentsOverflows) {
  // 2^32 * 2^31 * 2 wraps to 0 in 64 bits.
  images_refused<FormatError>(idx({2051, 0x80000000u, 0x80000000u, 4}), "promises");
  images_refused<FormatError>(idx({2051, 0xffffffffu, 0xffffffffu, 0xffffffffu}), "promises");
}

TEST_F(Idx, TruncatedPlainFile) {
  Bytes bytes = idx_images(3);
  bytes.pop_back();
  images_refused<FormatError>(bytes, "truncated", "3 x 28 x 28", "2351 bytes");
}

TEST_F(Idx, TrailingBytesInAPlainFile) {
  Bytes bytes = idx_images(3);
  bytes.push_back(0);
  images_refused<FormatError>(bytes, "1 trailing bytes");
}

TEST_F(Idx, TruncatedGzip) {
  const Bytes whole = gzip(idx_images(3));
  for (const std::size_t length : {whole.size() - 1, whole.size() - 8, whole.size() / 2, std::size_t{12}}) {
    images_refused<FormatError>(Bytes(whole.begin(), whole.begin() + std::ptrdiff_t(length)),
                                "truncated gzip");
  }
}

TEST_F(Idx, GzipWithLessThanTheHeaderPromises) {
  images_refused<FormatError>(gzip(idx({2051, 2, 2, 2}, {1, 2, 3, 4, 5})), "truncated", "2 x 2 x 2",
                              "end after 5 bytes");
}

TEST_F(Idx, GzipWithMoreThanTheHeaderPromises) {
  images_refused<FormatError>(gzip(idx({2051, 1, 2, 2}, {1, 2, 3, 4, 5})), "trailing bytes");
}

TEST_F(Idx, BytesBehindTheGzipStream) {
  Bytes bytes = gzip(idx_images(1));
  bytes.insert(bytes.end(), {1, 2, 3});
  images_refused<FormatError>(bytes, "3 trailing bytes", "gzip");
}

TEST_F(Idx, GzipChecksum) {
  Bytes bytes = gzip(idx_images(2));
  bytes[bytes.size() - 8] ^= 1;  // the last eight bytes: CRC-32 and length
  images_refused<FormatError>(bytes, "corrupt gzip", "incorrect data check");
}

TEST_F(Idx, GzipLength) {
  Bytes bytes = gzip(idx_images(2));
  bytes[bytes.size() - 1] ^= 1;
  images_refused<FormatError>(bytes, "corrupt gzip", "incorrect length check");
}

TEST_F(Idx, GarbageAfterTheGzipMagic) {
  images_refused<FormatError>({0x1f, 0x8b, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}, "corrupt gzip");
}

}  // namespace
}  // namespace dlcuda
