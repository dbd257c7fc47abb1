#include "dlcuda/train/trainer.h"

#include <cmath>
#include <csignal>
#include <fstream>
#include <iterator>

#include "dlcuda/core/error.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/data/registry.h"
#include "dlcuda/layers/layers.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

// 28x28 digits -> 10 classes, with dropout so that the order of random numbers matters too.
class SmallNet : public Module {
 public:
  SmallNet() {
    register_module("fc1", &fc1_);
    register_module("dropout", &dropout_);
    register_module("fc2", &fc2_);
  }
  Tensor forward(const Tensor& x) override {
    return fc2_(dropout_(functional::tanh(fc1_(functional::flatten(x)))));
  }
  std::string describe() const override { return "SmallNet"; }

 private:
  Linear fc1_{LinearOptions{.in_features = 784, .out_features = 32}};
  Dropout dropout_{0.1};
  Linear fc2_{LinearOptions{.in_features = 32, .out_features = 10}};
};

class Recorder : public TrainObserver {
 public:
  void on_progress(const ProgressReport& report) override {
    progress.push_back(report);
    if (signal_at_progress != 0) std::raise(signal_at_progress);
  }
  void on_epoch(const EpochReport& report) override { epochs.push_back(report); }
  void on_note(const std::string& note) override { notes.push_back(note); }
  void on_final(const FinalReport& report) override { finals.push_back(report); }

  std::vector<ProgressReport> progress;
  std::vector<EpochReport> epochs;
  std::vector<FinalReport> finals;
  std::vector<std::string> notes;
  int signal_at_progress = 0;
};

/// The loss times a factor: its gradients overflow f16 sooner.
class LoudTask : public ClassificationTask {
 public:
  using ClassificationTask::ClassificationTask;
  Tensor loss(Module& model, const Batch& batch) override {
    const Tensor quiet = ClassificationTask::loss(model, batch);
    return factor == 1 ? quiet : functional::scale(quiet, factor);
  }
  double factor = 1;
};

// A whole run on 256 digits.
struct SmallRun {
  explicit SmallRun(std::uint64_t seed = 1, double lr = 3e-3, TrainerConfig given = {.epochs = 3},
                    std::int64_t images = 256)
      : folder(RunFolder::create("test", temp / "run")),
        config(std::move(given)),
        data(open_dataset({.name = "digits", .limit = images})) {
    kernels::manual_seed(seed);
    model = std::make_unique<SmallNet>();
    model->to(config.dtype);
    optimizer = make_optimizer("adam", model->parameters(), lr);
    const ImagePipeline pipeline(data.train->image_shape(), {}, data.normalization);
    train = std::make_unique<DataLoader>(
        data.train, pipeline,
        LoaderOptions{.batch_size = 32, .shuffle = true, .seed = seed, .dtype = config.dtype});
    const LoaderOptions in_order{.batch_size = 100, .dtype = config.dtype};
    validation = std::make_unique<DataLoader>(data.validation, pipeline, in_order);
    test = std::make_unique<DataLoader>(data.test, pipeline, in_order);
  }
  int operator()() {
    return Trainer({Device::cpu(),
                    *model,
                    task,
                    *optimizer,
                    kernels::dropout_generator(Device::cpu()),
                    *train,
                    *validation,
                    *test,
                    folder,
                    {&recorder}},
                   config)
        .run();
  }
  std::string bytes(const std::filesystem::path& file) const {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  TempFolder temp;
  RunFolder folder;
  TrainerConfig config;
  DatasetSplits data;
  LoudTask task{Device::cpu()};
  std::unique_ptr<Module> model;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<DataLoader> train, validation, test;
  Recorder recorder;
};

TEST(Trainer, TheLossFallsAndEveryEpochIsReported) {
  SmallRun run;
  EXPECT_EQ(run(), 0);
  ASSERT_EQ(run.recorder.epochs.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const EpochReport& epoch = run.recorder.epochs[i];
    EXPECT_EQ(epoch.epoch, std::int64_t(i + 1));
    EXPECT_EQ(epoch.epochs, 3);
    EXPECT_EQ(epoch.train.count, 256);
    EXPECT_EQ(epoch.validation.count, 256);
    EXPECT_GT(epoch.images_per_second, 0);
    EXPECT_GT(epoch.seconds, 0);
  }
  EXPECT_LT(run.recorder.epochs[2].train.loss, 0.8 * run.recorder.epochs[0].train.loss);
  EXPECT_GT(run.recorder.epochs[2].train.score, run.recorder.epochs[0].train.score);
  ASSERT_EQ(run.recorder.finals.size(), 1u);
  EXPECT_EQ(run.recorder.finals[0].test.count, 256);
}

TEST(Trainer, OneSeedOneFileAnotherSeedAnother) {
  const auto weights = [](std::uint64_t seed) {
    SmallRun run(seed);
    run();
    return run.bytes(run.folder.last_weights());
  };
  const std::string first = weights(1);
  EXPECT_GT(first.size(), 100'000u);
  // Not EXPECT_EQ, which would print all the bytes.
  EXPECT_TRUE(first == weights(1));
  EXPECT_TRUE(first != weights(2));
}

// 8 batches an epoch, or 7 and a smaller one; groups that end with the epoch, before it and at the smaller
// batch. The learning rate is another one in each step.
TEST(Trainer, StepsThatAreLaunchedTogetherGiveTheSameWeights) {
  for (const std::int64_t images : {256, 250}) {
    const auto run_with = [&](std::int64_t together) {
      SmallRun run(1, 3e-3,
                   {.epochs = 3,
                    .schedule = cosine_schedule(),
                    .progress_interval = std::chrono::milliseconds(0),
                    .steps_per_launch = together},
                   images);
      run();
      EXPECT_EQ(run.recorder.notes, std::vector<std::string>());
      EXPECT_EQ(run.recorder.epochs.back().train.count, images);
      EXPECT_EQ(run.recorder.progress.size(), std::size_t(3 * (8 / together)));
      return std::tuple(run.bytes(run.folder.last_weights()), run.recorder.epochs.back().train.loss,
                        run.recorder.epochs.back().lr);
    };
    const auto single = run_with(1);
    for (const std::int64_t together : {3, 4}) {
      const auto several = run_with(together);
      EXPECT_TRUE(several == single) << images << " images, " << together << " steps together";
    }
  }
  expect_error<ArgumentError>([] { SmallRun(1, 1e-3, {.steps_per_launch = 0})(); },
                              "steps per launch must be at least 1, got 0");
}

TEST(Trainer, TheFinalTestUsesTheBestWeights) {
  // A learning rate that grows wildly after the first epoch makes the first epoch the best.
  TrainerConfig config{.epochs = 3,
                       .schedule = {"growing", [](double done) { return done < 0.34 ? 1.0 : 100.0; }}};
  SmallRun run(1, 3e-3, config);
  run();
  EXPECT_TRUE(run.recorder.epochs[0].best);
  EXPECT_FALSE(run.recorder.epochs[2].best);
  ASSERT_EQ(run.recorder.finals.size(), 1u);
  EXPECT_EQ(run.recorder.finals[0].weights, run.folder.best_weights());
  EXPECT_EQ(run.recorder.finals[0].weights_epoch, 1);
  EXPECT_TRUE(run.bytes(run.folder.best_weights()) != run.bytes(run.folder.last_weights()));
  EXPECT_NEAR(run.recorder.finals[0].test.loss, run.recorder.epochs[0].validation.loss, 0.5);

  config.test_best = false;
  SmallRun last(1, 3e-3, config);
  last();
  EXPECT_EQ(last.recorder.finals[0].weights, last.folder.last_weights());
  EXPECT_EQ(last.recorder.finals[0].weights_epoch, 3);
  EXPECT_GT(last.recorder.finals[0].test.loss, run.recorder.finals[0].test.loss + 0.5);
}

TEST(Trainer, TheScheduleSetsTheLearningRate) {
  SmallRun run(1, 0.01, {.epochs = 2, .schedule = cosine_schedule()});
  run();
  // The last step of the first epoch is 7 of 16, that of the second 15 of 16.
  EXPECT_NEAR(run.recorder.epochs[0].lr, 0.01 * 0.5 * (1 + std::cos(M_PI * 7 / 16)), 1e-9);
  EXPECT_NEAR(run.recorder.epochs[1].lr, 0.01 * 0.5 * (1 + std::cos(M_PI * 15 / 16)), 1e-9);
}

TEST(Trainer, ProgressIsReportedAsOftenAsAsked) {
  SmallRun often(1, 1e-3, {.epochs = 2, .progress_interval = std::chrono::milliseconds(0)});
  often();
  ASSERT_EQ(often.recorder.progress.size(), 16u);
  const ProgressReport& last = often.recorder.progress.back();
  EXPECT_EQ(last.epoch, 2);
  EXPECT_EQ(last.step, 8);
  EXPECT_EQ(last.steps, 8);
  EXPECT_EQ(last.seconds_left, 0);
  EXPECT_NEAR(last.loss, often.recorder.epochs.back().train.loss, 1e-12);

  SmallRun never(1, 1e-3, {.epochs = 2, .progress_interval = std::chrono::hours(1)});
  never();
  EXPECT_TRUE(never.recorder.progress.empty());
}

TEST(Trainer, AnInterruptSavesTheWeightsAndStops) {
  SmallRun run(1, 1e-3, {.epochs = 1000, .progress_interval = std::chrono::milliseconds(0)});
  run.recorder.signal_at_progress = SIGTERM;
  EXPECT_EQ(run(), SIGTERM);
  EXPECT_TRUE(run.recorder.epochs.empty());
  EXPECT_TRUE(run.recorder.finals.empty());
  const auto saved = load_safetensors(run.folder.last_weights());
  const auto now = run.model->state_dict();
  ASSERT_EQ(saved.size(), now.size());
  for (std::size_t i = 0; i < saved.size(); ++i) {
    EXPECT_EQ(saved[i].first, now[i].first);
    EXPECT_EQ(saved[i].second.values<float>(), now[i].second.values<float>());
  }
}

TEST(Trainer, StepsThatOverflowF16AreReported) {
  SmallRun run(1, 1e-3, {.epochs = 2, .dtype = DType::F16});
  run.task.factor = 1024;
  run();
  ASSERT_FALSE(run.recorder.notes.empty());
  EXPECT_NE(run.recorder.notes[0].find("of 8 steps left out, their gradients overflowed f16"),
            std::string::npos)
      << run.recorder.notes[0];
  EXPECT_LT(run.recorder.epochs[1].train.loss, run.recorder.epochs[0].train.loss);

  // A scale that falls and falls.
  SmallRun never(1, 1e-3, {.epochs = 9, .dtype = DType::F16});
  never.task.factor = 1e25;
  expect_error<NumericError>([&] { never(); }, "no step had finite gradients", "bf16");
  EXPECT_LT(never.recorder.epochs.size(), 4u);
}

TEST(Trainer, ALossThatIsNotFiniteEndsTheRunAndNamesTheTensor) {
  SmallRun run(1, 1e-3, {.epochs = 2, .progress_interval = std::chrono::milliseconds(0)});
  Tensor weight = run.model->parameters()[2].second;
  ASSERT_EQ(run.model->parameters()[2].first, "fc2.weight");
  weight.data<float>()[5] = NAN;
  weight.bump_version();
  expect_error<NumericError>([&] { run(); }, "NaN", "between steps 1 and 1", "--lr");
}

}  // namespace
}  // namespace dlcuda
