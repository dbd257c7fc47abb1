#include "dlcuda/kernels/conv_transpose2d.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

Tensor drawn(const Shape& shape, std::uint32_t ordinal) {
  Tensor x = Tensor::empty(shape);
  kernels::fill_uniform(x, -1, 1, {7, ordinal, Tensor::zeros(Shape{1}, DType::I64)});
  return x;
}

// A layer that enlarges may write its part of a concatenation, beside what others have written.
TEST(ConvTranspose2d, WritesIntoASliceOfAConcatenation) {
  const Tensor x = drawn({2, 5, 3, 4}, 0), bias = drawn({6}, 1);
  struct Case {
    Shape weight;
    kernels::ConvTranspose2dParams params;
  };
  for (const Case& c :
       {Case{{5, 6, 2, 2}, {.stride = {2, 2}}},
        Case{{5, 6, 3, 3}, {.stride = {2, 2}, .padding = {1, 1, 1, 1}, .output_padding = {1, 1}}}}) {
    const Tensor weight = drawn(c.weight, 2);
    for (const Device device : test_devices()) {
      for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        SCOPED_TRACE(to_string(device) + " " + to_string(format) + " " + to_string(c.weight));
        const Tensor in = kernels::to_format(x, format).to(device), w = weight.to(device),
                     b = bias.to(device);
        const Tensor expected = kernels::conv_transpose2d_forward(in, w, b, c.params);
        Tensor all = Tensor::zeros({2, 11, 6, 8}, DType::F32, device, format);
        Tensor part = all.channel_slice(3, 9);
        kernels::conv_transpose2d_into(part, in, w, b, c.params);
        EXPECT_EQ(kernels::contiguous(part).values<float>(), kernels::contiguous(expected).values<float>());
        for (const auto& [begin, end] : {std::pair{0, 3}, std::pair{9, 11}}) {
          for (const float value : kernels::contiguous(all.channel_slice(begin, end)).values<float>()) {
            ASSERT_EQ(value, 0.0f) << "a neighbour was written";
          }
        }
      }
    }
  }
  Tensor wrong = Tensor::zeros({2, 6, 6, 7});
  EXPECT_THROW(kernels::conv_transpose2d_into(wrong, x, drawn({5, 6, 2, 2}, 2), bias, {.stride = {2, 2}}),
               ShapeError);
}

}  // namespace
}  // namespace dlcuda::testing
