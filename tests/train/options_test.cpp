#include "dlcuda/train/options.h"

#include <vector>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda {
namespace {

const ProgramInfo kProgram{.name = "train_test",
                           .description = "Trains a test",
                           .version = "1.2.3",
                           .datasets = {"digits", "mnist"},
                           .optimizers = {"sgd", "momentum", "nesterov", "adam"}};

ParsedCommandLine parse(std::vector<const char*> flags, const TrainOptions& defaults = {}) {
  flags.insert(flags.begin(), "train_test");
  return parse_options(int(flags.size()), flags.data(), defaults, kProgram);
}

template <typename... Words>
void expect_refused(std::vector<const char*> flags, const Words&... words) {
  expect_error<ArgumentError>([&] { parse(std::move(flags)); }, words...);
}

TEST(Options, DefaultsAreTheModels) {
  TrainOptions defaults;
  defaults.epochs = 7;
  defaults.lr = 0.25;
  const auto [options, text] = parse({}, defaults);
  EXPECT_EQ(text, "");
  EXPECT_EQ(options.epochs, 7);
  EXPECT_EQ(options.lr, 0.25);
  EXPECT_EQ(options.data, "digits");
  EXPECT_FALSE(options.json);
}

TEST(Options, EveryFlagIsRead) {
  const TrainOptions options = parse({"--data",
                                      "mnist",
                                      "--data-dir",
                                      "/d",
                                      "--epochs",
                                      "3",
                                      "--batch-size=32",
                                      "--lr",
                                      "2.5e-3",
                                      "--optimizer",
                                      "sgd",
                                      "--device",
                                      "cuda:1",
                                      "--require-gpu",
                                      "--precision",
                                      "tf32",
                                      "--seed",
                                      "18446744073709551615",
                                      "--threads",
                                      "2",
                                      "--workers",
                                      "0",
                                      "--limit",
                                      "256",
                                      "--out",
                                      "here",
                                      "--steps-per-launch",
                                      "8",
                                      "--auto-batch",
                                      "--memory-timeline",
                                      "m.svg",
                                      "--json"})
                                   .options;
  EXPECT_EQ(options.data, "mnist");
  EXPECT_EQ(options.data_dir, "/d");
  EXPECT_EQ(options.epochs, 3);
  EXPECT_EQ(options.batch_size, 32);
  EXPECT_EQ(options.lr, 2.5e-3);
  EXPECT_EQ(options.optimizer, "sgd");
  EXPECT_EQ(options.device, "cuda:1");
  EXPECT_TRUE(options.require_gpu);
  EXPECT_EQ(options.precision, Precision::Tf32);
  EXPECT_EQ(options.seed, 18446744073709551615u);
  EXPECT_EQ(options.threads, 2);
  EXPECT_EQ(options.workers, 0);
  EXPECT_EQ(options.limit, 256);
  EXPECT_EQ(options.out, "here");
  EXPECT_EQ(options.steps_per_launch, 8);
  EXPECT_TRUE(options.auto_batch);
  EXPECT_EQ(options.memory_timeline, "m.svg");
  EXPECT_TRUE(options.json);
  EXPECT_TRUE(parse({"--eager"}).options.eager);
  EXPECT_EQ(parse({"--profile", "trace.json"}).options.profile, "trace.json");
}

TEST(Options, HelpShowsEveryFlagWithTheModelsDefaults) {
  TrainOptions defaults;
  defaults.epochs = 123;
  defaults.optimizer = "nesterov";
  const std::string text = parse({"--help"}, defaults).text;
  for (const char* flag : {"--data ",
                           "--data-dir",
                           "--epochs",
                           "--batch-size",
                           "--lr",
                           "--optimizer",
                           "--device",
                           "--require-gpu",
                           "--precision",
                           "--seed",
                           "--threads",
                           "--workers",
                           "--limit",
                           "--out",
                           "--eager",
                           "--steps-per-launch",
                           "--auto-batch",
                           "--json",
                           "--help",
                           "--profile",
                           "perfetto",
                           "--version",
                           "(default: 123)",
                           "(default: nesterov)",
                           "(default: digits)"}) {
    EXPECT_THAT(text, testing::HasSubstr(flag));
  }
}

TEST(Options, VersionNamesTheProgram) { EXPECT_EQ(parse({"--version"}).text, "train_test 1.2.3\n"); }

TEST(Options, StepsAreLaunchedTogetherOnlyWhereTheyAreRecorded) {
  expect_refused({"--steps-per-launch", "2", "--eager"}, "leave out --eager");
  expect_refused({"--steps-per-launch", "2", "--profile", "trace.json"}, "leave out --profile");
  expect_refused({"--steps-per-launch", "0"}, "--steps-per-launch", "'0'");
}

TEST(Options, MistypedFlagIsRefusedWithTheNearest) {
  expect_refused({"--epoch", "3"}, "unknown flag '--epoch'", "--epochs");
  expect_refused({"--batchsize=3"}, "unknown flag '--batchsize'", "--batch-size");
  expect_refused({"--sed", "1"}, "--seed");
  expect_refused({"--jsn"}, "--json");
  expect_refused({"-x"}, "unknown flag '-x'");
  expect_refused({"digits"}, "unexpected argument 'digits'");
}

TEST(Options, MistypedNameIsRefusedWithTheNearest) {
  expect_refused({"--data", "minst"}, "--data", "'minst'", "did you mean 'mnist'", "digits");
  expect_refused({"--optimizer", "adamm"}, "--optimizer", "did you mean 'adam'");
  expect_refused({"--precision", "fp23"}, "--precision", "'fp23'", "fp32");
}

TEST(Options, Precisions) {
  EXPECT_EQ(parse_precision("fp32"), Precision::Fp32);
  EXPECT_EQ(parse_precision("tf32"), Precision::Tf32);
  EXPECT_EQ(parse_precision("bf16"), Precision::Bf16);
  EXPECT_EQ(parse_precision("fp16"), Precision::Fp16);
  for (const char* name : {"fp32", "tf32", "bf16", "fp16"}) EXPECT_EQ(to_string(parse_precision(name)), name);
  EXPECT_EQ(model_dtype(Precision::Fp32), DType::F32);
  EXPECT_EQ(model_dtype(Precision::Tf32), DType::F32);
  EXPECT_EQ(model_dtype(Precision::Bf16), DType::BF16);
  EXPECT_EQ(model_dtype(Precision::Fp16), DType::F16);
}

TEST(Options, NumbersAreChecked) {
  for (const char* flag : {"--epochs", "--batch-size"}) {
    for (const char* value : {"0", "-1", "1.5", "ten", "", "99999999999999999999"}) {
      expect_refused({flag, value}, flag, "a whole number from 1", value);
    }
  }
  for (const char* value : {"0", "-1e-3", "nan", "inf", "fast", "", "1e-3x", "1e999"}) {
    expect_refused({"--lr", value}, "--lr", "a number above 0", value);
  }
  for (const char* flag : {"--threads", "--workers", "--limit"}) expect_refused({flag, "-1"}, flag, "from 0");
  expect_refused({"--seed", "-1"}, "--seed", "'-1'");
  expect_refused({"--seed", "18446744073709551616"}, "--seed");
}

TEST(Options, MissingAndRepeatedValuesAreRefused) {
  expect_refused({"--epochs"}, "--epochs");
  expect_refused({"--lr", "1", "--lr", "2"}, "--lr");
}

}  // namespace
}  // namespace dlcuda
