#include "dlcuda/core/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using enum MemoryFormat;

/// Each test runs on the CPU, and on a CUDA device where there is one.
class TensorOn : public ::testing::TestWithParam<Device> {
 protected:
  void SetUp() override {
    if (GetParam().is_cpu()) return;
    const CudaForTest cuda = cuda_for_test();
    if (!cuda.available) GTEST_SKIP() << cuda.reason;
  }
  /// 0, 1, 2, ... in logical order.
  static Tensor counting(const Shape& shape, MemoryFormat format = Contiguous) {
    std::vector<float> values(std::size_t(shape.numel()));
    std::iota(values.begin(), values.end(), 0.0f);
    const Tensor x = Tensor::from_values(values, shape, GetParam());
    return shape.rank() == 4 ? kernels::to_format(x, format) : x;
  }
  static Tensor filled(const Shape& shape, float value, MemoryFormat format = Contiguous) {
    const Tensor x =
        Tensor::from_values(std::vector<float>(std::size_t(shape.numel()), value), shape, GetParam());
    return shape.rank() == 4 ? kernels::to_format(x, format) : x;
  }
};
INSTANTIATE_TEST_SUITE_P(, TensorOn, ::testing::Values(Device::cpu(), Device::cuda()),
                         [](const auto& info) { return info.param.is_cpu() ? "Cpu" : "Cuda"; });

TEST_P(TensorOn, FromValuesKeepsThem) {
  const Tensor x = Tensor::from_values({1, 2, 3, 4, 5, 6}, Shape{2, 3}, GetParam());
  EXPECT_EQ(x.dtype(), DType::I32);
  EXPECT_EQ(x.device(), GetParam());
  EXPECT_EQ(x.shape(), (Shape{2, 3}));
  EXPECT_EQ(x.nbytes(), 24u);
  EXPECT_THAT(x.values<std::int32_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_TRUE(Tensor::from_values({true}, Shape{1}, GetParam()).item<bool>());
  EXPECT_EQ(float(Tensor::scalar(BFloat16(1.5f), GetParam()).item<BFloat16>()), 1.5f);
}

TEST_P(TensorOn, BoolsAreValuesToo) {
  const Tensor x = Tensor::from_values({true, false, true}, Shape{3}, GetParam());
  EXPECT_EQ(x.dtype(), DType::Bool);
  EXPECT_EQ(x.values<bool>(), (std::vector<bool>{true, false, true}));
}

TEST_P(TensorOn, FromValuesCounts) {
  EXPECT_EQ(message_of<ShapeError>([] {
              Tensor::from_values({1, 2, 3}, Shape{2, 2}, GetParam());
            }),
            "from_values: shape [2, 2] has 4 elements, got 3 values");
  EXPECT_THROW(Tensor::from_values({1, 2, 3}, Shape{}, GetParam()), ShapeError);
  EXPECT_THROW(Tensor::from_values(std::vector<float>{}, Shape{1}, GetParam()), ShapeError);
}

TEST_P(TensorOn, FromBlobSharesTheMemoryAndDeletesItOnce) {
  const Tensor owner = counting(Shape{2, 3});
  int calls = 0;
  Tensor last;
  {
    const Tensor x = Tensor::from_blob(owner.data(), Shape{2, 3}, DType::F32, GetParam(), [&](void* data) {
      EXPECT_EQ(data, owner.data());
      ++calls;
    });
    EXPECT_EQ(x.data(), owner.data());
    EXPECT_EQ(x.device(), GetParam());
    last = x.view({3, 2}).slice(1, 3);
    EXPECT_THAT(x.clone().values<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
  }
  EXPECT_EQ(calls, 0);
  owner.slice(1, 2).copy_from(filled(Shape{1, 3}, 7));
  EXPECT_THAT(last.values<float>(), ElementsAre(2, 7, 7, 7));
  last = Tensor();
  EXPECT_EQ(calls, 1);
}

TEST_P(TensorOn, FromBlobInChannelsLast) {
  const Tensor memory = Tensor::from_values({0.f, 1.f, 2.f, 3.f, 4.f, 5.f}, Shape{6}, GetParam());
  const Tensor x =
      Tensor::from_blob(memory.data(), Shape{1, 2, 1, 3}, DType::F32, GetParam(), {}, ChannelsLast);
  EXPECT_EQ(x.format(), ChannelsLast);
  EXPECT_TRUE(x.is_channels_last());
  EXPECT_FALSE(x.is_contiguous());
  EXPECT_THAT(x.values<float>(), ElementsAre(0, 2, 4, 1, 3, 5));
}

TEST_P(TensorOn, FromBlobRefusesAndLeavesTheMemoryToTheCaller) {
  int calls = 0;
  const auto count = [&](void*) { ++calls; };
  const Tensor owner = counting(Shape{6});
  EXPECT_EQ(message_of<ArgumentError>([&] {
              Tensor::from_blob(nullptr, Shape{2, 3}, DType::F32, GetParam(), count);
            }),
            "cannot borrow 24 bytes at a null pointer");
  EXPECT_THROW(Tensor::from_blob(owner.data(), Shape{2, 3}, DType::F32, GetParam(), count, ChannelsLast),
               ShapeError);
  EXPECT_THROW(Tensor::from_blob(owner.data(), Shape{std::int64_t(1) << 62}, DType::F64, GetParam(), count),
               ShapeError);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(Tensor::from_blob(nullptr, Shape{0, 3}, DType::F32, GetParam(), count).numel(), 0);
  EXPECT_EQ(calls, 1);
}

TEST_P(TensorOn, ViewSharesStorage) {
  const Tensor x = counting(Shape{2, 3, 4});
  EXPECT_EQ(x.view({6, -1}).shape(), (Shape{6, 4}));
  EXPECT_EQ(x.view({-1}).shape(), (Shape{24}));
  EXPECT_EQ(x.view({-1, 24}).shape(), (Shape{1, 24}));
  EXPECT_EQ(x.view(Shape{4, 1, 6}).data(), x.data());
  Tensor rows = x.view({6, 4}).slice(5, 6);
  rows.zero();
  EXPECT_THAT(x.slice(1, 2).view({3, 4}).slice(1, 3).values<float>(),
              ElementsAre(16, 17, 18, 19, 0, 0, 0, 0));
  EXPECT_EQ(Tensor::scalar(3.0f, GetParam()).view({1, -1}).shape(), (Shape{1, 1}));
  EXPECT_EQ(counting(Shape{1, 1}).view(Shape{}).item<float>(), 0.0f);
}

TEST_P(TensorOn, ViewRefusesOtherCounts) {
  const Tensor x = counting(Shape{2, 3});
  EXPECT_EQ(message_of<ShapeError>([&] {
              x.view({4, 2});
            }),
            "view: [2, 3] has 6 elements, shape [4, 2] has 8");
  EXPECT_EQ(message_of<ShapeError>([&] { x.view({4, -1}); }), "view: [2, 3] cannot take shape [4, -1]");
  EXPECT_EQ(message_of<ShapeError>([&] {
              x.view({-1, 2, -1});
            }),
            "view: only one extent can be -1, got [-1, 2, -1]");
  EXPECT_THROW(x.view({0, -1}), ShapeError);
  EXPECT_THROW(x.view({-2, -3}), ShapeError);
  EXPECT_THROW(x.view({-2, -3, -1}), ShapeError);
  const std::int64_t huge = (std::int64_t(1) << 62) + 1;
  EXPECT_THAT(message_of<ShapeError>([&] {
                x.view({huge, huge, -1});
              }),
              HasSubstr("has more than 2^63 - 1 elements"));
}

TEST_P(TensorOn, ViewNamesContiguousWhereElementsLieInAnotherOrder) {
  const Tensor last = counting(Shape{2, 3, 2, 2}, ChannelsLast);
  EXPECT_EQ(message_of<ShapeError>([&] {
              last.view({2, -1});
            }),
            "view: a channels-last tensor of shape [2, 3, 2, 2] does not lie in N, C, H, W order; take "
            "kernels::contiguous() first");
  EXPECT_THAT(message_of<ShapeError>([] {
                counting(Shape{2, 3, 2}).channel_slice(0, 2).view({8});
              }),
              HasSubstr("view: a sliced tensor of shape [2, 2, 2]"));
  EXPECT_EQ(kernels::contiguous(last).view({24}).values<float>(), counting(Shape{24}).values<float>());
  // One channel, or one pixel, lies the same way in both formats.
  EXPECT_EQ(counting(Shape{2, 1, 2, 2}, ChannelsLast).view({8}).values<float>(),
            counting(Shape{8}).values<float>());
  EXPECT_EQ(counting(Shape{2, 4, 1, 1}, ChannelsLast).view({8}).values<float>(),
            counting(Shape{8}).values<float>());
}

TEST_P(TensorOn, SlicesOfSlices) {
  const Tensor x = counting(Shape{6, 2});
  const Tensor middle = x.slice(1, 5), inner = middle.slice(2, 3);
  EXPECT_EQ(inner.shape(), (Shape{1, 2}));
  EXPECT_TRUE(inner.is_contiguous());
  EXPECT_EQ(inner.data(), x.data<float>() + 6);
  EXPECT_THAT(inner.values<float>(), ElementsAre(6, 7));
  EXPECT_THAT(middle.slice(4, 4).values<float>(), ElementsAre());
  EXPECT_THAT(inner.slice(0, 1).view({2}).slice(1, 2).values<float>(), ElementsAre(7));
  EXPECT_EQ(inner.view({2}).slice(1, 2).item<float>(), 7.0f);
  EXPECT_EQ(message_of<ShapeError>([&] { middle.slice(0, 5); }),
            "slice: rows 0..5 are not within shape [4, 2]");
  EXPECT_THROW(x.slice(-1, 2), ShapeError);
  EXPECT_THROW(x.slice(3, 2), ShapeError);
  EXPECT_THROW(Tensor::scalar(1.0f, GetParam()).slice(0, 0), ShapeError);
}

TEST_P(TensorOn, ChannelSlices) {
  for (const MemoryFormat format : {Contiguous, ChannelsLast}) {
    SCOPED_TRACE(to_string(format));
    const Tensor x = counting(Shape{2, 4, 1, 2}, format);
    const Tensor middle = x.channel_slice(1, 4), inner = middle.channel_slice(1, 3);
    EXPECT_EQ(inner.shape(), (Shape{2, 2, 1, 2}));
    EXPECT_EQ(inner.format(), format);
    EXPECT_EQ(inner.nbytes(), 32u);
    EXPECT_FALSE(inner.is_dense());
    EXPECT_FALSE(inner.is_contiguous());
    EXPECT_FALSE(inner.is_channels_last());
    EXPECT_THAT(inner.values<float>(), ElementsAre(4, 5, 6, 7, 12, 13, 14, 15));
    EXPECT_THAT(inner.slice(1, 2).values<float>(), ElementsAre(12, 13, 14, 15));
    EXPECT_THAT(x.slice(1, 2).channel_slice(3, 4).values<float>(), ElementsAre(14, 15));
    EXPECT_TRUE(x.channel_slice(0, 4).is_dense());
    EXPECT_EQ(message_of<ShapeError>([&] { middle.channel_slice(2, 4); }),
              "channel_slice: channels 2..4 are not within shape [2, 3, 1, 2]");
  }
  // One image of the first format: its channels lie together.
  EXPECT_TRUE(counting(Shape{1, 4, 1, 2}).channel_slice(1, 3).is_contiguous());
  EXPECT_THROW(counting(Shape{4}).channel_slice(0, 1), ShapeError);
  EXPECT_THAT(counting(Shape{2, 3}).channel_slice(1, 2).values<float>(), ElementsAre(1, 4));
}

TEST_P(TensorOn, CopyFromBetweenSlicesAndDense) {
  for (const MemoryFormat format : {Contiguous, ChannelsLast}) {
    SCOPED_TRACE(to_string(format));
    const Shape part{2, 2, 1, 2};
    const Tensor source = counting(part, format);
    const Tensor whole = filled(Shape{2, 4, 1, 2}, -1, format);
    whole.channel_slice(1, 3).copy_from(source);  // dense into a slice: nothing beside it changes
    EXPECT_THAT(whole.values<float>(), ElementsAre(-1, -1, 0, 1, 2, 3, -1, -1, -1, -1, 4, 5, 6, 7, -1, -1));
    Tensor dense = filled(part, -1, format);
    dense.copy_from(whole.channel_slice(1, 3));
    EXPECT_EQ(dense.values<float>(), source.values<float>());
    const Tensor other = filled(Shape{2, 3, 1, 2}, -1, format);
    other.channel_slice(0, 2).copy_from(whole.channel_slice(1, 3));
    EXPECT_THAT(other.values<float>(), ElementsAre(0, 1, 2, 3, -1, -1, 4, 5, 6, 7, -1, -1));
  }
}

TEST_P(TensorOn, CopyFromAnotherDevice) {
  for (const MemoryFormat format : {Contiguous, ChannelsLast}) {
    SCOPED_TRACE(to_string(format));
    const Tensor there = counting(Shape{2, 3, 2, 2}, format);
    const Tensor here = there.to(Device::cpu());
    EXPECT_EQ(here.format(), format);
    EXPECT_EQ(here.values<float>(), there.values<float>());
    EXPECT_EQ(there.channel_slice(1, 3).to(Device::cpu()).values<float>(),
              here.channel_slice(1, 3).values<float>());
    Tensor back = filled(Shape{2, 3, 2, 2}, -1, format);
    back.channel_slice(0, 2).copy_from(here.channel_slice(1, 3));
    EXPECT_EQ(back.channel_slice(0, 2).values<float>(), here.channel_slice(1, 3).values<float>());
    EXPECT_EQ(back.channel_slice(2, 3).values<float>(), std::vector<float>(8, -1.0f));
  }
}

TEST_P(TensorOn, CopyFromRefusesWhatDiffers) {
  Tensor x = counting(Shape{2, 3, 2, 2});
  EXPECT_EQ(message_of<ShapeError>([&] {
              x.copy_from(counting(Shape{2, 3, 2, 2}, ChannelsLast));
            }),
            "copy_from: the memory formats differ (contiguous and channels-last); use kernels::to_format");
  EXPECT_EQ(message_of<ShapeError>([&] {
              x.copy_from(counting(Shape{2, 3, 4}));
            }),
            "copy_from: expected shape [2, 3, 2, 2], got [2, 3, 4]");
  EXPECT_EQ(message_of<DTypeError>([&] {
              x.copy_from(Tensor::zeros(Shape{2, 3, 2, 2}, DType::I32, GetParam()));
            }),
            "copy_from: expected f32, got i32; cast it first");
  EXPECT_EQ(x.values<float>(), counting(Shape{24}).values<float>());
  // Of one channel the two formats are the same.
  Tensor grey = filled(Shape{1, 1, 2, 2}, -1);
  grey.copy_from(counting(Shape{1, 1, 2, 2}, ChannelsLast));
  EXPECT_THAT(grey.values<float>(), ElementsAre(0, 1, 2, 3));
}

TEST_P(TensorOn, WithFormatOnlyRenames) {
  const Tensor grey = counting(Shape{2, 1, 2, 3});
  const Tensor renamed = grey.with_format(ChannelsLast);
  EXPECT_EQ(renamed.data(), grey.data());
  EXPECT_EQ(renamed.format(), ChannelsLast);
  EXPECT_EQ(grey.format(), Contiguous);
  EXPECT_EQ(renamed.strides(), dense_strides(grey.shape(), ChannelsLast));
  EXPECT_EQ(counting(Shape{2, 3}).with_format(ChannelsLast).format(), Contiguous);
  EXPECT_EQ(message_of<ShapeError>([] {
              counting(Shape{1, 2, 2, 2}).with_format(ChannelsLast);
            }),
            "with_format: shape [1, 2, 2, 2] lies differently in channels-last memory; use "
            "kernels::to_format");
  EXPECT_THROW(counting(Shape{1, 2, 2, 2}, ChannelsLast).with_format(Contiguous), ShapeError);
  EXPECT_THROW(counting(Shape{2, 3, 2, 2}).channel_slice(0, 1).with_format(ChannelsLast), ShapeError);
}

TEST_P(TensorOn, CloneIsIndependent) {
  for (const MemoryFormat format : {Contiguous, ChannelsLast}) {
    Tensor x = counting(Shape{2, 3, 2, 2}, format);
    const Tensor copy = x.clone(), part = x.channel_slice(1, 2).clone();
    EXPECT_EQ(copy.format(), format);
    EXPECT_TRUE(part.is_dense());
    x.zero();
    EXPECT_EQ(copy.values<float>(), counting(Shape{24}).values<float>());
    EXPECT_THAT(part.values<float>(), ElementsAre(4, 5, 6, 7, 16, 17, 18, 19));
    EXPECT_EQ(x.values<float>(), std::vector<float>(24, 0.0f));
  }
}

TEST_P(TensorOn, CopyingAHandleCopiesNoElements) {
  Tensor x = counting(Shape{3});
  const Tensor same = x;
  x.zero();
  EXPECT_THAT(same.values<float>(), ElementsAre(0, 0, 0));
  EXPECT_EQ(x.to(GetParam()).data(), x.data());
}

TEST_P(TensorOn, EveryWriteCounts) {
  Tensor x = counting(Shape{4, 2});
  const Tensor view = x.view({8}), slice = x.slice(1, 2), detached = x.detach();
  const std::uint64_t before = x.version();
  (void)x.values<float>();
  (void)x.clone();
  EXPECT_EQ(x.version(), before);
  x.zero();
  EXPECT_EQ(x.version(), before + 1);
  Tensor row = slice;
  row.copy_from(filled(Shape{1, 2}, 3));
  EXPECT_EQ(x.version(), before + 2);
  x.bump_version();
  for (const Tensor& alias : {x, view, slice, detached}) EXPECT_EQ(alias.version(), before + 3);
}

TEST_P(TensorOn, ZeroOfASlice) {
  const Tensor x = counting(Shape{2, 3, 1, 2});
  Tensor channels = x.channel_slice(0, 2), rows = x.slice(1, 2);
  EXPECT_EQ(message_of<ShapeError>([&] { channels.zero(); }),
            "zero: shape [2, 2, 1, 2] is a slice; fill it with kernels::fill");
  EXPECT_EQ(x.values<float>(), counting(Shape{12}).values<float>());
  rows.zero();  // rows of the leading axis are dense
  EXPECT_THAT(x.values<float>(), ElementsAre(0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0));
}

TEST_P(TensorOn, EmptyAxes) {
  for (const MemoryFormat format : {Contiguous, ChannelsLast}) {
    for (const Shape& shape : {Shape{0, 3, 2, 2}, Shape{2, 0, 2, 2}, Shape{2, 3, 0, 2}, Shape{2, 3, 2, 0}}) {
      SCOPED_TRACE(to_string(shape) + " " + to_string(format));
      Tensor x = Tensor::zeros(shape, DType::F32, GetParam(), format);
      EXPECT_EQ(x.numel(), 0);
      EXPECT_EQ(x.nbytes(), 0u);
      EXPECT_TRUE(x.is_dense());
      EXPECT_THAT(x.values<float>(), ElementsAre());
      EXPECT_THAT(x.clone().values<float>(), ElementsAre());
      EXPECT_EQ(x.to(Device::cpu()).shape(), shape);
      x.copy_from(Tensor::empty_like(x));
      // Nothing lies in any order.
      EXPECT_EQ(x.view(Shape{3, 0}).shape(), (Shape{3, 0}));
      EXPECT_EQ(x.with_format(Contiguous).format(), Contiguous);
      x.copy_from(Tensor::empty(shape, DType::F32, GetParam()));
      EXPECT_THROW(x.item<float>(), ShapeError);
      // Slices begin nowhere, but within their tensor.
      Tensor rows = x.slice(shape[0], shape[0]), channels = x.channel_slice(shape[1], shape[1]);
      EXPECT_THAT(rows.values<float>(), ElementsAre());
      EXPECT_THAT(channels.values<float>(), ElementsAre());
    }
    EXPECT_EQ(Tensor::zeros(Shape{3, 0}, DType::F32, GetParam()).slice(2, 3).data(), nullptr);
    // Nothing of something.
    const Tensor x = counting(Shape{2, 3, 2, 2}, format);
    Tensor rows = x.slice(1, 1), channels = x.channel_slice(2, 2);
    EXPECT_EQ(channels.shape(), (Shape{2, 0, 2, 2}));
    for (Tensor none : {rows, channels}) {
      EXPECT_TRUE(none.is_dense());
      none.zero();
      none.copy_from(none.clone());
      EXPECT_THAT(none.values<float>(), ElementsAre());
      EXPECT_THAT(none.view({0}).values<float>(), ElementsAre());
    }
    EXPECT_EQ(x.values<float>(), counting(Shape{24}).values<float>());
  }
}

TEST_P(TensorOn, AxesOfOne) {
  const Tensor pixel = counting(Shape{1, 1, 1, 1});
  EXPECT_TRUE(pixel.is_contiguous());
  EXPECT_TRUE(pixel.is_channels_last());
  EXPECT_EQ(pixel.channel_slice(0, 1).slice(0, 1).item<float>(), 0.0f);
  const Tensor x = counting(Shape{2, 3, 1, 1});
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_TRUE(x.is_channels_last());
  for (const MemoryFormat format : {Contiguous, ChannelsLast}) {
    const Tensor named = x.with_format(format), slice = named.channel_slice(1, 2);
    EXPECT_FALSE(slice.is_dense());
    EXPECT_THAT(slice.values<float>(), ElementsAre(1, 4));
    EXPECT_THAT(slice.clone().values<float>(), ElementsAre(1, 4));
    EXPECT_EQ(slice.slice(1, 2).item<float>(), 4.0f);
  }
  for (const Shape& shape : {Shape{1, 3, 2, 2}, Shape{2, 1, 2, 2}, Shape{2, 3, 1, 2}, Shape{2, 3, 2, 1}}) {
    for (const MemoryFormat format : {Contiguous, ChannelsLast}) {
      SCOPED_TRACE(to_string(shape) + " " + to_string(format));
      const Tensor whole = counting(shape, format);
      const Tensor channel = whole.channel_slice(shape[1] - 1, shape[1]);
      Tensor copy = filled(channel.shape(), -1, format);
      copy.copy_from(channel);
      EXPECT_EQ(copy.values<float>(), channel.values<float>());
      EXPECT_EQ(channel.slice(shape[0] - 1, shape[0]).values<float>().back(), float(shape.numel() - 1));
    }
  }
}

TEST_P(TensorOn, ItemIsOfOneElement) {
  EXPECT_EQ(Tensor::scalar(2.5f, GetParam()).item<float>(), 2.5f);
  const Tensor last = counting(Shape{2, 3, 1, 2}, ChannelsLast);
  EXPECT_EQ(kernels::contiguous(last).view({12}).slice(11, 12).item<float>(), 11.0f);
  const Tensor pixels = counting(Shape{2, 3, 1, 1}, ChannelsLast);
  EXPECT_EQ(pixels.channel_slice(2, 3).slice(1, 2).item<float>(), 5.0f);
  EXPECT_EQ(message_of<ShapeError>([] { (void)counting(Shape{2}).item<float>(); }),
            "item: expected one element, got shape [2]");
}

TEST_P(TensorOn, ElementTypesAreChecked) {
  const Tensor x = Tensor::from_values({1, 2}, Shape{2}, GetParam());
  const std::string expected = "expected a tensor of f32, got i32; cast it first";
  EXPECT_EQ(message_of<DTypeError>([&] { (void)x.data<float>(); }), expected);
  EXPECT_EQ(message_of<DTypeError>([&] { (void)x.values<float>(); }), expected);
  EXPECT_EQ(message_of<DTypeError>([&] { (void)x.slice(0, 1).item<float>(); }), expected);
}

TEST_P(TensorOn, OnlyLeavesOfFloatsTakeGradients) {
  Tensor x = counting(Shape{2, 2}).set_requires_grad(),
         integers = Tensor::zeros(Shape{2}, DType::I64, GetParam());
  EXPECT_EQ(message_of<DTypeError>([&] { integers.set_requires_grad(); }),
            "set_requires_grad: only floating-point tensors have gradients, got i64");
  EXPECT_FALSE(integers.set_requires_grad(false).requires_grad());
  Tensor computed = x.view({4});
  EXPECT_TRUE(computed.requires_grad());
  EXPECT_EQ(message_of<Error>([&] { computed.set_requires_grad(false); }),
            "set_requires_grad: a computed tensor has its gradient by its inputs; detach() it");
  Tensor detached = computed.detach();
  EXPECT_FALSE(detached.requires_grad());
  EXPECT_TRUE(detached.set_requires_grad().requires_grad());
  EXPECT_FALSE(x.clone().requires_grad());
}

TEST_P(TensorOn, SlicesAreOutsideGraphs) {
  const Tensor x = counting(Shape{2, 2}).set_requires_grad();
  EXPECT_EQ(message_of<Error>([&] { x.slice(0, 1); }),
            "slice is not differentiable: take it of detach(), or under NoGrad");
  EXPECT_EQ(message_of<Error>([&] {
              x.view({4, 1}).channel_slice(0, 1);
            }),
            "channel_slice is not differentiable: take it of detach(), or under NoGrad");
  EXPECT_THAT(x.detach().slice(1, 2).values<float>(), ElementsAre(2, 3));
  const autograd::NoGrad none;
  const Tensor row = x.slice(1, 2);
  EXPECT_FALSE(row.requires_grad());
  EXPECT_EQ(row.data(), x.data<float>() + 2);
}

TEST_P(TensorOn, GradientsPassThroughFormatsAndDevices) {
  Tensor x = counting(Shape{1, 1, 1, 1}).set_requires_grad();
  x.with_format(ChannelsLast).to(Device::cpu()).view(Shape{}).backward();
  EXPECT_EQ(x.grad().item<float>(), 1.0f);
  EXPECT_EQ(x.grad().device(), GetParam());
  EXPECT_EQ(x.grad().shape(), x.shape());
}

TEST_P(TensorOn, UniqueUntilShared) {
  Tensor x = counting(Shape{2, 2});
  EXPECT_TRUE(x.unique());
  const auto shared_by = [&](const Tensor& other) { return !x.unique() && !other.unique(); };
  EXPECT_TRUE(shared_by(Tensor(x)));
  EXPECT_TRUE(shared_by(x.slice(0, 1)));
  EXPECT_TRUE(shared_by(x.view({4})));
  EXPECT_TRUE(shared_by(x.detach()));
  EXPECT_FALSE(shared_by(x.clone()));
  EXPECT_TRUE(x.unique());
}

TEST(Tensor, Undefined) {
  const Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_EQ(message_of<Error>([&] { (void)none.shape(); }), "an undefined tensor was used");
  for (const auto& use : std::vector<std::function<void()>>{[&] { (void)none.dtype(); },
                                                            [&] { (void)none.device(); },
                                                            [&] { (void)none.format(); },
                                                            [&] { (void)none.data(); },
                                                            [&] { (void)none.raw(); },
                                                            [&] { (void)none.nbytes(); },
                                                            [&] { (void)none.is_dense(); },
                                                            [&] { (void)none.values<float>(); },
                                                            [&] { (void)none.view({1}); },
                                                            [&] { (void)none.view({-1}); },
                                                            [&] { (void)none.slice(0, 0); },
                                                            [&] { (void)none.with_format(Contiguous); },
                                                            [&] { (void)none.to(Device::cpu()); },
                                                            [&] { (void)none.clone(); },
                                                            [&] { (void)none.detach(); },
                                                            [&] { Tensor::zeros(Shape{1}).copy_from(none); },
                                                            [&] { Tensor().zero(); },
                                                            [&] { Tensor().set_requires_grad(); },
                                                            [&] { (void)none.requires_grad(); },
                                                            [&] { (void)none.grad(); },
                                                            [&] { none.backward(); },
                                                            [&] { (void)none.version(); },
                                                            [&] { none.bump_version(); },
                                                            [&] { (void)none.meta(); },
                                                            [&] { (void)Tensor::empty_like(none); }}) {
    EXPECT_THROW(use(), Error);
  }
}

}  // namespace
}  // namespace dlcuda::testing
