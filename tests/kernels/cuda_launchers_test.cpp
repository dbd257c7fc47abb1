// What the CUDA launchers decide by size, alignment and strides: vector loads or not, tails, grid-stride
// loops, passes of a reduction, the paths of a copy, batches of an update. Everything is compared with the
// CPU. Most inputs are small integers, whose sums are exact in any order, so that results must be equal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/activation.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/bias.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/kernels/dropout.h"
#include "dlcuda/kernels/pool2d.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/kernels/reduce.h"
#include "dlcuda/kernels/softmax.h"
#include "dlcuda/kernels/update.h"
#include "dlcuda/tests/support/devices.h"

namespace dlcuda {
namespace {

constexpr DType kFloats[] = {DType::F32, DType::F16, DType::BF16};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class CudaLaunchers : public ::testing::Test {
 protected:
  void SetUp() override {
    const testing::CudaForTest cuda = testing::cuda_for_test();
    if (!cuda.available) GTEST_SKIP() << cuda.reason;
  }

  const Device gpu = Device::cuda();
};

/// -8 to 8, in an order without a short period.
Tensor integers(const Shape& shape, DType dtype = DType::F32) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  std::uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 16) / 65536.0f * 17.0f;
    value = std::floor(value) - 8.0f;
  }
  return kernels::cast(Tensor::from_values(values, shape), dtype);
}

/// The same numbers without the integers' coarseness.
Tensor fractions(const Shape& shape, DType dtype = DType::F32) {
  return kernels::cast(kernels::scale(integers(shape), 0.37), dtype);
}

std::vector<float> floats(const Tensor& x) {
  return kernels::cast(x.to(Device::cpu()), DType::F32).values<float>();
}

void expect_equal(const Tensor& got, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(to_string(got.shape()), to_string(expected.shape())) << what;
  const auto a = floats(got), b = floats(expected);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])))
        << what << ", element " << i << " of " << a.size() << ": got " << a[i] << ", expected " << b[i];
  }
}

void expect_near(const Tensor& got, const Tensor& expected, float tolerance, const std::string& what) {
  ASSERT_EQ(to_string(got.shape()), to_string(expected.shape())) << what;
  const auto a = floats(got), b = floats(expected);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(std::abs(a[i] - b[i]) <= tolerance * (1 + std::abs(b[i])) ||
                (std::isnan(a[i]) && std::isnan(b[i])))
        << what << ", element " << i << " of " << a.size() << ": got " << a[i] << ", expected " << b[i];
  }
}

// Sizes around a pack, a warp, a block, and beyond a grid of 32 blocks a multiprocessor.
constexpr std::int64_t kSizes[] = {0, 1, 3, 4, 5, 8, 31, 257, 1027, 300001};

TEST_F(CudaLaunchers, MapsTakeAnySizeAndAlignment) {
  for (const DType dtype : kFloats) {
    for (const std::int64_t size : kSizes) {
      for (const std::int64_t offset : {0, 1}) {
        const std::string what =
            to_string(dtype) + ", size " + std::to_string(size) + ", offset " + std::to_string(offset);
        const Tensor whole = integers({size + offset}, dtype);
        const Tensor x = whole.slice(offset, size + offset),
                     on_gpu = whole.to(gpu).slice(offset, size + offset);
        expect_equal(kernels::add(on_gpu, on_gpu), kernels::add(x, x), "add " + what);
        expect_equal(kernels::multiply(on_gpu, on_gpu), kernels::multiply(x, x), "multiply " + what);
        expect_equal(kernels::scale(on_gpu, 0.5), kernels::scale(x, 0.5), "scale " + what);
        expect_equal(kernels::activation_forward(on_gpu, {kernels::Activation::Relu}),
                     kernels::activation_forward(x, {kernels::Activation::Relu}), "relu " + what);
        expect_equal(kernels::cast(on_gpu, DType::F32), kernels::cast(x, DType::F32), "cast " + what);
      }
    }
  }
}

TEST_F(CudaLaunchers, NeighboursOfAnUnalignedFillStayAsTheyAre) {
  for (const DType dtype :
       {DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::I64, DType::U8}) {
    Tensor whole = Tensor::zeros({1003}, dtype, gpu);
    Tensor middle = whole.slice(1, 1002);
    kernels::fill(middle, 3);
    const auto values = floats(whole);
    EXPECT_EQ(values.front(), 0) << to_string(dtype);
    EXPECT_EQ(values.back(), 0) << to_string(dtype);
    EXPECT_EQ(std::count(values.begin(), values.end(), 3.0f), 1001) << to_string(dtype);
  }
}

TEST_F(CudaLaunchers, ActivationsAgreeWithTheCpu) {
  using kernels::Activation;
  const Tensor x = fractions({1027}), dy = integers({1027});
  for (const Activation kind :
       {Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::LeakyRelu}) {
    const kernels::ActivationParams params{kind, 0.125f};
    const Tensor y = kernels::activation_forward(x, params);
    const std::string what = "activation " + std::to_string(static_cast<int>(kind));
    expect_near(kernels::activation_forward(x.to(gpu), params), y, 1e-6f, what);
    expect_near(kernels::activation_backward(dy.to(gpu), y.to(gpu), params),
                kernels::activation_backward(dy, y, params), 1e-6f, what + " backward");
  }
}

TEST_F(CudaLaunchers, ConversionsOfEveryPairAgreeWithTheCpu) {
  const DType all[] = {DType::F32, DType::F16, DType::BF16, DType::I32, DType::I64, DType::U8, DType::Bool};
  std::vector<float> numbers{0, 1, 2.5f, 3.99f, 200.7f, 255, 0.25f, 77};
  for (const DType from : all) {
    const Tensor x = kernels::cast(Tensor::from_values(numbers, {8}), from);
    for (const DType to : all) {
      expect_equal(kernels::cast(x.to(gpu), to), kernels::cast(x, to),
                   to_string(from) + " to " + to_string(to));
    }
  }
}

TEST_F(CudaLaunchers, ConversionsOutOfRangeClamp) {
  const std::vector<float> numbers{-1e30f, 1e30f, kNan, -3.9f, 300};
  for (const Device device : {Device::cpu(), gpu}) {
    const Tensor x = Tensor::from_values(numbers, {5}, device);
    EXPECT_EQ(kernels::cast(x, DType::U8).values<std::uint8_t>(),
              (std::vector<std::uint8_t>{0, 255, 0, 0, 255}));
    EXPECT_EQ(kernels::cast(x, DType::I32).values<std::int32_t>(),
              (std::vector<std::int32_t>{INT32_MIN, INT32_MAX, 0, -3, 300}));
  }
}

TEST_F(CudaLaunchers, CopiesTakeEveryPath) {
  using enum MemoryFormat;
  for (const DType dtype : {DType::F32, DType::F16, DType::U8, DType::I64}) {
    for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{2, 33, 5, 7}, Shape{1, 65, 9, 31}, Shape{3, 32, 8, 8},
                               Shape{2, 1, 4, 4}, Shape{2, 40, 1, 1}, Shape{0, 3, 4, 4}}) {
      const Tensor x = kernels::cast(kernels::activation_forward(integers(shape), {}), dtype);
      const std::string what = to_string(dtype) + " " + to_string(shape);
      const Tensor last = kernels::to_format(x.to(gpu), ChannelsLast);
      expect_equal(last, x, "to channels-last " + what);
      expect_equal(kernels::to_format(last, Contiguous), x, "and back " + what);
      if (shape[1] < 3) continue;
      for (const Tensor& source : {x.to(gpu), last}) {
        const Tensor slice = source.channel_slice(1, 3);
        expect_equal(kernels::contiguous(slice), x.channel_slice(1, 3), "slice " + what);
        expect_equal(kernels::to_format(slice, ChannelsLast), x.channel_slice(1, 3), "slice, last " + what);
        expect_equal(kernels::cast(slice, DType::I32), kernels::cast(x.channel_slice(1, 3), DType::I32),
                     "slice, cast " + what);
      }
    }
  }
}

TEST_F(CudaLaunchers, ReductionsTakeEveryPass) {
  using kernels::Reduction;
  // One pass, several, rows that vector loads fit and rows that they do not, columns, single elements.
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 7, 1}, Shape{5, 4096, 1}, Shape{2, 4097, 1},
                             Shape{1, 100003, 1}, Shape{2, 5, 3}, Shape{1, 129, 33}, Shape{2, 1500, 36},
                             Shape{3, 20000, 2}, Shape{4, 0, 3}, Shape{0, 4, 2}}) {
    for (const DType dtype : kFloats) {
      // Small enough for f16's 11 bits where rows are short; long rows are checked in f32.
      if (dtype != DType::F32 && shape[1] > 200) continue;
      const Tensor x = integers(shape, dtype);
      const std::string what = to_string(shape) + " " + to_string(dtype);
      expect_equal(kernels::reduce(x.to(gpu), Reduction::Sum, 1), kernels::reduce(x, Reduction::Sum, 1),
                   what);
      expect_near(kernels::reduce(x.to(gpu), Reduction::Mean), kernels::reduce(x, Reduction::Mean), 1e-6f,
                  what);
      if (shape[1] == 0) continue;
      expect_equal(kernels::reduce(x.to(gpu), Reduction::Max, 1), kernels::reduce(x, Reduction::Max, 1),
                   what);
      EXPECT_EQ(kernels::argmax(x.to(gpu), 1).values<std::int64_t>(),
                kernels::argmax(x, 1).values<std::int64_t>())
          << what;
    }
  }
}

TEST_F(CudaLaunchers, NanIsTheLargest) {
  std::vector<float> values(100, 5.0f);
  values[70] = values[40] = kNan;
  const Tensor row = Tensor::from_values(values, {100, 1}, gpu);
  EXPECT_TRUE(std::isnan(kernels::reduce(row, kernels::Reduction::Max).item<float>()));
  EXPECT_EQ(kernels::argmax(row, 0).values<std::int64_t>(), std::vector<std::int64_t>{40});
  EXPECT_EQ(kernels::argmax(row.view({1, 100}), 1).values<std::int64_t>(), std::vector<std::int64_t>{40});
}

TEST_F(CudaLaunchers, BiasTakesEveryLayout) {
  for (const Shape& shape :
       {Shape{3, 10}, Shape{5, 16}, Shape{2, 6, 5, 5}, Shape{2, 8, 4, 4}, Shape{3, 40, 20, 20},
        Shape{300, 3, 7, 7}, Shape{2, 3, 80, 80}, Shape{0, 4, 2, 2}}) {
    for (const DType dtype : kFloats) {
      const Tensor x = integers(shape, dtype), bias = integers({shape[1]}, dtype);
      const std::string what = to_string(shape) + " " + to_string(dtype);
      for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        if (shape.rank() != 4 && format == MemoryFormat::ChannelsLast) continue;
        const Tensor on_gpu = kernels::to_format(x.to(gpu), format);
        expect_equal(kernels::bias_add(on_gpu, bias.to(gpu)), kernels::bias_add(x, bias), what);
        if (dtype != DType::F32) continue;  // the sums are longer than 11 bits
        expect_equal(kernels::bias_backward(on_gpu), kernels::bias_backward(x), what);
      }
    }
  }
}

TEST_F(CudaLaunchers, DropoutIsBitIdentical) {
  for (const DType dtype : kFloats) {
    for (const std::int64_t size : kSizes) {
      for (const double p : {0.0, 0.3, 1.0}) {
        const Tensor whole = fractions({size + 1}, dtype);
        for (const std::int64_t offset : {0, 1}) {
          const auto run = [&](Device device) {
            const kernels::RandomCall call{0x123456789abcdefull, 3,
                                           Tensor::from_values<std::int64_t>({7}, {1}, device)};
            return kernels::dropout(whole.to(device).slice(offset, size + offset), {p, call});
          };
          expect_equal(run(gpu), run(Device::cpu()),
                       to_string(dtype) + ", size " + std::to_string(size) + ", p " + std::to_string(p));
        }
      }
    }
  }
}

TEST_F(CudaLaunchers, UniformNumbersAreBitIdentical) {
  const auto run = [](Device device) {
    Tensor x = Tensor::empty({1027}, DType::F32, device);
    kernels::fill_uniform(x, -0.3, 0.7, {99, 1, Tensor::from_values<std::int64_t>({5}, {1}, device)});
    return x;
  };
  expect_equal(run(gpu), run(Device::cpu()), "fill_uniform");
}

TEST_F(CudaLaunchers, NormalNumbersAndF64AreTheCpus) {
  Tensor x = Tensor::empty({8}, DType::F32, gpu);
  const kernels::RandomCall call{1, 0, Tensor::zeros({1}, DType::I64, gpu)};
  EXPECT_THROW(kernels::fill_normal(x, 0, 1, call), DeviceError);
  const Tensor wide = Tensor::zeros({8}, DType::F64, gpu);
  EXPECT_THROW(kernels::scale(wide, 2), DTypeError);
}

TEST_F(CudaLaunchers, SoftmaxAndMetricsTakeShortAndLongRows) {
  for (const Shape& shape : {Shape{1, 1}, Shape{37, 10}, Shape{700, 10}, Shape{3, 1024}, Shape{2, 3001}}) {
    const std::string what = to_string(shape);
    const Tensor logits = fractions(shape), dy = integers(shape);
    std::vector<std::int64_t> targets;
    for (std::int64_t row = 0; row < shape[0]; ++row) targets.push_back(row * 7 % shape[1]);
    const Tensor labels = Tensor::from_values(targets, {shape[0]});

    const Tensor y = kernels::softmax_forward(logits);
    expect_near(kernels::softmax_forward(logits.to(gpu)), y, 1e-6f, what);
    expect_near(kernels::softmax_backward(dy.to(gpu), y.to(gpu)), kernels::softmax_backward(dy, y), 1e-5f,
                what);

    const auto on_cpu = kernels::cross_entropy_forward(logits, labels);
    const auto on_gpu = kernels::cross_entropy_forward(logits.to(gpu), labels.to(gpu));
    Tensor metrics = Tensor::zeros({3}, DType::F64), metrics_gpu = metrics.to(gpu);
    for (int step = 0; step < 2; ++step) {
      kernels::classification_metrics(logits, labels, on_cpu.loss, metrics);
      kernels::classification_metrics(logits.to(gpu), labels.to(gpu), on_gpu.loss, metrics_gpu);
    }
    const auto expected = metrics.values<double>(), got = metrics_gpu.values<double>();
    EXPECT_NEAR(got[0], expected[0], 1e-4 * (1 + std::abs(expected[0]))) << what;
    EXPECT_EQ(got[1], expected[1]) << what;
    EXPECT_EQ(got[2], expected[2]) << what;
  }
}

TEST_F(CudaLaunchers, PoolingTakesBothFormats) {
  const kernels::Pool2dParams cases[] = {{{2, 2}, {2, 2}, {0, 0}, true},  {{3, 3}, {1, 1}, {1, 1}, true},
                                         {{3, 3}, {2, 2}, {1, 1}, false}, {{3, 2}, {1, 3}, {1, 0}, false},
                                         {{1, 1}, {3, 2}, {0, 0}, true},  {{5, 7}, {1, 1}, {2, 3}, true}};
  for (const Shape& shape : {Shape{2, 3, 9, 11}, Shape{1, 1, 5, 7}, Shape{33, 17, 5, 7}, Shape{0, 2, 8, 8}}) {
    for (const auto& params : cases) {
      const Tensor x = integers(shape);
      const Shape out = kernels::pool2d_shape(shape, params);
      const Tensor dy = integers(out);
      const auto max_cpu = kernels::max_pool2d_forward(x, params);
      for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
        const std::string what = to_string(shape) + ", kernel " + std::to_string(params.kernel[0]) + "x" +
                                 std::to_string(params.kernel[1]) + ", " + to_string(format);
        const auto upload = [&](const Tensor& t) { return kernels::to_format(t.to(gpu), format); };
        expect_near(kernels::avg_pool2d_forward(upload(x), params), kernels::avg_pool2d_forward(x, params),
                    1e-6f, "average " + what);
        expect_near(kernels::avg_pool2d_backward(upload(dy), shape, params),
                    kernels::avg_pool2d_backward(dy, shape, params), 2e-6f, "average backward " + what);
        const auto max_gpu = kernels::max_pool2d_forward(upload(x), params);
        expect_equal(max_gpu.y, max_cpu.y, "max " + what);
        expect_equal(max_gpu.indices, max_cpu.indices, "indices " + what);
        expect_equal(kernels::max_pool2d_backward(upload(dy), max_gpu.indices, shape, params),
                     kernels::max_pool2d_backward(dy, max_cpu.indices, shape, params),
                     "max backward " + what);
      }
    }
  }
}

/// Sets of parameter, gradient and two states, the same on both devices.
struct UpdateSet {
  std::vector<Tensor> tensors;

  UpdateSet(const std::vector<std::int64_t>& sizes, Device device) {
    for (const std::int64_t size : sizes) {
      for (int role = 0; role < 4; ++role) {
        const Tensor values = kernels::scale(integers({size + 1}), role == 3 ? 0.0 : 0.25 * (role + 1));
        // Every third one begins beside a 16-byte boundary.
        const std::int64_t offset = size % 3 == 0 ? 1 : 0;
        tensors.push_back(values.to(device).slice(offset, size + offset));
      }
    }
  }
  std::vector<kernels::UpdateTensors> views() const {
    std::vector<kernels::UpdateTensors> result;
    for (std::size_t i = 0; i < tensors.size(); i += 4) {
      result.push_back({tensors[i].raw(), tensors[i + 1].raw(), tensors[i + 2].raw(), tensors[i + 3].raw()});
    }
    return result;
  }
};

void expect_same(const UpdateSet& got, const UpdateSet& expected, const std::string& what) {
  for (std::size_t i = 0; i < got.tensors.size(); ++i) {
    expect_near(got.tensors[i], expected.tensors[i], 2e-6f, what + ", tensor " + std::to_string(i));
  }
}

TEST_F(CudaLaunchers, UpdatesTakeMoreTensorsThanOneLaunch) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < 110; ++i) sizes.push_back(i * i % 211);  // some are empty
  sizes.push_back(70003);                                               // several chunks
  const auto lr = [](Device device) { return Tensor::from_values<float>({0.1f}, {1}, device); };
  for (const double momentum : {0.0, 0.9}) {
    const UpdateSet on_cpu(sizes, Device::cpu()), on_gpu(sizes, gpu);
    const kernels::SgdParams params{momentum, 0.01, momentum > 0};
    kernels::sgd_update(Device::cpu(), on_cpu.views(), lr(Device::cpu()), params);
    kernels::sgd_update(gpu, on_gpu.views(), lr(gpu), params);
    expect_same(on_gpu, on_cpu, "momentum " + std::to_string(momentum));
  }
  const UpdateSet on_cpu(sizes, Device::cpu()), on_gpu(sizes, gpu);
  Tensor step = Tensor::from_values<std::int64_t>({2}, {1}), step_gpu = step.to(gpu);
  kernels::adam_update(Device::cpu(), on_cpu.views(), lr(Device::cpu()), step, {});
  kernels::adam_update(gpu, on_gpu.views(), lr(gpu), step_gpu, {});
  EXPECT_EQ(step_gpu.item<std::int64_t>(), 3);
  expect_same(on_gpu, on_cpu, "adam");
}

TEST_F(CudaLaunchers, UpdatesTakeATensorOfMoreChunksThanOneLaunch) {
  const std::int64_t size = std::int64_t{330} * 32768 + 5;
  Tensor parameter = Tensor::zeros({size}, DType::F32, gpu),
         gradient = Tensor::empty({size}, DType::F32, gpu);
  kernels::fill(gradient, 1);
  const kernels::UpdateTensors tensors[] = {{parameter.raw(), gradient.raw(), {}, {}}};
  kernels::sgd_update(gpu, tensors, Tensor::from_values<float>({0.5f}, {1}, gpu), {});
  const auto values = parameter.values<float>();
  EXPECT_EQ(std::count(values.begin(), values.end(), -0.5f), size);
}

}  // namespace
}  // namespace dlcuda
