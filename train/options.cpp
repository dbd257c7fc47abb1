#include "dlcuda/train/options.h"

#include <cmath>
#include <limits>

#include "dlcuda/train/command_line.h"
#include "dlcuda/train/step_profile.h"

namespace dlcuda {

using namespace command_line;

namespace {

struct FlagTexts {
  std::string epochs, batch_size, lr, precision, seed, threads, workers, limit, steps_per_launch;
};

}  // namespace

std::string to_string(Precision precision) {
  switch (precision) {
    case Precision::Tf32:
      return "tf32";
    case Precision::Bf16:
      return "bf16";
    case Precision::Fp16:
      return "fp16";
    case Precision::Fp32:
      break;
  }
  return "fp32";
}

DType model_dtype(Precision precision) {
  return precision == Precision::Bf16 ? DType::BF16 : precision == Precision::Fp16 ? DType::F16 : DType::F32;
}

Precision parse_precision(const std::string& name) {
  check_name("--precision", name, {"fp32", "tf32", "bf16", "fp16"});
  for (const Precision precision : {Precision::Tf32, Precision::Bf16, Precision::Fp16}) {
    if (name == to_string(precision)) return precision;
  }
  return Precision::Fp32;
}

ParsedCommandLine parse_options(int argc, const char* const* argv, const TrainOptions& defaults,
                                const ProgramInfo& program) {
  TrainOptions options = defaults;
  FlagTexts texts{.epochs = fmt::to_string(defaults.epochs),
                  .batch_size = fmt::to_string(defaults.batch_size),
                  .lr = fmt::to_string(defaults.lr),
                  .precision = to_string(defaults.precision),
                  .seed = fmt::to_string(defaults.seed),
                  .threads = fmt::to_string(defaults.threads),
                  .workers = fmt::to_string(defaults.workers),
                  .limit = fmt::to_string(defaults.limit),
                  .steps_per_launch = fmt::to_string(defaults.steps_per_launch)};
  bool show_version = false, show_help = false;

  CLI::App app{program.description, program.name};
  app.set_help_flag();  // ours is an ordinary flag, so that it is known to the nearest-name search
  app.allow_extras();
  app.get_formatter()->column_width(28);
  const auto add = [&](const char* flag, std::string& text, const char* type, const std::string& meaning,
                       const char* shown_default = nullptr) {
    const std::string shown = shown_default != nullptr ? shown_default : text;
    app.add_option(flag, text, fmt::format("{} (default: {})", meaning, shown))->type_name(type);
  };
  const auto one_of = [](const std::vector<std::string>& names) {
    return fmt::format("{}", fmt::join(names, ", "));
  };
  add("--data", options.data, "NAME", "dataset: " + one_of(program.datasets));
  add("--data-dir", options.data_dir, "DIR", "folder of the dataset's files", "the dataset's own");
  add("--epochs", texts.epochs, "N", "passes over the training images");
  add("--batch-size", texts.batch_size, "N", "images in a step");
  add("--lr", texts.lr, "X", "learning rate at the start");
  add("--optimizer", options.optimizer, "NAME", one_of(program.optimizers));
  add("--device", options.device, "NAME", "auto, cpu, cuda or cuda:<index>");
  app.add_flag("--require-gpu", options.require_gpu, "fail (exit 5) where there is no CUDA device");
  add("--precision", texts.precision, "NAME",
      "fp32; tf32: TensorFloat-32 products on CUDA, as fp32 on the CPU; bf16, fp16: with f32 master weights, "
      "fp16 also with a dynamic loss scale");
  add("--seed", texts.seed, "N", "of initial weights, order of images and dropout");
  add("--threads", texts.threads, "N", "of the CPU backend; 0: one for each core");
  add("--workers", texts.workers, "N", "threads that prepare batches; 0: the training thread does");
  add("--limit", texts.limit, "N", "use at most so many images of each split; 0: all");
  add("--out", options.out, "DIR", "run folder, new or empty", "the next free runs/MODEL-N");
  add("--profile", options.profile, "FILE",
      fmt::format(
          "profile the training steps {} to {}: prints a table of operations and writes a Chrome trace, "
          "to be opened in https://ui.perfetto.dev or chrome://tracing; all steps run eagerly",
          StepProfile::kFirst, StepProfile::kLast),
      "none");
  app.add_flag("--eager", options.eager, "run each step as it is instead of recording it and replaying it");
  add("--steps-per-launch", texts.steps_per_launch, "N",
      "steps in one recording, for which the host is needed once: small models gain on a GPU");
  app.add_flag(
      "--auto-batch", options.auto_batch,
      "where memory runs out in the first epoch, start again with half the batch, at most three times");
  add("--memory-timeline", options.memory_timeline, "FILE",
      "draw the memory of the second training step, layer by layer, as SVG", "none");
  app.add_flag("--json", options.json, "JSON lines on standard output, everything else on standard error");
  app.add_flag("-h,--help", show_help, "print this and exit");
  app.add_flag("--version", show_version, "print the version and exit");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    throw ArgumentError(fmt::format("{} (--help lists all flags)", error.what()));
  }
  refuse_leftovers(app);
  if (show_help) return {options, app.help()};
  if (show_version) return {options, fmt::format("{} {}\n", program.name, program.version)};

  constexpr std::int64_t kMost = 1'000'000'000;
  check_name("--data", options.data, program.datasets);
  check_name("--optimizer", options.optimizer, program.optimizers);
  options.epochs = parse_count("--epochs", texts.epochs, 1, kMost);
  options.batch_size = parse_count("--batch-size", texts.batch_size, 1, kMost);
  options.lr = parse_number<double>("--lr", texts.lr, "a number above 0");
  DLCUDA_CHECK(std::isfinite(options.lr) && options.lr > 0, ArgumentError,
               "--lr: expected a number above 0, got '{}'", texts.lr);
  options.precision = parse_precision(texts.precision);
  options.seed = parse_number<std::uint64_t>("--seed", texts.seed, "a whole number from 0 to 2^64 - 1");
  options.threads = parse_count("--threads", texts.threads, 0, 4096);
  options.workers = parse_count("--workers", texts.workers, 0, 256);
  options.limit = parse_count("--limit", texts.limit, 0, std::numeric_limits<std::int64_t>::max());
  options.steps_per_launch =
      parse_count("--steps-per-launch", texts.steps_per_launch, 1, kMostStepsPerLaunch);
  DLCUDA_CHECK(
      options.steps_per_launch == 1 || !(options.eager || !options.profile.empty()), ArgumentError,
      "--steps-per-launch: several steps are launched together where they are recorded; leave out {}",
      options.eager ? "--eager" : "--profile");
  return {options, {}};
}

}  // namespace dlcuda
