#include "dlcuda/kernels/update.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda::testing {
namespace {

using kernels::UpdateTensors;

TEST(Update, ManyTensorsOfEverySizeInOneCall) {
  // More tensors than one launch describes, among them empty and unaligned ones; each must be as if updated
  // alone.
  const std::int64_t sizes[] = {1, 0, 3, 33, 257, 4096, 5, 10007};
  for (const Device device : test_devices()) {
    std::vector<Tensor> keep;
    std::vector<UpdateTensors> tensors;
    const auto draw = [&](std::int64_t size) {
      Tensor x = Tensor::empty(Shape{size + 1}, DType::F32, Device::cpu());
      kernels::fill_uniform(x, -1, 1, {1, std::uint32_t(keep.size()), Tensor::zeros(Shape{1}, DType::I64)});
      keep.push_back(x.to(device).slice(1, size + 1));  // not aligned for vector loads
      return keep.back();
    };
    std::vector<std::vector<float>> expected;
    const float lr = 0.5f;
    for (int i = 0; i < 150; ++i) {
      const std::int64_t size = sizes[i % 8];
      const Tensor parameter = draw(size), gradient = draw(size);
      tensors.push_back({parameter.raw(), gradient.raw(), {}, {}, {}});
      auto values = parameter.values<float>();
      const auto slopes = gradient.values<float>();
      for (std::size_t k = 0; k < values.size(); ++k) values[k] -= lr * slopes[k];
      expected.push_back(std::move(values));
    }
    kernels::sgd_update(device, tensors, Tensor::from_values<float>({lr}, Shape{1}, device), {});
    for (int i = 0; i < 150; ++i) {
      const auto got = keep[2 * i].values<float>();
      ASSERT_EQ(got.size(), expected[i].size());
      for (std::size_t k = 0; k < got.size(); ++k)
        ASSERT_NEAR(got[k], expected[i][k], 1e-6) << "tensor " << i;
    }
  }
}

TEST(Update, DtypesMayBeMixedInOneCall) {
  for (const Device device : test_devices()) {
    const Tensor master = Tensor::from_values<float>({1, 2, 3}, Shape{3}, device), plain = master.clone();
    const Tensor slope = Tensor::from_values<float>({1, 1, 1}, Shape{3}, device);
    const Tensor low = kernels::cast(slope, DType::BF16), copy = Tensor::zeros_like(low);
    const UpdateTensors tensors[] = {{.parameter = master.raw(), .gradient = low.raw(), .copy = copy.raw()},
                                     {.parameter = plain.raw(), .gradient = slope.raw()}};
    kernels::sgd_update(device, tensors, Tensor::from_values<float>({0.001f}, Shape{1}, device), {});
    EXPECT_EQ(master.values<float>(), plain.values<float>());
    EXPECT_EQ(kernels::cast(copy, DType::F32).values<float>(), (std::vector<float>{1, 2, 3}))
        << "bf16 cannot hold 0.999";
    EXPECT_EQ(master.values<float>()[0], 0.999f);
  }
}

}  // namespace
}  // namespace dlcuda::testing
