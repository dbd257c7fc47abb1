// dlcuda memory: what training a model takes, and the largest batch that fits.
#include "dlcuda/train/memory_plan.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "dlcuda/core/device.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/memory/stats.h"
#include "dlcuda/models/zoo_training.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/tools/command.h"
#include "dlcuda/tools/model_flags.h"
#include "dlcuda/train/command_line.h"
#include "dlcuda/train/options.h"

namespace dlcuda::tool {
namespace {

constexpr double kGib = double(std::size_t(1) << 30);

struct Flags : ModelFlags {
  std::string precision = "fp32", optimizer = "adam", device = "auto", limit;
  bool json = false;
};

/// Planning needs no device, only its memory: with a limit given, a GPU that is elsewhere will do.
Device find_device(const Flags& flags) {
  try {
    return choose_device(flags.device).device;
  } catch (const DeviceError&) {
    if (flags.limit.empty()) throw;
    return Device::cuda();
  }
}

std::optional<std::size_t> find_limit(const Flags& flags, Device device) {
  if (!flags.limit.empty()) {
    const auto gib = command_line::parse_number<double>("--limit", flags.limit, "a number above 0, in GiB");
    DLCUDA_CHECK(std::isfinite(gib) && gib > 0 && gib < 1e6, ArgumentError,
                 "--limit: expected a number above 0, in GiB, got '{}'", flags.limit);
    return std::size_t(gib * kGib);
  }
  if (device.is_cuda()) return allocator_for(device).capacity();
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) return std::nullopt;
  return std::size_t(pages) * std::size_t(page);
}

PlannedTraining plan(const ModelChoice& choice, const Flags& flags, Device device) {
  const Prediction prediction = choice.model.prediction;
  PlannedTraining training = plan_training(
      [choice] { return choice.make(); }, choice.input, training_targets(prediction),
      [=, classes = choice.classes](Device on) { return make_training_task(prediction, classes, on); },
      device);
  training.optimizer = flags.optimizer;
  return training;
}

void run(const Flags& flags) {
  const ModelChoice choice = flags.choose();
  const std::int64_t batch_size = flags.parsed_batch_size();
  const Precision precision = parse_precision(flags.precision);
  command_line::check_name("--optimizer", flags.optimizer, optimizer_names());
  const Device device = find_device(flags);
  const auto limit = find_limit(flags, device);

  PlannedTraining training = plan(choice, flags, device);
  training.dtype = model_dtype(precision);
  const MemoryPlan result = plan_memory(training, batch_size);
  const std::int64_t largest = limit ? largest_batch(training, *limit) : 0;
  if (flags.json) {
    nlohmann::ordered_json json;
    json["model"] = choice.model.name;
    json["batch_size"] = batch_size;
    json["precision"] = to_string(precision);
    json["optimizer"] = flags.optimizer;
    json["device"] = to_string(device);
    json["parameter_bytes"] = result.all.parameters;
    json["gradient_bytes"] = result.all.gradients;
    json["optimizer_bytes"] = result.all.optimizer_state;
    json["activation_bytes"] = result.all.activations;
    json["peak_bytes"] = result.peak;
    json["reserved_bytes"] = result.reserved;
    if (limit) {
      json["limit_bytes"] = *limit;
      json["largest_batch"] = largest;
    }
    std::puts(json.dump().c_str());
    return;
  }
  fmt::print("{}: training in {} with {} on {}\n", choice.model.name, to_string(precision), flags.optimizer,
             to_string(device));
  fmt::print("{}", to_string(result));
  if (limit) fmt::print("largest batch within {}: {}\n", format_bytes(*limit), largest);
}

}  // namespace

Command add_memory(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("memory", "what training a model takes, and the largest batch that fits");
  const auto flags = std::make_shared<Flags>();
  flags->add_to(*app, "32");
  app->add_option("--precision", flags->precision, "fp32, tf32, bf16 or fp16 (default: fp32)")
      ->type_name("NAME");
  app->add_option("--optimizer", flags->optimizer,
                  fmt::format("{} (default: adam)", fmt::join(optimizer_names(), ", ")))
      ->type_name("NAME");
  app->add_option("--device", flags->device,
                  "auto, cpu, cuda or cuda:<index>; need not be there when --limit is given (default: auto)")
      ->type_name("NAME");
  app->add_option("--limit", flags->limit, "memory for the largest batch (default: the device's)")
      ->type_name("GiB");
  app->add_flag("--json", flags->json, "one line of JSON");
  return {app, [flags] { run(*flags); }};
}

}  // namespace dlcuda::tool
