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

// The same in every dtype and from either format into either: f16 takes a way through f32, f64 the reference.
TEST(ConvTranspose2d, WritesIntoSlicesOfEveryDtypeAndFormat) {
  struct Case {
    Shape weight;
    kernels::ConvTranspose2dParams params;
  };
  const Tensor x = drawn({2, 6, 3, 4}, 0), bias = drawn({6}, 1);
  for (const Case& c :
       {Case{{6, 6, 2, 2}, {.stride = {2, 2}}}, Case{{6, 6, 1, 1}, {}},
        Case{{6, 1, 1, 1}, {.padding = {1, 0, 1, 1}, .groups = 6}},
        Case{{6, 6, 2, 2},
             {.stride = {5, 4}, .padding = {2, 3, 0, 1}, .output_padding = {4, 0}, .dilation = {3, 1}}}}) {
    const Tensor weight = drawn(c.weight, 2);
    const Shape s = kernels::conv_transpose2d_shape(x.shape(), c.weight, c.params);
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16, DType::F16}) {
      // What the dtype holds of the operands, so that only the arithmetic differs.
      const Tensor xs = kernels::cast(x, dtype), ws = kernels::cast(weight, dtype),
                   bs = kernels::cast(bias, dtype);
      const auto exact = [](const Tensor& t) { return kernels::cast(t, DType::F64); };
      const Tensor expected = kernels::conv_transpose2d_forward(exact(xs), exact(ws), exact(bs), c.params);
      for (const Device device : test_devices()) {
        if (device.is_cuda() && dtype == DType::F64) continue;
        for (const MemoryFormat from : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
          for (const MemoryFormat to : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
            SCOPED_TRACE(to_string(device) + " " + to_string(dtype) + " " + to_string(from) + " into " +
                         to_string(to) + " " + to_string(c.weight));
            Tensor all = Tensor::zeros({2, 11, s[2], s[3]}, dtype, device, to);
            Tensor part = all.channel_slice(3, 9);
            kernels::conv_transpose2d_into(part, kernels::to_format(xs, from).to(device), ws.to(device),
                                           bs.to(device), c.params);
            // Sums of up to 24 products that may cancel; the bias is added to what has been rounded.
            const Tolerance usual = tolerance(dtype);
            expect_close(kernels::contiguous(part), expected,
                         Tolerance{usual.relative, usual.absolute + 4 * usual.relative});
            for (const auto& [begin, end] : {std::pair{0, 3}, std::pair{9, 11}}) {
              const Tensor neighbour = kernels::contiguous(all.channel_slice(begin, end));
              for (const double value : as_doubles(neighbour))
                ASSERT_EQ(value, 0.0) << "a neighbour was written";
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace dlcuda::testing
