#include "dlcuda/core/shape.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"

namespace dlcuda {
namespace {

TEST(Shape, CountsElements) {
  EXPECT_EQ(Shape().numel(), 1);
  EXPECT_EQ((Shape{2, 3, 4}).numel(), 24);
  EXPECT_EQ((Shape{2, 0, 4}).numel(), 0);
  EXPECT_EQ((Shape{2, 3, 4})[-1], 4);
}

TEST(Shape, RefusesWhatCannotBe) {
  EXPECT_THROW((Shape{1, -1}), ShapeError);
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  EXPECT_THROW((Shape{std::int64_t(1) << 32, std::int64_t(1) << 32}), ShapeError);
  EXPECT_THROW((Shape{0, std::int64_t(1) << 32, std::int64_t(1) << 32}), ShapeError);  // its strides
  EXPECT_THROW((Shape{2, 3})[2], ShapeError);
  EXPECT_THROW(checked_bytes(Shape{std::int64_t(1) << 62}, 8), ShapeError);
}

TEST(Shape, Strides) {
  const auto nchw = dense_strides(Shape{2, 3, 4, 5}, MemoryFormat::Contiguous);
  EXPECT_EQ(nchw[0], 60);
  EXPECT_EQ(nchw[3], 1);
  const auto nhwc = dense_strides(Shape{2, 3, 4, 5}, MemoryFormat::ChannelsLast);
  EXPECT_EQ(nhwc[0], 60);
  EXPECT_EQ(nhwc[1], 1);
  EXPECT_EQ(nhwc[3], 3);
  EXPECT_THROW(dense_strides(Shape{2, 3}, MemoryFormat::ChannelsLast), ShapeError);
}

}  // namespace
}  // namespace dlcuda
