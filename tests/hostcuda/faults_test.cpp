// Whole training steps in which the n-th CUDA call, or the n-th allocation, fails: n = 1, 2, 3, ... until a
// step passes. Whatever fails ends in one of the library's errors; nothing leaks, and the next run computes
// what it always did.
#include <gtest/gtest.h>

#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/hostcuda/shim.h"
#include "dlcuda/tests/support/random_tensor.h"
#include "dlcuda/tests/support/small_resnet.h"

namespace dlcuda::hostcuda {
namespace {

constexpr std::int64_t kBatch = 2;

struct Outcome {
  std::vector<float> losses;
  std::string error;  ///< empty when none was thrown
};

class Faults : public ::testing::TestWithParam<bool> {
 protected:
  void TearDown() override { reset(); }

  /// Three training steps of a small residual network, from the same weights each time. arm() is called when
  /// all is set up.
  template <typename Arm>
  Outcome train(const Arm& arm) {
    Outcome outcome;
    try {
      kernels::manual_seed(2);
      testing::SmallResNet model(2);
      model.to(device_);
      const auto optimizer = make_optimizer("adam", model.parameters(), 1e-3);
      const auto body = [&](const std::vector<Tensor>& batch) {
        const Tensor loss = functional::cross_entropy(model(batch[0]), batch[1]);
        loss.backward();
        optimizer->step();
        return std::vector{loss};
      };
      CapturedStep captured(device_, body);
      const std::vector<Tensor> batch{images_.to(device_), labels_.to(device_)};
      arm();
      for (int step = 0; step < 3; ++step) {
        const std::vector<Tensor> result = GetParam() ? captured(batch) : body(batch);
        outcome.losses.push_back(result[0].item<float>());
      }
    } catch (const Error& error) {
      outcome.error = error.what();
    }
    fail_call(0);
    fail_allocation(0);
    return outcome;
  }

  Device device_ = Device::cuda();
  Tensor images_ = random_tensor({kBatch, 3, 4, 4}, 1, DType::F32);
  Tensor labels_ = Tensor::from_values<std::int64_t>({3, 8}, {kBatch});
};
INSTANTIATE_TEST_SUITE_P(, Faults, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Captured" : "Eager"; });

/// Where nothing is cached, every tensor is an allocation, and there are too many calls to let each fail.
std::uint64_t stride() { return allocator_for(Device::cuda()).pass_through() ? 5 : 1; }

/// All memory back at the device, so that every run asks for it anew.
void give_memory_back() { allocator_for(Device::cuda()).empty_cache(); }

TEST_P(Faults, EveryCallMayFail) {
  const Outcome good = train([] {});
  ASSERT_EQ(good.error, "");
  give_memory_back();
  const Counters before = counters();
  std::uint64_t errors = 0;
  for (std::uint64_t n = 1;; n += stride()) {
    std::uint64_t armed_at = 0;
    const Outcome outcome = train([&] {
      armed_at = counters().calls;
      fail_call(n, cudaErrorUnknown);
    });
    const bool struck = counters().calls >= armed_at + n;
    // Calls that only release something may fail unnoticed.
    if (outcome.error.empty()) {
      EXPECT_EQ(outcome.losses, good.losses) << "call " << n;
    } else {
      ++errors;
    }
    give_memory_back();
    const Counters after = counters();
    ASSERT_EQ(after.device_allocations, before.device_allocations) << "call " << n;
    ASSERT_EQ(after.graphs, before.graphs) << "call " << n;
    if (!struck) break;
  }
  EXPECT_GT(errors, 50u);
  const Outcome again = train([] {});
  EXPECT_EQ(again.error, "");
  EXPECT_EQ(again.losses, good.losses);
}

TEST_P(Faults, EveryAllocationMayFail) {
  const Outcome good = train([] {});
  ASSERT_EQ(good.error, "");
  std::uint64_t struck = 0;
  for (std::uint64_t n = 1;; n += stride()) {
    give_memory_back();
    fail_allocation(n);
    const std::uint64_t before = counters().allocations;
    const Outcome outcome = train([] {});
    EXPECT_EQ(outcome.error, "")
        << "one refusal is survived: the cache is flushed, and the second request granted";
    EXPECT_EQ(outcome.losses, good.losses) << "allocation " << n;
    if (counters().allocations < before + n) break;
    ++struck;
  }
  EXPECT_GE(struck, 1u);
}

TEST_P(Faults, MemoryThatStaysExhausted) {
  const Outcome good = train([] {});
  give_memory_back();
  const std::size_t needed = counters().device_bytes;
  int out_of_memory = 0;
  for (std::size_t room = 0;; room += std::size_t(1) << 20) {
    ASSERT_LT(room, std::size_t(1) << 30);
    DeviceModel model;
    model.memory = needed + room;
    set_device_model(model);
    const Outcome outcome = train([] {});
    set_device_model({});
    give_memory_back();
    EXPECT_EQ(counters().device_bytes, needed);
    if (outcome.error.empty()) {
      EXPECT_EQ(outcome.losses, good.losses);
      break;
    }
    EXPECT_NE(outcome.error.find("out of memory (cuda:0)"), std::string::npos) << outcome.error;
    ++out_of_memory;
  }
  EXPECT_GT(out_of_memory, 0);
  EXPECT_EQ(train([] {}).losses, good.losses);
}

TEST_P(Faults, AStickyErrorStaysNamed) {
  give_memory_back();
  const Outcome good = train([] {});
  const Outcome lost = train([] { fail_call(25, cudaErrorIllegalAddress, /*sticky=*/true); });
  EXPECT_NE(lost.error.find("cudaErrorIllegalAddress"), std::string::npos) << lost.error;
  const Outcome later = train([] {});
  EXPECT_NE(later.error.find("cuda:0 is unusable for the rest of this process. What made it so: "
                             "cudaErrorIllegalAddress"),
            std::string::npos)
      << later.error;
  reset();
  EXPECT_EQ(train([] {}).losses, good.losses) << "on a real device this takes a new process";
}

}  // namespace
}  // namespace dlcuda::hostcuda
