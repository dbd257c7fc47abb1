// dlcuda bench: how fast a model of the zoo trains and infers, and how far that is from what the machine can
// do.
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/core/current_device.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/core/profile.h"
#include "dlcuda/kernels/conv2d_norm.h"
#include "dlcuda/kernels/precision.h"
#include "dlcuda/tools/bench_report.h"
#include "dlcuda/tools/command.h"
#include "dlcuda/train/command_line.h"

namespace dlcuda::tool {
namespace {

constexpr std::int64_t kMostThreads = 4096, kMostRounds = 100'000;
constexpr int kProfiledSteps = 5;

struct Flags : ModelFlags {
  std::string precision = "fp32", device = "auto", format = "auto", threads, seconds = "1", rounds = "7",
              steps_per_launch = "1", profile;
  bool train = false, infer = false, eager = false, compare_eager = false, separate_norms = false,
       no_peaks = false, json = false, serve = false;
};

MemoryFormat parse_format(const std::string& name, const ZooModel& model) {
  command_line::check_name("--format", name, {"auto", "channels-last", "contiguous"});
  if (name == "auto") return model.format;
  return name == "contiguous" ? MemoryFormat::Contiguous : MemoryFormat::ChannelsLast;
}

double parse_seconds(const std::string& text) {
  constexpr const char* kExpected = "a number above 0, at most 3600";
  const auto seconds = command_line::parse_number<double>("--seconds", text, kExpected);
  DLCUDA_CHECK(seconds > 0 && seconds <= 3600, ArgumentError, "--seconds: expected {}, got '{}'", kExpected,
               text);
  return seconds;
}

/// Steps run as they are here: what is replayed has no parts to be timed.
std::string profile_steps(BenchModel& model, const std::string& path) {
  Profile profile;
  for (int step = 0; step < kProfiledSteps; ++step) model.eager_step();
  profile.stop();
  profile.write_chrome_trace(path);
  return fmt::format("profile of {} steps: {} (open it in https://ui.perfetto.dev or chrome://tracing)\n{}",
                     kProfiledSteps, path, profile.table());
}

/// A round for each line "round" on standard input, its milliseconds per step as a line of JSON. So that
/// two programs can be measured in turn while both stay warm.
void serve(const std::function<double()>& round, const BenchReport& report) {
  const auto answer = [](const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  };
  answer(setup_json(report));
  for (std::string line; std::getline(std::cin, line);) {
    DLCUDA_CHECK(line == "round", ArgumentError, "--serve: expected lines that say 'round', got '{}'", line);
    answer(fmt::format("{{\"ms_per_step\":{}}}", round()));
  }
}

void run(const Flags& flags) {
  DLCUDA_CHECK(!(flags.train && flags.infer), ArgumentError, "--train and --infer: take one of them");
  DLCUDA_CHECK(!(flags.eager && flags.compare_eager), ArgumentError,
               "--eager and --compare-eager: take one of them");
  const ModelChoice choice = flags.choose();
  const Precision precision = parse_precision(flags.precision);
  const MemoryFormat format = parse_format(flags.format, choice.model);
  const auto rounds = int(command_line::parse_count("--rounds", flags.rounds, 1, kMostRounds));
  const double seconds = parse_seconds(flags.seconds);
  const std::int64_t together =
      command_line::parse_count("--steps-per-launch", flags.steps_per_launch, 1, kMostStepsPerLaunch);
  DLCUDA_CHECK(together == 1 || !flags.eager, ArgumentError,
               "--steps-per-launch: several steps are launched together where they are recorded; leave out "
               "--eager");
  const std::int64_t batch_size = flags.parsed_batch_size();
  if (!flags.threads.empty()) {
    set_num_threads(int(command_line::parse_count("--threads", flags.threads, 1, kMostThreads)));
  }
  const DeviceChoice device = choose_device(flags.device);
  settle_on(device.device);
  kernels::set_allow_tf32(precision == Precision::Tf32);
  if (flags.separate_norms) kernels::set_allow_norm_absorption(false);

  BenchReport report{.config = {choice, batch_size, precision, !flags.infer, device.device, format, together},
                     .machine = describe_machine(device),
                     .threads = num_threads(),
                     .rounds = rounds};
  report.work = work_of(report.config);
  CachingAllocator& memory = allocator_for(device.device);
  memory.reset_peaks();
  BenchModel model(report.config);
  report.optimizer = model.optimizer();

  std::vector<double> milliseconds, eager_milliseconds, speedups;
  Benchmark benchmark(
      device.device, [&] { flags.eager ? model.eager_step() : model.launch(); }, seconds);
  const auto measure = [&] { return benchmark.round() / double(together); };
  report.steps_per_round = together * benchmark.calls_per_round();
  report.not_recorded = flags.eager ? "--eager" : model.fallback_reason();
  report.recorded = report.not_recorded.empty();
  if (report.recorded) report.launches = model.launches();
  if (flags.serve) return serve(measure, report);

  if (flags.compare_eager) {
    Benchmark eager(
        device.device, [&] { model.eager_step(); }, seconds);
    for (int round = 0; round < rounds; ++round) {
      eager_milliseconds.push_back(eager.round());
      milliseconds.push_back(measure());
      speedups.push_back(eager_milliseconds.back() / milliseconds.back());
    }
    report.eager_milliseconds = spread_of(eager_milliseconds);
    report.speedup = spread_of(speedups);
  } else {
    for (int round = 0; round < rounds; ++round) milliseconds.push_back(measure());
  }
  report.milliseconds = spread_of(milliseconds);
  const MemoryUse use = memory.stats().total;
  report.peak_memory = use.active.peak;
  report.reserved_memory = use.reserved.peak;
  if (!flags.no_peaks) {
    report.peaks = measure_peaks(device.device, model_dtype(precision), PeakSizes::of(device.device));
  }
  const std::string profile = flags.profile.empty() ? "" : profile_steps(model, flags.profile);
  std::fputs(profile.c_str(), flags.json ? stderr : stdout);
  flags.json ? void(std::puts(to_json(report).c_str())) : void(std::fputs(to_text(report).c_str(), stdout));
}

}  // namespace

Command add_bench(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("bench", "how fast a model trains and infers on this machine");
  const auto flags = std::make_shared<Flags>();
  flags->add_to(*app, "32");
  const auto option = [&](const char* name, std::string& value, const char* type, const char* help) {
    app->add_option(name, value, help)->type_name(type);
  };
  app->add_flag("--train", flags->train, "steps of training (the default)");
  app->add_flag("--infer", flags->infer, "steps of inference, batch norms folded");
  option("--precision", flags->precision, "NAME", "fp32, tf32, bf16 or fp16 (default: fp32)");
  option("--device", flags->device, "NAME", "auto, cpu, cuda or cuda:<index> (default: auto)");
  option("--format", flags->format, "NAME",
         "auto, channels-last or contiguous (default: auto, the model's own)");
  option("--threads", flags->threads, "N", "of the CPU backend (default: one for each core)");
  option("--seconds", flags->seconds, "S", "about so long is a round (default: 1)");
  option("--rounds", flags->rounds, "N", "the median of so many counts (default: 7)");
  app->add_flag("--eager", flags->eager, "run each step as it is, instead of recording and replaying it");
  app->add_flag("--compare-eager", flags->compare_eager, "both in turn, and the ratio");
  option("--steps-per-launch", flags->steps_per_launch, "N", "steps in one recording (default: 1)");
  app->add_flag("--separate-norms", flags->separate_norms,
                "batch norms never become parts of convolutions, as they do in fp16 on CUDA");
  app->add_flag("--no-peaks", flags->no_peaks, "do not measure what the machine can do at most");
  option("--profile", flags->profile, "FILE",
         "also times the operations of 5 steps: a table, and a trace in FILE");
  app->add_flag("--json", flags->json, "one line of JSON");
  app->add_flag("--serve", flags->serve,
                "a round for each line 'round' on standard input; for scripts/compare");
  app->footer(
      "Data stays on the device; the device is waited for at the ends of rounds only.\n"
      "Roofline: max(FLOPs of a step / peak FLOP/s, bytes that it must move / peak bytes/s).\n"
      "The peaks: a large matrix product in the same precision, a large copy.\n"
      "docs/performance.md tells what is counted.");
  return {app, [flags] { run(*flags); }};
}

}  // namespace dlcuda::tool
