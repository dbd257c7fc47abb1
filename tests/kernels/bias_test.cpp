#include "dlcuda/kernels/bias.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda::testing {
namespace {

Tensor in(DType dtype, const Tensor& x) { return kernels::cast(x, dtype); }

/// What every loop over channels does with numbers of 16 bits: computes in f32 and rounds once, to nearest
/// even, also where a register is not full. NaN stays NaN at even and at odd places, and what is too large
/// becomes infinite.
TEST(Bias, SixteenBitsAreRoundedOnce) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const DType dtype : {DType::BF16, DType::F16}) {
    const double largest = dtype == DType::BF16 ? 3.3895313892515355e38 : 65504;
    for (const std::int64_t channels : {1, 3, 24, 31, 37, 144}) {
      const Shape shape{5, channels, 13, 7};
      Tensor values = random_tensor(shape, 1, DType::F64, -300, 300);
      const std::vector<double> special{nan, infinity, -infinity, largest, -largest, 0.0, nan, largest};
      const std::int64_t last = values.numel() - std::int64_t(special.size());
      for (std::size_t i = 0; i < special.size(); ++i) {
        values.data<double>()[i * 3] = special[i];
        values.data<double>()[last + std::int64_t(i)] = special[i];
      }
      const Tensor x = in(dtype, values), bias = in(dtype, random_tensor({channels}, 2, DType::F64, -9, 9));
      Tensor sums = in(DType::F64, x);
      const std::vector<double> biases = in(DType::F64, bias).values<double>();
      for (std::int64_t i = 0; i < sums.numel(); ++i) {
        sums.data<double>()[i] += biases[std::size_t(i / (13 * 7) % channels)];
      }
      const Tensor expected = in(DType::F64, in(dtype, in(DType::F32, sums)));
      for (const Device device : test_devices()) {
        for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
          SCOPED_TRACE(to_string(device) + " " + to_string(format) + " " + to_string(dtype) + " " +
                       std::to_string(channels) + " channels");
          const Tensor y = kernels::bias_add(kernels::to_format(x, format).to(device), bias.to(device));
          expect_close(in(DType::F64, y.to(Device::cpu())), expected, Tolerance{0, 0});
        }
      }
    }
  }
}

}  // namespace
}  // namespace dlcuda::testing
