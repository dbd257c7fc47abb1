#include "dlcuda/kernels/arithmetic.h"

#include <gtest/gtest.h>

#include <numeric>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

TEST(Arithmetic, SmallIntegersAreExact) {
  for (const Shape& shape :
       {Shape{}, Shape{1}, Shape{7}, Shape{33, 31}, Shape{2, 3, 5, 4}, Shape{0, 2}, Shape{20011}}) {
    std::vector<float> a(std::size_t(shape.numel())), b(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      a[i] = float(i % 13) - 6;
      b[i] = float(i % 7) - 2;
    }
    for (const Variant& v : variants(shape.rank() == 4)) {
      SCOPED_TRACE(to_string(shape) + " " + to_string(v));
      const auto on = [&](const std::vector<float>& values) {
        const Tensor x = kernels::cast(Tensor::from_values(values, shape), v.dtype);
        return kernels::to_format(x, shape.rank() == 4 ? v.format : MemoryFormat::Contiguous).to(v.device);
      };
      const auto expect = [&](const Tensor& got, auto f) {
        std::vector<double> expected(a.size());
        for (std::size_t i = 0; i < a.size(); ++i) expected[i] = f(a[i], b[i]);
        EXPECT_EQ(as_doubles(got), expected);
      };
      const Tensor x = on(a), y = on(b);
      expect(kernels::add(x, y), [](float p, float q) { return p + q; });
      expect(kernels::multiply(x, y), [](float p, float q) { return p * q; });
      expect(kernels::scale(x, -2), [](float p, float) { return -2 * p; });
      Tensor sum = on(a);
      const auto version = sum.version();
      kernels::accumulate(sum, y);
      EXPECT_GT(sum.version(), version);
      expect(sum, [](float p, float q) { return p + q; });
      Tensor filled = on(a);
      kernels::fill(filled, 3);
      expect(filled, [](float, float) { return 3; });
    }
  }
}

TEST(Arithmetic, SumGradientsLeavesSharedTensorsAlone) {
  const Tensor a = Tensor::from_values<float>({1, 2}, Shape{2}),
               b = Tensor::from_values<float>({10, 20}, Shape{2});
  EXPECT_EQ(kernels::sum_gradients(a, b).values<float>(), (std::vector<float>{11, 22}));
  EXPECT_EQ(a.values<float>(), (std::vector<float>{1, 2}));
  Tensor own = a.clone();
  const void* memory = own.data();
  const Tensor sum = kernels::sum_gradients(std::move(own), b);
  EXPECT_EQ(sum.data(), memory);
}

TEST(Arithmetic, CountersAdvanceOnTheirDevice) {
  for (const Device device : test_devices()) {
    Tensor counter = Tensor::zeros(Shape{1}, DType::I64, device);
    kernels::advance_counter(counter);
    kernels::advance_counter(counter, std::int64_t{1} << 40);
    EXPECT_EQ(counter.item<std::int64_t>(), (std::int64_t{1} << 40) + 1);
  }
}

TEST(Arithmetic, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros(Shape{2, 3});
  EXPECT_THROW(kernels::add(x, Tensor::zeros(Shape{2})), ShapeError);
  EXPECT_THROW(kernels::multiply(x, Tensor::zeros(Shape{2, 3}, DType::F64)), DTypeError);
  EXPECT_THROW(kernels::scale(Tensor::zeros(Shape{2}, DType::I32), 2), DTypeError);
  Tensor two = Tensor::zeros(Shape{2}, DType::I64);
  EXPECT_THROW(kernels::advance_counter(two), ShapeError);
  if (cuda_for_test().available) {
    EXPECT_THROW(kernels::add(x, x.to(Device::cuda())), DeviceError);
  }
}

}  // namespace
}  // namespace dlcuda::testing
