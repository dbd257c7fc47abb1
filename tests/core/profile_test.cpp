#include "dlcuda/core/profile.h"

#include <algorithm>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/conv2d.h"
#include "dlcuda/kernels/conv_transpose2d.h"
#include "dlcuda/kernels/matmul.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

using nlohmann::json;

/// A slice of a trace: a range or an operation.
struct Slice {
  std::string name, category;
  double begin, end;
  json arguments;
};

/// The slices by (process, thread), and what is said about rows and memory.
struct Trace {
  explicit Trace(const Profile& profile) {
    const json trace = json::parse(profile.chrome_trace());
    for (const json& event : trace.at("traceEvents")) {
      const std::string kind = event.at("ph");
      const int process = event.at("pid");
      if (kind == "X") {
        const double begin = event.at("ts"), duration = event.at("dur");
        EXPECT_GE(duration, 0.0) << event;
        rows[{process, event.at("tid")}].push_back(
            {event.at("name"), event.at("cat"), begin, begin + duration, event.at("args")});
      } else if (kind == "M" && event.at("name") == "thread_name") {
        names[event.at("args").at("name")] = {process, event.at("tid")};
      } else if (kind == "C") {
        memory[event.at("name")].push_back(event.at("args").at("active"));
      }
    }
  }

  /// The one slice of a row that has this name.
  const Slice& one(std::pair<int, int> row, const std::string& name) const {
    const Slice* found = nullptr;
    for (const Slice& slice : rows.at(row)) {
      if (slice.name != name) continue;
      if (found != nullptr) throw std::runtime_error("several slices are called " + name);
      found = &slice;
    }
    if (found == nullptr) throw std::runtime_error("no slice is called " + name);
    return *found;
  }

  std::map<std::pair<int, int>, std::vector<Slice>> rows;
  std::map<std::string, std::pair<int, int>> names;
  std::map<std::string, std::vector<std::size_t>> memory;
};

void expect_inside(const Slice& inner, const Slice& outer) {
  // Times are printed in µs with a digit for each ns or finer.
  EXPECT_GE(inner.begin, outer.begin - 1e-3) << inner.name << " in " << outer.name;
  EXPECT_LE(inner.end, outer.end + 1e-3) << inner.name << " in " << outer.name;
}

/// conv (1 -> 4 channels, 3x3) and linear: one training step on 2 pictures of 8 x 8.
class Step {
 public:
  explicit Step(Device device) : x_(Tensor::zeros({2, 1, 8, 8}, DType::F32, device)) {
    model_.add<Conv2d>(1, 4, 3).add<Relu>().add<Flatten>().add<Linear>(4 * 6 * 6, 5);
    model_.to(device);
    optimizer_ = make_optimizer("sgd", model_.parameters(), 0.1);
  }
  void operator()() {
    functional::mean(model_(x_)).backward();
    optimizer_->step();
  }

 private:
  Tensor x_;
  Sequential model_;
  std::unique_ptr<Optimizer> optimizer_;
};

class ProfileOn : public ::testing::TestWithParam<Device> {
 protected:
  void SetUp() override {
    if (GetParam().is_cpu()) return;
    const auto cuda = dlcuda::testing::cuda_for_test();
    if (!cuda.available) GTEST_SKIP() << cuda.reason;
  }
  /// Where the operations of this thread stand with the times of their device.
  std::pair<int, int> row() const { return GetParam().is_cpu() ? std::pair(1, 1) : std::pair(100, 1); }
};

INSTANTIATE_TEST_SUITE_P(, ProfileOn, ::testing::Values(Device::cpu(), Device::cuda()),
                         [](const auto& info) { return info.param.is_cpu() ? "Cpu" : "Cuda"; });

TEST_P(ProfileOn, OperationsStandInTheirLayersWithTheirTensors) {
  Step step(GetParam());
  step();
  Profile profile;
  step();
  profile.stop();
  const Trace trace(profile);
  for (const auto& where : {std::pair(1, 1), row()}) {
    const Slice &conv = trace.one(where, "conv2d_forward"), &layer = trace.one(where, "0");
    expect_inside(conv, layer);
    expect_inside(layer, trace.one(where, "Sequential(4 layers)"));
    EXPECT_EQ(layer.arguments.at("detail"), "Conv2d(1, 4, kernel 3x3)");
    EXPECT_EQ(conv.category, "forward");
    EXPECT_EQ(
        conv.arguments.at("tensors"),
        json({{"x", "[2, 1, 8, 8]"}, {"weight", "[4, 1, 3, 3]"}, {"bias", "[4]"}, {"y", "[2, 4, 6, 6]"}}));
    EXPECT_EQ(conv.arguments.at("dtype"), "f32");
    EXPECT_EQ(conv.arguments.at("device"), to_string(GetParam()));
    EXPECT_EQ(conv.arguments.at("flops"), 2 * (2 * 4 * 6 * 6) * (1 * 3 * 3));
    EXPECT_EQ(conv.arguments.at("bytes"), 4 * (2 * 8 * 8 + 4 * 9 + 4 + 2 * 4 * 6 * 6));

    const Slice& weight = trace.one(where, "conv2d_backward_weight");
    EXPECT_EQ(weight.category, "backward");
    expect_inside(weight, trace.one(where, "0 backward"));
    expect_inside(trace.one(where, "0 backward"), trace.one(where, "backward"));
    EXPECT_EQ(trace.one(where, "3 backward").arguments.at("detail"), "linear");
    EXPECT_GE(weight.begin, conv.end - 1e-3);

    const Slice& update = trace.one(where, "sgd_update");
    EXPECT_EQ(update.category, "update");
    expect_inside(update, trace.one(where, "optimizer step"));
  }
  const auto& active = trace.memory.at(to_string(GetParam()) + " active bytes");
  EXPECT_GE(*std::max_element(active.begin(), active.end()), 4u * (2 * 8 * 8 + 2 * 4 * 6 * 6));
}

TEST_P(ProfileOn, TotalsAreSumsOverCalls) {
  const Tensor a = Tensor::zeros({3, 5}, DType::F32, GetParam()),
               b = Tensor::zeros({5, 7}, DType::F32, GetParam());
  kernels::matmul(a, b);
  Profile profile;
  for (int i = 0; i < 4; ++i) kernels::matmul(a, b);
  profile.stop();
  const auto totals = profile.totals();
  ASSERT_EQ(totals.size(), 1u);
  EXPECT_EQ(totals[0].name, "matmul");
  EXPECT_EQ(totals[0].phase, ProfilePhase::Forward);
  EXPECT_EQ(totals[0].device, GetParam().type);
  EXPECT_EQ(totals[0].calls, 4);
  EXPECT_GT(totals[0].milliseconds, 0.0);
  EXPECT_EQ(totals[0].flops, 4.0 * 2 * 3 * 5 * 7);
  EXPECT_EQ(totals[0].bytes, 4.0 * 4 * (15 + 35 + 21));
}

TEST(CudaProfile, CopiesBetweenHostAndDeviceCount) {
  const auto cuda = dlcuda::testing::cuda_for_test();
  if (!cuda.available) GTEST_SKIP() << cuda.reason;
  const Tensor x = Tensor::zeros({10});
  Profile profile;
  x.to(Device::cuda()).to(Device::cpu());
  profile.stop();
  std::map<std::string, double> bytes;
  for (const ProfileTotal& total : profile.totals()) bytes[total.name] = total.bytes;
  EXPECT_EQ(bytes, (std::map<std::string, double>{{"copy_to_device", 40}, {"copy_to_host", 40}}));
}

TEST(Profile, FlopsOfConvolutionsAndProducts) {
  using namespace kernels;
  const Conv2dParams grouped{.stride = {2, 1}, .padding = {1, 1, 1, 1}, .groups = 2};
  const Tensor x = Tensor::zeros({2, 4, 9, 8}), w = Tensor::zeros({6, 2, 3, 3});
  const ConvTranspose2dParams up{.stride = {2, 2}};
  const Tensor small = Tensor::zeros({2, 3, 4, 5}), taps = Tensor::zeros({3, 7, 2, 2});
  const Tensor a = Tensor::zeros({3, 4, 6}), b = Tensor::zeros({3, 5, 6}), shared = Tensor::zeros({6, 2});

  Profile profile;
  const Tensor y = conv2d_forward(x, w, {}, grouped);
  conv2d_backward_data(y, w, x.shape(), grouped);
  conv2d_backward_weight(x, y, w.shape(), grouped, true);
  const Tensor large = conv_transpose2d_forward(small, taps, {}, up);
  conv_transpose2d_backward_data(large, taps, small.shape(), up);
  conv_transpose2d_backward_weight(small, large, taps.shape(), up);
  matmul(a, b, {}, {.transpose_b = true});
  matmul(a, shared);
  matmul(Tensor::zeros({6, 3}), shared, {}, {.transpose_a = true});
  profile.stop();

  const double conv = 2.0 * double(y.numel()) * (2 * 3 * 3),
               transposed = 2.0 * double(small.numel()) * (7 * 2 * 2);
  double transposed_flops = 0;  // whichever way it goes: by taps and products, or by one kernel
  std::map<std::string, double> flops;
  for (const ProfileTotal& total : profile.totals()) {
    flops[total.name] = total.flops;
    if (total.name.starts_with("conv_transpose2d")) transposed_flops += total.flops;
  }
  EXPECT_EQ(y.shape(), (Shape{2, 6, 5, 8}));
  EXPECT_EQ(flops.at("conv2d_forward"), conv);
  EXPECT_EQ(flops.at("conv2d_backward_data"), conv);
  EXPECT_EQ(flops.at("conv2d_backward_weight"), conv);
  const double products = 2.0 * (3 * 4 * 5 * 6 + 3 * 4 * 2 * 6 + 3 * 2 * 6);
  EXPECT_EQ(flops.at("matmul") - products + transposed_flops, 3 * transposed);
}

TEST_P(ProfileOn, AReplayedStepIsOneOperation) {
  const Tensor x = Tensor::zeros({4, 4}, DType::F32, GetParam());
  CapturedStep step(GetParam(), [](const std::vector<Tensor>& inputs) {
    return std::vector{kernels::matmul(inputs[0], inputs[0])};
  });
  for (int i = 0; i < 2; ++i) step({x});
  ASSERT_EQ(step.fallback_reason(), "");
  const auto replayed = step.counts().replayed;
  Profile profile;
  for (int i = 0; i < 3; ++i) step({x});
  profile.stop();
  ASSERT_EQ(step.counts().replayed, replayed + 3);
  std::map<std::string, std::int64_t> calls;
  for (const ProfileTotal& total : profile.totals()) calls[total.name] = total.calls;
  EXPECT_EQ(calls["captured_step"], 3);
  EXPECT_EQ(calls["matmul"], 0);
}

TEST(Profile, NothingIsRecordedWhileOff) {
  const Tensor a = Tensor::zeros({4, 4});
  EXPECT_FALSE(profiling());
  kernels::matmul(a, a);
  Profile profile;
  EXPECT_TRUE(profiling());
  profile.stop();
  EXPECT_FALSE(profiling());
  kernels::matmul(a, a);
  EXPECT_TRUE(profile.totals().empty());
  EXPECT_TRUE(Trace(profile).rows.empty());
}

TEST(Profile, ThreadsHaveRowsOfTheirOwn) {
  const Tensor a = Tensor::zeros({4, 4});
  Profile profile;
  kernels::matmul(a, a);
  std::thread([&] {
    name_profile_thread("helper");
    const ProfileRange range("preparing", ProfilePhase::Data);
    kernels::matmul(a, a);
  }).join();
  profile.stop();
  const Trace trace(profile);
  const auto main = trace.names.at("main thread"), helper = trace.names.at("helper");
  EXPECT_NE(main, helper);
  EXPECT_EQ(trace.one(main, "matmul").category, "forward");
  EXPECT_EQ(trace.one(helper, "matmul").category, "data");
  expect_inside(trace.one(helper, "matmul"), trace.one(helper, "preparing"));
  EXPECT_EQ(profile.totals().size(), 2u) << "phases are told apart";
}

TEST(Profile, WhatGoesOnWhenItStopsEndsThere) {
  std::promise<void> begun, stopped;
  Profile profile;
  std::thread other([&] {
    {
      const ProfileRange range("long");
      begun.set_value();
      stopped.get_future().wait();
    }
    const ProfileRange late("late");
  });
  begun.get_future().wait();
  profile.stop();
  stopped.set_value();
  other.join();
  const Trace trace(profile);
  ASSERT_EQ(trace.rows.size(), 1u);
  ASSERT_EQ(trace.rows.begin()->second.size(), 1u);
  EXPECT_EQ(trace.rows.begin()->second[0].name, "long");
}

TEST(Profile, ARangeThatBeganBeforeIsNotInIt) {
  std::optional<Profile> profile;
  {
    const ProfileRange before("before");
    profile.emplace();
    const ProfileRange inside("inside");
  }
  profile->stop();
  const Trace trace(*profile);
  const auto& slices = trace.rows.at({1, 1});
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_EQ(slices[0].name, "inside");
}

TEST(Profile, AnOperationThatThrowsIsClosed) {
  const Tensor a = Tensor::zeros({4, 4});
  Profile profile;
  try {
    const ProfileRange range("failing");
    throw Error("x");
  } catch (const Error&) {
  }
  kernels::matmul(a, a);
  profile.stop();
  const Trace trace(profile);
  EXPECT_LE(trace.one({1, 1}, "failing").end, trace.one({1, 1}, "matmul").begin);
}

TEST(Profile, OneAtATimeAndReadOnlyWhenStopped) {
  Profile profile;
  EXPECT_THROW(Profile(), Error);
  EXPECT_THROW(profile.chrome_trace(), Error);
  EXPECT_THROW(profile.totals(), Error);
  EXPECT_THROW(profile.table(), Error);
  profile.stop();
  profile.stop();
  { const Profile abandoned; }
  EXPECT_FALSE(profiling());
  EXPECT_NO_THROW(profile.table());
}

TEST(Profile, WritesTheTraceOrSaysWhyNot) {
  const TempFolder folder;
  Profile profile;
  {
    const ProfileRange range([] { return ProfileRange::Name{"\xff\"quoted\"", "50 %"}; });
  }
  profile.stop();
  profile.write_chrome_trace(folder / "trace.json");
  EXPECT_EQ(read_text(folder / "trace.json"), profile.chrome_trace());
  EXPECT_EQ(Trace(profile).rows.at({1, 1}).at(0).arguments.at("detail"), "50 %") << "and names are escaped";
  const std::string missing = (folder / "missing" / "trace.json").string();
  expect_error<IoError>([&] { profile.write_chrome_trace(missing); }, missing);
}

TEST(Profile, TheTableIsSortedByTime) {
  const Tensor a = Tensor::zeros({256, 256}), x = Tensor::zeros({1, 1, 8, 8}),
               w = Tensor::zeros({1, 1, 3, 3});
  Profile profile;
  kernels::conv2d_forward(x, w, {}, {});
  for (int i = 0; i < 20; ++i) kernels::matmul(a, a);
  {
    const ProfileRange range("backward", ProfilePhase::Backward);
    kernels::matmul(a, a);
  }
  profile.stop();
  const auto totals = profile.totals();
  ASSERT_EQ(totals.size(), 3u);
  EXPECT_TRUE(std::is_sorted(totals.begin(), totals.end(),
                             [](const auto& a, const auto& b) { return a.milliseconds > b.milliseconds; }));
  const std::string table = profile.table();
  for (const char* word : {"operation", "calls", "total ms", "share", "GFLOP/s", "GB/s", "conv2d_forward",
                           "matmul (backward)", "     20 "}) {
    EXPECT_THAT(table, ::testing::HasSubstr(word));
  }
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 5);
}

}  // namespace
}  // namespace dlcuda
