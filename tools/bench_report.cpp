#include "dlcuda/tools/bench_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "dlcuda/core/memory/stats.h"
#include "dlcuda/core/text.h"
#include "dlcuda/train/console.h"

namespace dlcuda::tool {
namespace {

using nlohmann::ordered_json;

ordered_json setup(const BenchReport& report) {
  const BenchConfig& config = report.config;
  const ImageShape& input = config.choice.input;
  ordered_json json;
  json["benchmark"] = "model";
  json["library"] = "dlcuda";
  json["model"] = config.choice.model.name;
  json["mode"] = config.train ? "train" : "infer";
  json["device"] = to_string(config.device);
  json["batch_size"] = config.batch_size;
  json["input"] = {input.channels, input.height, input.width};
  json["classes"] = config.choice.classes;
  json["precision"] = to_string(config.precision);
  json["format"] = to_string(config.format);
  json["threads"] = report.threads;
  if (!report.optimizer.empty()) json["optimizer"] = report.optimizer;
  json["recorded"] = report.recorded;
  if (report.recorded) {
    json["launches"] = report.launches;
    json["steps_per_launch"] = config.steps_per_launch;
  }
  if (!report.not_recorded.empty()) json["not_recorded"] = report.not_recorded;
  json["parameters"] = report.work.parameters;
  json["flops_per_step"] = report.work.flops;
  json["bytes_per_step"] = report.work.bytes;
  json["steps_per_round"] = report.steps_per_round;
  for (const auto& [name, value] : report.machine) json["machine"][name] = value;
  return json;
}

ordered_json to_json(const Spread& spread) {
  return {{"median", spread.median},
          {"least", spread.least},
          {"lower_quartile", spread.lower_quartile},
          {"upper_quartile", spread.upper_quartile},
          {"most", spread.most}};
}

double images_per_second(const BenchReport& report) {
  return 1000 * double(report.config.batch_size) / report.milliseconds.median;
}

std::string to_text(const Spread& spread) {
  return fmt::format("{:.4g} (least {:.4g}, quartiles {:.4g} to {:.4g})", spread.median, spread.least,
                     spread.lower_quartile, spread.upper_quartile);
}

std::string recording(const BenchReport& report) {
  if (!report.recorded) return fmt::format("as they are ({})", report.not_recorded);
  const std::int64_t steps = report.config.steps_per_launch;
  return steps == 1 ? fmt::format("recorded, {} launches", report.launches)
                    : fmt::format("recorded, {} together, {} launches", steps, report.launches);
}

}  // namespace

std::string setup_json(const BenchReport& report) { return setup(report).dump(); }

std::string to_json(const BenchReport& report) {
  ordered_json json = setup(report);
  const double seconds = report.milliseconds.median / 1000;
  json["rounds"] = report.rounds;
  json["ms_per_step"] = to_json(report.milliseconds);
  json["images_per_second"] = images_per_second(report);
  if (report.eager_milliseconds) {
    json["eager_ms_per_step"] = to_json(*report.eager_milliseconds);
    json["recorded_to_eager"] = to_json(*report.speedup);
  }
  json["peak_memory_bytes"] = report.peak_memory;
  json["reserved_memory_bytes"] = report.reserved_memory;
  json["flops_per_second"] = report.work.flops / seconds;
  if (report.peaks) {
    const double least = roofline_seconds(*report.peaks, report.work.flops, report.work.bytes);
    json["peak_flops_per_second"] = report.peaks->flops;
    json["peak_bytes_per_second"] = report.peaks->bytes;
    json["share_of_peak"] = report.work.flops / seconds / report.peaks->flops;
    json["roofline_ms_per_step"] = 1000 * least;
    json["share_of_roofline"] = least / seconds;
  }
  return json.dump();
}

std::string to_text(const BenchReport& report) {
  const BenchConfig& config = report.config;
  const double seconds = report.milliseconds.median / 1000;
  std::vector<std::vector<std::string>> rows;
  const auto row = [&](const char* name, std::string value) { rows.push_back({name, std::move(value)}); };
  for (const auto& [name, value] : report.machine) rows.push_back({name, value});
  row("steps", recording(report));
  if (!report.optimizer.empty()) row("optimizer", report.optimizer);
  row("rounds", fmt::format("{} of {} steps", report.rounds, report.steps_per_round));
  row("ms per step", to_text(report.milliseconds));
  row("images per second", fmt::format("{:.5g}", images_per_second(report)));
  if (report.eager_milliseconds) {
    row("eager ms per step", to_text(*report.eager_milliseconds));
    row("recorded to eager", to_text(*report.speedup));
  }
  row("memory at the peak", fmt::format("{} in use, {} reserved", format_bytes(report.peak_memory),
                                        format_bytes(report.reserved_memory)));
  row("parameters", with_commas(report.work.parameters));
  row("work of a step",
      fmt::format("{:.4g} GFLOP, {:.4g} MB at least", report.work.flops / 1e9, report.work.bytes / 1e6));
  row("GFLOP/s", fmt::format("{:.4g}", report.work.flops / seconds / 1e9));
  if (report.peaks) {
    const double compute = report.work.flops / report.peaks->flops;
    const double least = roofline_seconds(*report.peaks, report.work.flops, report.work.bytes);
    row("peaks, measured",
        fmt::format("{:.4g} GFLOP/s, {:.4g} GB/s", report.peaks->flops / 1e9, report.peaks->bytes / 1e9));
    row("share of the peak", fmt::format("{:.1f} %", 100 * compute / seconds));
    row("roofline", fmt::format("{:.4g} ms ({}), reached {:.1f} %", 1000 * least,
                                least > compute ? "memory" : "arithmetic", 100 * least / seconds));
  }
  const ImageShape& input = config.choice.input;
  return fmt::format("{}: {} in {}, batches of {} x {}, {}\n", config.choice.model.name,
                     config.train ? "training" : "inference", to_string(config.precision), config.batch_size,
                     to_string(input), to_string(config.format)) +
         format_columns(rows, "<<");
}

}  // namespace dlcuda::tool
