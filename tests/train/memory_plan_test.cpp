#include "dlcuda/train/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/small_resnet.h"

namespace dlcuda::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kMiB = std::size_t(1) << 20;

PlannedTraining small_resnet(Device device) {
  return plan_classification([] { return std::make_unique<SmallResNet>(16); }, {3, 48, 48}, device);
}

/// What a step really has in use at its peak.
std::size_t measure(const PlannedTraining& training, std::int64_t batch_size) {
  CachingAllocator& memory = allocator_for(training.device);
  memory.empty_cache();
  const std::size_t before = memory.stats().total.active.current;
  const auto model = training.make_model();
  model->to(training.device);
  const auto optimizer = make_optimizer(training.optimizer, model->parameters(), 1e-3);
  const auto task = training.make_task(training.device);
  Batch batch = training.make_batch(batch_size);
  kernels::fill_uniform(batch.images, 0, 1, kernels::dropout_generator(training.device).next_call());
  batch.labels.zero();
  for (int step = 0; step < 2; ++step) {
    memory.reset_peaks();
    task->loss(*model, batch).backward();
    optimizer->step();
  }
  return memory.stats().total.active.peak - before;
}

TEST(MemoryPlan, IsWhatAStepUses) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const PlannedTraining training = small_resnet(device);
    for (const std::int64_t batch_size : {2, device.is_cpu() ? 24 : 4}) {
      SCOPED_TRACE(batch_size);
      const std::size_t peak = measure(training, batch_size);
      const MemoryPlan plan = plan_memory(training, batch_size);
      EXPECT_NEAR(double(plan.peak), double(peak), 0.05 * double(peak));
    }
  }
}

TEST(MemoryPlan, NamesWhatEachLayerNeeds) {
  const auto make_model = [] { return std::make_unique<LeNet5>(); };
  const MemoryPlan plan = plan_memory(plan_classification(make_model, {1, 32, 32}, Device::cpu()), 64);
  const auto layer = [&](const std::string& name) {
    const auto found = std::find_if(plan.layers.begin(), plan.layers.end(),
                                    [&](const LayerMemory& one) { return one.layer == name; });
    EXPECT_NE(found, plan.layers.end()) << name;
    return found == plan.layers.end() ? LayerMemory{} : *found;
  };
  const auto block = [](std::size_t floats) { return (floats * 4 + 511) / 512 * 512; };
  const std::size_t fc1 = block(400 * 120) + block(120);
  EXPECT_EQ(layer("fc1").parameters, fc1);
  EXPECT_EQ(layer("fc1").gradients, fc1);
  EXPECT_EQ(layer("fc1").optimizer_state, 2 * fc1) << "Adam keeps two numbers of each weight";
  EXPECT_EQ(layer("fc3").activations, block(64 * 10)) << "the logits";
  EXPECT_GE(layer("conv1").activations, block(64 * 6 * 28 * 28)) << "with its activation";
  EXPECT_EQ(plan.batch, block(64 * 32 * 32) + block(2 * 64));
  EXPECT_EQ(plan.all.parameters, plan.all.gradients);
  EXPECT_GE(plan.peak, plan.all.total() + plan.batch);
  EXPECT_GE(plan.reserved, plan.peak);
}

TEST(MemoryPlan, AllocatesNothingAndRunsNothing) {
  for (const Device device : test_devices()) {
    SCOPED_TRACE(to_string(device));
    const MemoryStats before = allocator_for(device).stats();
    // A terabyte of activations, and some more.
    const MemoryPlan plan = plan_memory(small_resnet(device), 1'000'000);
    EXPECT_GT(plan.peak, std::size_t(1) << 40);
    const MemoryStats after = allocator_for(device).stats();
    EXPECT_EQ(after.total.blocks.allocated, before.total.blocks.allocated);
    EXPECT_EQ(after.total.segments.allocated, before.total.segments.allocated);
  }
}

TEST(MemoryPlan, NeedsNoDevice) {
  EXPECT_EQ(plan_memory(small_resnet(Device::cuda(7)), 4).peak,
            plan_memory(small_resnet(Device::cuda(0)), 4).peak);
  EXPECT_GT(plan_memory(small_resnet(Device::cuda(7)), 4).peak, kMiB);
}

TEST(MemoryPlan, LeavesNoTraceInWhatIsRandom) {
  kernels::manual_seed(5);
  const SmallResNet first;
  kernels::manual_seed(5);
  plan_memory(small_resnet(Device::cpu()), 4);
  const SmallResNet second;
  EXPECT_EQ(first.parameters().front().second.values<float>(),
            second.parameters().front().second.values<float>());
}

TEST(MemoryPlan, TheLargestBatchIsTheLargest) {
  const PlannedTraining training = small_resnet(Device::cuda(0));
  for (const std::size_t bytes : {64 * kMiB, 250 * kMiB, 1000 * kMiB}) {
    const std::int64_t batch = largest_batch(training, bytes);
    ASSERT_GT(batch, 0);
    EXPECT_LE(plan_memory(training, batch, bytes).reserved, bytes);
    EXPECT_THROW(plan_memory(training, batch + 1, bytes), OutOfMemoryError);
  }
  EXPECT_EQ(largest_batch(training, kMiB), 0);
  EXPECT_EQ(largest_batch(training, 1000 * kMiB, 17), 17);
}

// The same arithmetic as the allocator itself: the batch that is said to fit does, and one more does not.
TEST(MemoryPlan, TheLargestBatchFits) {
  const Device device = Device::cpu();
  const PlannedTraining training = small_resnet(device);
  CachingAllocator& memory = allocator_for(device);
  measure(training, 1);  // libraries keep scratch memory from now on
  memory.empty_cache();
  constexpr std::size_t kRoom = 90 * kMiB;
  const auto held = memory.stats().total;
  const std::size_t reserved = held.reserved.current;
  const std::int64_t batch = largest_batch(training, kRoom);
  memory.set_limit(reserved + kRoom);
  EXPECT_NO_THROW(measure(training, batch * 95 / 100));
  // What is not cached is not cut into blocks either, and a little more fits; so it does where the scratch
  // memory of other tests keeps segments that have room.
  const auto free = static_cast<std::int64_t>(held.cached() * std::size_t(batch) / kRoom);
  const std::int64_t too_many = memory.pass_through() ? 2 * batch : (batch + free) * 110 / 100 + 1;
  EXPECT_THROW(measure(training, too_many), OutOfMemoryError);
  EXPECT_NO_THROW(measure(training, batch / 2)) << "the next operation works";
  memory.set_limit(std::numeric_limits<std::size_t>::max());
}

TEST(MemoryPlan, PrintsATable) {
  const auto make_model = [] { return std::make_unique<LeNet5>(); };
  const std::string text =
      to_string(plan_memory(plan_classification(make_model, {1, 32, 32}, Device::cpu()), 64));
  for (const char* part : {"layer", "fc1", "optimizer", "total", "batch of 64: 256.50 KiB", "peak: "}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(MemoryPlan, RefusesNonsense) {
  try {
    plan_memory(small_resnet(Device::cpu()), 0);
    ADD_FAILURE() << "no error";
  } catch (const ArgumentError& error) {
    EXPECT_STREQ(error.what(), "plan_memory: the batch size must be at least 1, got 0");
  }
  EXPECT_THROW(plan_classification({}, {3, 4}, Device::cpu()), ShapeError);
}

// A convolution of one pixel has the same output for every kind of target.
TEST(MemoryPlan, BatchesHaveTargetsOfTheDatasetsKind) {
  const auto batch_bytes = [](const TargetFormat& targets) {
    const PlannedTraining training =
        plan_training([] { return std::make_unique<Conv2d>(3, 2, 1); }, {3, 64, 64}, targets,
                      [](Device on) { return std::make_unique<SegmentationTask>(on, 2); }, Device::cpu());
    const Batch batch = training.make_batch(4);
    EXPECT_EQ(batch.boxes.defined(), targets.kind == TargetKind::Boxes);
    return targets.kind == TargetKind::Mask ? plan_memory(training, 4).batch
                                            : batch.images.nbytes() + batch.labels.nbytes();
  };
  constexpr std::size_t kImages = 4 * 3 * 64 * 64 * sizeof(float);
  EXPECT_EQ(batch_bytes({}), kImages + 4 * sizeof(std::int64_t));
  EXPECT_EQ(batch_bytes({TargetKind::Boxes, 5}), kImages + 4 * 5 * sizeof(std::int64_t));
  EXPECT_EQ(batch_bytes({TargetKind::Mask}), kImages + 4 * 64 * 64 * sizeof(std::int64_t));
}

}  // namespace
}  // namespace dlcuda::testing
