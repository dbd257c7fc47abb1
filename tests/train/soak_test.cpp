// Many steps: nothing grows.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>

#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/small_resnet.h"

namespace dlcuda::testing {
namespace {

/// Bytes of this process in memory.
std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

class Soak : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, Soak, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Captured" : "Eager"; });

TEST_P(Soak, MemoryIsFlatAfterStep100) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    // Kernels on the host shim take a hundred times as long.
    const int steps = device.is_cpu() ? 10'000 : 300;
    SmallResNet model(2);
    model.to(device);
    const auto optimizer = make_optimizer("adam", model.parameters(), 1e-3);
    const auto body = [&](const std::vector<Tensor>& batch) {
      const Tensor loss = functional::cross_entropy(model(batch[0]), batch[1]);
      loss.backward();
      optimizer->step();
      kernels::dropout_generator(device).advance_step();
      return std::vector{loss};
    };
    CapturedStep captured(device, body);
    const Tensor labels = Tensor::from_values<std::int64_t>({1, 4}, {2}, device);
    const auto train = [&](int count) {
      for (int step = 0; step < count; ++step) {
        // A batch of its own each time, as a loader gives them; the learning rate moves, too.
        const Tensor images = random_tensor({2, 3, 4, 4}, std::uint32_t(step % 7), DType::F32).to(device);
        optimizer->set_learning_rate(1e-4 / (1 + step));
        GetParam() ? captured({images, labels}) : body({images, labels});
      }
    };
    train(100);
    const MemoryStats before = allocator_for(device).stats();
    std::int64_t least_growth = std::numeric_limits<std::int64_t>::max();
    for (int third = 0; third < 3; ++third) {
      const std::int64_t resident = resident_bytes();
      train((steps - 100) / 3);
      least_growth = std::min(least_growth, resident_bytes() - resident);
    }
    const MemoryStats after = allocator_for(device).stats();
    EXPECT_EQ(after.total.reserved.current, before.total.reserved.current);
    if (!allocator_for(device).pass_through()) {  // which asks the source each time
      EXPECT_EQ(after.total.segments.allocated, before.total.segments.allocated);
    }
    EXPECT_EQ(after.total.active.current, before.total.active.current);
#if !defined(__SANITIZE_ADDRESS__)  // which keeps what is freed for a while
    // The C library's heap takes pages now and then; a leak takes them in every third, 300 KiB for 100 bytes
    // a step.
    EXPECT_LT(least_growth, 256 << 10);
#endif
  }
}

}  // namespace
}  // namespace dlcuda::testing
