#include "dlcuda/kernels/copy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

Tensor counting(const Shape& shape) {
  std::vector<float> values(std::size_t(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0f);
  return Tensor::from_values(values, shape);
}

TEST(Copy, FormatsThereAndBack) {
  for (const Device device : test_devices()) {
    for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 4, 5}, Shape{1, 33, 31, 1}, Shape{2, 64, 33, 7},
                               Shape{0, 3, 2, 2}, Shape{3, 1, 5, 5}, Shape{1, 257, 2, 2}}) {
      SCOPED_TRACE(to_string(device) + " " + to_string(shape));
      const Tensor x = counting(shape), on = x.to(device);
      const Tensor last = kernels::to_format(on, MemoryFormat::ChannelsLast);
      EXPECT_EQ(last.format(), MemoryFormat::ChannelsLast);
      EXPECT_TRUE(last.is_channels_last());
      EXPECT_EQ(last.values<float>(), x.values<float>());
      EXPECT_EQ(kernels::contiguous(last).values<float>(), x.values<float>());
    }
  }
}

TEST(Copy, SlicesBecomeDense) {
  for (const Device device : test_devices()) {
    for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
      const Tensor x = kernels::to_format(counting(Shape{2, 5, 3, 4}), format).to(device);
      const Tensor slice = x.channel_slice(1, 4);
      EXPECT_FALSE(slice.is_dense());
      const Tensor dense = kernels::contiguous(slice);
      EXPECT_TRUE(dense.is_contiguous());
      EXPECT_EQ(dense.values<float>(), slice.values<float>());
      EXPECT_EQ(dense.values<float>()[0], 12.0f);
    }
  }
}

TEST(Copy, CastsEveryPairOfDtypes) {
  const std::vector<DType> all{DType::F32, DType::F64, DType::F16, DType::BF16,
                               DType::I32, DType::I64, DType::U8,  DType::Bool};
  const Tensor source = Tensor::from_values<float>({0, 1, 2, 100, 3.75f}, Shape{5});
  for (const Device device : test_devices()) {
    for (const DType from : all) {
      for (const DType to : all) {
        if (device.is_cuda() && (from == DType::F64 || to == DType::F64)) continue;
        SCOPED_TRACE(to_string(device) + " " + to_string(from) + " to " + to_string(to));
        std::vector<double> expected{0, 1, 2, 100, 3.75};
        const auto through = [&](DType dtype) {
          for (double& value : expected) {
            if (dtype == DType::Bool) value = value != 0;
            if (!is_floating_point(dtype)) value = std::trunc(value);
          }
        };
        through(from);
        through(to);
        EXPECT_EQ(as_doubles(kernels::cast(kernels::cast(source, from).to(device), to)), expected);
      }
    }
  }
}

TEST(Copy, RoundsToNearestEven) {
  // Halfway between two bf16 values, and between two f16 values: to the even one.
  const Tensor x = Tensor::from_values<float>(
      {1.00390625f, 1.01171875f, 1.00048828125f, 1.00146484375f, 65519.0f, 65520.0f, 1e-8f, 5.9604645e-8f},
      Shape{8});
  for (const Device device : test_devices()) {
    const auto bf16 = as_doubles(kernels::cast(x.to(device), DType::BF16));
    EXPECT_EQ(bf16[0], 1.0);
    EXPECT_EQ(bf16[1], 1.015625);
    const auto f16 = as_doubles(kernels::cast(x.to(device), DType::F16));
    EXPECT_EQ(f16[2], 1.0);
    EXPECT_EQ(f16[3], 1.001953125);
    EXPECT_EQ(f16[4], 65504.0);
    EXPECT_TRUE(std::isinf(f16[5]));
    EXPECT_EQ(f16[6], 0.0);
    EXPECT_EQ(f16[7], 0x1p-24);
  }
}

TEST(Copy, HalfHoldsAllItsValues) {
  std::vector<Half> halves(65536);
  for (std::size_t bits = 0; bits < halves.size(); ++bits) halves[bits].bits = std::uint16_t(bits);
  const Tensor x = Tensor::from_values<Half>(halves, Shape{65536});
  for (const Device device : test_devices()) {
    const auto back = kernels::cast(kernels::cast(x.to(device), DType::F32), DType::F16).values<Half>();
    for (std::size_t bits = 0; bits < back.size(); ++bits) {
      const bool nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0;
      if (!nan) {
        ASSERT_EQ(back[bits].bits, bits);
      }
    }
  }
}

TEST(Copy, RefusesWhatDoesNotFit) {
  EXPECT_THROW(kernels::to_format(Tensor::zeros(Shape{2, 3}), MemoryFormat::ChannelsLast), ShapeError);
  EXPECT_THROW(kernels::cast(Tensor(), DType::F32), Error);
}

}  // namespace
}  // namespace dlcuda::testing
