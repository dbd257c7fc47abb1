// Copies between the host and a CUDA device through page-locked blocks (core/transfer.h).
#include "dlcuda/core/transfer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/memory/storage.h"
#include "dlcuda/core/stream.h"
#include "dlcuda/core/tensor.h"
#include "dlcuda/tests/support/devices.h"

namespace dlcuda {
namespace {

class CudaTransfer : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto cuda = dlcuda::testing::cuda_for_test();
    if (!cuda.available) GTEST_SKIP() << cuda.reason;
  }
  static std::vector<std::uint8_t> bytes(std::size_t count) {
    std::vector<std::uint8_t> result(count);
    for (std::size_t i = 0; i < count; ++i) result[i] = std::uint8_t(i * 31 + i / 251);
    return result;
  }
};

TEST_F(CudaTransfer, EverySizeArrives) {
  for (const std::size_t count :
       {std::size_t(0), std::size_t(1), std::size_t(4097), kStagingBytes - 1, kStagingBytes,
        kStagingBytes + 1, 3 * kStagingBytes, 7 * kStagingBytes + 13}) {
    const auto values = bytes(count);
    const Tensor there = Tensor::from_values(values, {std::int64_t(count)}, Device::cuda());
    EXPECT_EQ(there.values<std::uint8_t>(), values) << count << " bytes";
    EXPECT_EQ(there.to(Device::cpu()).to(Device::cuda()).values<std::uint8_t>(), values) << count << " bytes";
  }
}

TEST_F(CudaTransfer, SlicesArriveRowByRow) {
  // Rows that are as long as several blocks, that do not divide a block, and short ones.
  for (const Shape& shape :
       {Shape{3, 4, 1, std::int64_t(kStagingBytes)}, Shape{9, 3, 1000, 1000}, Shape{5, 6, 3, 2}}) {
    const Tensor whole = Tensor::from_values(bytes(std::size_t(shape.numel())), shape);
    const Tensor slice = whole.channel_slice(1, 3);
    const Tensor there = slice.to(Device::cuda());
    EXPECT_EQ(there.values<std::uint8_t>(), slice.values<std::uint8_t>()) << to_string(shape);
    Tensor back = Tensor::zeros(shape, DType::U8);
    back.channel_slice(1, 3).copy_from(there);
    EXPECT_EQ(back.channel_slice(1, 3).values<std::uint8_t>(), slice.values<std::uint8_t>())
        << to_string(shape);
    EXPECT_EQ(back.channel_slice(0, 1).values<std::uint8_t>(),
              std::vector<std::uint8_t>(std::size_t(shape.numel() / shape[1]), 0))
        << to_string(shape);
  }
}

TEST_F(CudaTransfer, ALargeCopyUsesFewBlocks) {
  CachingAllocator& pinned = pinned_allocator();
  Stream().synchronize();
  const auto values = bytes(12 * kStagingBytes);
  current_stream(Device::cuda()).synchronize();
  pinned.empty_cache();
  pinned.reset_peaks();
  const std::size_t before = pinned.stats().total.active.current;
  const Tensor there = Tensor::from_values(values, {std::int64_t(values.size())}, Device::cuda());
  EXPECT_LE(pinned.stats().total.active.peak - before, kStagingBlocks * kStagingBytes);
  EXPECT_GE(pinned.stats().total.active.peak - before, kStagingBytes);
  EXPECT_EQ(there.values<std::uint8_t>(), values);
}

TEST_F(CudaTransfer, ABlockIsNotReusedBeforeTheDeviceHasReadIt) {
  CachingAllocator& pinned = pinned_allocator();
  current_stream(Device::cuda()).synchronize();
  pinned.empty_cache();
  ASSERT_EQ(pinned.stats().deferred, 0u);
  const Tensor there = Tensor::from_values(std::vector<float>(1000, 1.0f), {1000}, Device::cuda());
  EXPECT_GE(pinned.stats().deferred, 4000u) << "freed, but waiting for the stream that reads it";
  current_stream(Device::cuda()).synchronize();
  pinned.empty_cache();
  EXPECT_EQ(pinned.stats().deferred, 0u);
  EXPECT_EQ(there.values<float>(), std::vector<float>(1000, 1.0f));
  EXPECT_EQ(pinned.stats().deferred, 0u) << "towards the host everything has been waited for";
}

TEST_F(CudaTransfer, PageLockedTensorsLiveUntilTheyAreRead) {
  CachingAllocator& pinned = pinned_allocator();
  current_stream(Device::cuda()).synchronize();
  pinned.empty_cache();
  Tensor there;
  {
    const auto storage = Storage::allocate(4096, Device::cpu(), pinned);
    std::memset(storage->data(), 7, 4096);
    there = Tensor::empty({4096}, DType::U8, Device::cuda());
    auto* const from = static_cast<const std::byte*>(storage->data());
    transfer({static_cast<std::byte*>(there.data()), 4096, from, 4096, 4096, 1}, Device::cuda(),
             Device::cpu(), storage.get());
  }
  EXPECT_EQ(pinned.stats().deferred, 4096u) << "copied from where it lies, and kept for the copy";
  EXPECT_EQ(there.values<std::uint8_t>(), std::vector<std::uint8_t>(4096, 7));
}

}  // namespace
}  // namespace dlcuda
