#include "dlcuda/kernels/update.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/tests/support/reference.h"

namespace dlcuda::testing {
namespace {

using kernels::UpdateTensors;

std::vector<std::pair<Device, DType>> places() {
  std::vector<std::pair<Device, DType>> all{{Device::cpu(), DType::F64}};
  for (const Device device : test_devices()) all.emplace_back(device, DType::F32);
  return all;
}

/// Runs the steps of a stored case with step(tensors, lr, count).
template <typename Step>
void run_case(const ReferenceCase& c, Device device, DType dtype, const Step& step) {
  SCOPED_TRACE(c.name() + " " + to_string(device) + " " + to_string(dtype));
  const auto on = [&](const char* key) { return kernels::cast(c.tensor(key), dtype).to(device); };
  const Tensor parameter = on("parameter").clone(), gradients = on("gradients");
  const Tensor first = Tensor::zeros_like(parameter), second = Tensor::zeros_like(parameter);
  const Tensor lr = Tensor::from_values<float>({float(c.value("lr"))}, Shape{1}, device);
  Tensor count = Tensor::zeros(Shape{1}, DType::I64, device);
  for (std::int64_t i = 0; i < gradients.size(0); ++i) {
    kernels::advance_counter(count);
    const UpdateTensors tensors{parameter.raw(), gradients.slice(i, i + 1).view(parameter.shape()).raw(),
                                first.raw(), second.raw()};
    step(std::span(&tensors, 1), lr, count);
  }
  expect_close(parameter, c.tensor("y"));
}

TEST(SgdUpdate, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("sgd_update")) {
    const kernels::SgdParams params{c.value("momentum"), c.value("weight_decay"), c.value("nesterov") != 0};
    for (const auto& [device, dtype] : places()) {
      run_case(c, device, dtype, [&, on = device](auto tensors, const Tensor& lr, const Tensor&) {
        kernels::sgd_update(on, tensors, lr, params);
      });
    }
  }
}

TEST(AdamUpdate, MatchesPyTorch) {
  for (const ReferenceCase& c : reference_cases("adam_update")) {
    const kernels::AdamParams params{c.value("beta1"), c.value("beta2"), c.value("epsilon"),
                                     c.value("weight_decay")};
    for (const auto& [device, dtype] : places()) {
      run_case(c, device, dtype, [&, on = device](auto tensors, const Tensor& lr, const Tensor& count) {
        kernels::adam_update(on, tensors, lr, count, params);
      });
    }
  }
}

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
      tensors.push_back({parameter.raw(), gradient.raw(), {}, {}});
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

TEST(Update, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros(Shape{4}), y = Tensor::zeros(Shape{3}), lr = Tensor::zeros(Shape{1});
  const UpdateTensors wrong{x.raw(), y.raw(), {}, {}}, right{x.raw(), x.raw(), x.raw(), x.raw()};
  EXPECT_THROW(kernels::sgd_update(Device::cpu(), std::span(&wrong, 1), lr, {}), ShapeError);
  EXPECT_THROW(kernels::sgd_update(Device::cpu(), std::span(&right, 1), x, {}), ShapeError);
  EXPECT_THROW(kernels::adam_update(Device::cpu(), std::span(&right, 1), lr, lr, {}), DTypeError);
  const Tensor half = Tensor::zeros(Shape{4}, DType::F16);
  const UpdateTensors low{half.raw(), half.raw(), {}, {}};
  EXPECT_THROW(kernels::sgd_update(Device::cpu(), std::span(&low, 1), lr, {}), DTypeError);
}

}  // namespace
}  // namespace dlcuda::testing
