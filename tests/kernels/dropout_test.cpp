#include "dlcuda/kernels/dropout.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

using kernels::DropoutParams;
using kernels::Generator;

Tensor ones(const Shape& shape, const Variant& v) {
  Tensor x = Tensor::empty(shape, v.dtype, v.device, v.format);
  kernels::fill(x, 1);
  return x;
}

TEST(Dropout, SameMaskOnEveryDevice) {
  for (const double p : {0.0, 0.1, 0.5, 0.9, 1.0}) {
    for (const Shape& shape :
         {Shape{}, Shape{1}, Shape{5}, Shape{33, 31}, Shape{2, 3, 17, 9}, Shape{100003}, Shape{0}}) {
      for (const Variant& v : variants(shape.rank() == 4)) {
        SCOPED_TRACE(to_string(v) + " " + to_string(shape) + " p " + std::to_string(p));
        Generator here(42, RandomDomain::Dropout, Device::cpu()), there(42, RandomDomain::Dropout, v.device);
        for (int i = 0; i < 3; ++i) {
          here.next_call();
          there.next_call();
        }
        here.advance_step();
        there.advance_step();
        const Variant on_cpu{Device::cpu(), v.dtype, v.format};
        const auto expected = as_doubles(kernels::dropout(ones(shape, on_cpu), {p, here.next_call()}));
        EXPECT_EQ(as_doubles(kernels::dropout(ones(shape, v), {p, there.next_call()})), expected);
      }
    }
  }
}

TEST(Dropout, DrawsWithTheRightProbabilityAndScale) {
  for (const Device device : test_devices()) {
    Generator generator(1, RandomDomain::Dropout, device);
    const auto y = kernels::dropout(ones(Shape{100000}, {device, DType::F32, MemoryFormat::Contiguous}),
                                    {0.25, generator.next_call()})
                       .values<float>();
    const auto dropped = std::count(y.begin(), y.end(), 0.0f);
    // Five standard deviations: sqrt(100000 * 0.25 * 0.75) = 137.
    EXPECT_NEAR(double(dropped), 25000, 685);
    EXPECT_EQ(std::count(y.begin(), y.end(), 1 / 0.75f), 100000 - dropped);
  }
}

TEST(Dropout, AStepWithoutCallsLeavesTheNextAsItIs) {
  for (const Device device : test_devices()) {
    Generator generator(1, RandomDomain::Dropout, device);
    const auto step = [](Generator& of) { return of.next_call().step.values<std::int64_t>(); };
    generator.end_step();
    EXPECT_EQ(step(generator), std::vector<std::int64_t>{0});
    generator.end_step();
    EXPECT_EQ(step(generator), std::vector<std::int64_t>{1});
    EXPECT_EQ(generator.next_call().ordinal, 1u);
  }
}

TEST(Dropout, CallsAndStepsDiffer) {
  for (const Device device : test_devices()) {
    Generator generator(1, RandomDomain::Dropout, device);
    const Tensor x = ones(Shape{64}, {device, DType::F32, MemoryFormat::Contiguous});
    const DropoutParams first{0.5, generator.next_call()}, second{0.5, generator.next_call()};
    const auto a = kernels::dropout(x, first).values<float>();
    EXPECT_EQ(kernels::dropout(x, first).values<float>(), a);
    EXPECT_NE(kernels::dropout(x, second).values<float>(), a);
    generator.advance_step();
    EXPECT_NE(kernels::dropout(x, {0.5, generator.next_call()}).values<float>(), a);
  }
}

TEST(Dropout, RefusesWhatDoesNotFit) {
  Generator generator(1, RandomDomain::Dropout, Device::cpu());
  const Tensor x = Tensor::zeros(Shape{4});
  EXPECT_THROW(kernels::dropout(x, {1.5, generator.next_call()}), ArgumentError);
  EXPECT_THROW(kernels::dropout(x, {-0.1, generator.next_call()}), ArgumentError);
  EXPECT_THROW(kernels::dropout(x, {0.5, {}}), Error);
  EXPECT_THROW(kernels::dropout(Tensor::zeros(Shape{4}, DType::I32), {0.5, generator.next_call()}),
               DTypeError);
}

}  // namespace
}  // namespace dlcuda::testing
