// cost_table: how time and memory of a step grow with batch, picture and depth, and what comes before the
// first step with the size of the model. Nothing should grow faster than the arithmetic does.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "dlcuda/benchmarks/cost/report.h"
#include "dlcuda/benchmarks/program.h"
#include "dlcuda/core/current_device.h"
#include "dlcuda/core/error.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/precision.h"
#include "dlcuda/train/main.h"

namespace dlcuda::cost {
namespace {

struct Flags {
  std::string gflop, seconds = "0.1", rounds = "3", device = "auto", precision = "fp32", threads, model, save,
                     picture;
  bool no_steps = false, no_startup = false;
};

/// Sizes until a step has too much arithmetic, or no memory is left.
StepSweep run_steps(const Sweep& sweep, bool train, const CostReport& report) {
  StepSweep result{sweep.model, sweep.axis, train, {}};
  for (const Point& point : sweep.points) {
    if (flops_of(point, report.conditions, train) > report.most_flops) break;
    try {
      result.costs.push_back(measure_step(point, report.conditions, train));
    } catch (const OutOfMemoryError& error) {
      fmt::print(stderr, "{}, {} {}: {}\n", sweep.model, to_string(sweep.axis), point.at, error.what());
      break;
    }
    const StepCost& cost = result.costs.back();
    fmt::print(stderr, "{}, {} {}, {}: {:.4g} ms, {:.4g} GFLOP, {:.4g} MB\n", sweep.model,
               to_string(sweep.axis), point.at, train ? "training" : "inference", cost.milliseconds.median,
               cost.flops / 1e9, cost.peak_bytes / 1e6);
  }
  return result;
}

StartupSweep run_startup(const Sweep& sweep, const CostReport& report) {
  StartupSweep result{sweep.model, sweep.axis, {}};
  for (const Point& point : sweep.points) {
    // Every phase at its size is short; what the limit leaves out are whole networks.
    if (flops_of(point, report.conditions, true) > report.most_flops) break;
    fmt::print(stderr, "before the first step: {}, {} {}\n", sweep.model, to_string(sweep.axis), point.at);
    try {
      result.costs.push_back(measure_startup(point, report.conditions));
    } catch (const OutOfMemoryError& error) {
      fmt::print(stderr, "{}\n", error.what());
      break;
    }
  }
  return result;
}

std::vector<Sweep> chosen(std::vector<Sweep> sweeps, const std::string& model) {
  std::erase_if(sweeps, [&](const Sweep& sweep) { return sweep.model.find(model) == std::string::npos; });
  return sweeps;
}

int run(const Flags& flags, const std::string& command) {
  CostReport report;
  const DeviceChoice device = choose_device(flags.device);
  settle_on(device.device);
  report.command = command;
  report.conditions = {.device = device.device,
                       .precision = parse_precision(flags.precision),
                       .seconds = parse_positive("--seconds", flags.seconds),
                       .rounds = int(command_line::parse_count("--rounds", flags.rounds, 1, 1000))};
  report.most_flops = 1e9 * (flags.gflop.empty() ? (device.device.is_cuda() ? 4000 : 40)
                                                 : parse_positive("--gflop", flags.gflop));
  if (!flags.threads.empty()) {
    set_num_threads(int(command_line::parse_count("--threads", flags.threads, 1, 4096)));
  }
  kernels::set_allow_tf32(report.conditions.precision == Precision::Tf32);
  const auto steps = chosen(flags.no_steps ? std::vector<Sweep>{} : step_sweeps(), flags.model);
  const auto startups = chosen(flags.no_startup ? std::vector<Sweep>{} : startup_sweeps(), flags.model);
  DLCUDA_CHECK(!flags.no_steps || !flags.no_startup, ArgumentError,
               "--no-steps and --no-startup leave nothing to measure");
  DLCUDA_CHECK(!steps.empty() || !startups.empty(), ArgumentError,
               "nothing is left to measure: no model's name contains '{}'", flags.model);
  report.machine = tool::describe_machine(device);

  for (const Sweep& sweep : steps) {
    for (const bool train : {true, false}) {
      StepSweep measured = run_steps(sweep, train, report);
      if (!measured.costs.empty()) report.steps.push_back(std::move(measured));
    }
  }
  for (const Sweep& sweep : startups) {
    StartupSweep measured = run_startup(sweep, report);
    if (!measured.costs.empty()) report.startups.push_back(std::move(measured));
  }
  std::fputs(to_markdown(report).c_str(), stdout);
  if (!flags.save.empty()) write_file(flags.save, to_json(report).dump(1) + "\n");
  if (!flags.picture.empty() && !report.steps.empty()) write_file(flags.picture, draw(report));
  return 0;
}

int parse_and_run(int argc, const char* const* argv) {
  CLI::App app("How time and memory grow with batch, picture and depth, and the start with the model");
  Flags flags;
  const auto option = [&](const char* name, std::string& value, const char* type, const char* help) {
    app.add_option(name, value, help)->type_name(type);
  };
  option("--model", flags.model, "TEXT", "only sweeps whose model's name contains this");
  option("--gflop", flags.gflop, "N",
         "sizes whose step has more arithmetic are left out (default: 40, on CUDA 4000)");
  option("--device", flags.device, "NAME", "auto, cpu, cuda or cuda:<index> (default: auto)");
  option("--precision", flags.precision, "NAME", "fp32, tf32, bf16 or fp16 (default: fp32)");
  option("--threads", flags.threads, "N", "of the CPU backend (default: one for each core)");
  option("--seconds", flags.seconds, "S", "about so long is a round (default: 0.1)");
  option("--rounds", flags.rounds, "N", "the median of so many counts (default: 3)");
  app.add_flag("--no-steps", flags.no_steps, "leave the steps out");
  app.add_flag("--no-startup", flags.no_startup, "leave out what comes before the first step");
  option("--save", flags.save, "FILE", "all of it as JSON");
  option("--picture", flags.picture, "FILE", "an SVG with logarithmic axes");
  app.footer("Exponents are fitted to the larger half of the sizes; docs/performance.md tells against what.");
  return parse_command_line(app, argc, argv) ? run(flags, command_of("cost_table", argc, argv)) : 0;
}

}  // namespace
}  // namespace dlcuda::cost

int main(int argc, char** argv) {
  return dlcuda::run_program([&] { return dlcuda::cost::parse_and_run(argc, argv); });
}
