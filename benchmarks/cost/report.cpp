#include "dlcuda/benchmarks/cost/report.h"

#include <fmt/format.h>

#include "dlcuda/core/memory/stats.h"

namespace dlcuda::cost {
namespace {

using nlohmann::ordered_json;

/// What an exponent may be above 1 before it is called faster: caches end, and plans differ between sizes.
constexpr double kMostExponent = 1.1;

ordered_json to_json(const PowerLaw& law) {
  return {{"exponent", law.exponent},
          {"standard_error", law.error},
          {"r_squared", law.r_squared},
          {"samples", law.samples}};
}

std::string to_text(const PowerLaw& law) {
  return fmt::format("{:.2f} ± {:.2f} ({:.3f}){}", law.exponent, law.error, law.r_squared,
                     grows_faster(law, kMostExponent) ? " **faster**" : "");
}

/// Of the larger half; nothing where there are too few sizes.
std::string exponent(const std::vector<Sample>& samples) {
  return samples.size() < 3 ? "-" : to_text(fit_power_law(larger_half(samples)));
}

ordered_json fit(const std::vector<Sample>& samples) {
  return samples.size() < 3 ? ordered_json(nullptr) : to_json(fit_power_law(larger_half(samples)));
}

std::string range(const std::string& first, const std::string& last) {
  return first == last ? first : fmt::format("{} to {}", first, last);
}

std::string row_of(const StepSweep& sweep) {
  const StepCost &first = sweep.costs.front(), &last = sweep.costs.back();
  return fmt::format(
      "| {} | {} | {} | {} | {} | {} | {:.2f} | {} | {} |\n", sweep.model, to_string(sweep.axis),
      range(std::to_string(first.at), std::to_string(last.at)), sweep.train ? "training" : "inference",
      range(fmt::format("{:.3g}", first.milliseconds.median),
            fmt::format("{:.3g}", last.milliseconds.median)),
      exponent(sweep.time()), last.peak_bytes / (last.outputs + last.weights),
      range(format_bytes(std::size_t(first.peak_bytes)), format_bytes(std::size_t(last.peak_bytes))),
      exponent(sweep.memory()));
}

std::string startup_table(const StartupSweep& sweep) {
  const bool depth = sweep.axis == Axis::Depth;
  const StartupCost &first = sweep.costs.front(), &last = sweep.costs.back();
  const auto size = [&](const StartupCost& cost) {
    return depth ? fmt::format("{:.0f} layers", cost.layers)
                 : fmt::format("{:.3g} M parameters", cost.parameters / 1e6);
  };
  std::string text =
      fmt::format("| {}, {} | {}, ms | {}, ms | exponent (R²) against {} |\n|---|---|---|---|\n", sweep.model,
                  to_string(sweep.axis), size(first), size(last), depth ? "layers" : "parameters");
  for (std::size_t i = 0; i < sweep.phases(); ++i) {
    text += fmt::format("| {} | {:.3g} | {:.3g} | {} |\n", first.phases[i].first, first.phases[i].second,
                        last.phases[i].second, exponent(sweep.phase(i)));
  }
  return text;
}

}  // namespace

std::vector<Sample> StepSweep::time() const {
  std::vector<Sample> samples;
  for (const StepCost& cost : costs) samples.push_back({cost.flops, cost.milliseconds.least});
  return samples;
}

std::vector<Sample> StepSweep::memory() const {
  std::vector<Sample> samples;
  for (const StepCost& cost : costs)
    samples.push_back({cost.outputs + (axis == Axis::Depth ? cost.weights : 0), cost.peak_bytes});
  return samples;
}

std::vector<Sample> StartupSweep::phase(std::size_t index) const {
  std::vector<Sample> samples;
  for (const StartupCost& cost : costs) {
    samples.push_back({axis == Axis::Depth ? cost.layers : cost.parameters, cost.phases[index].second});
  }
  return samples;
}

bool grows_faster(const PowerLaw& law, double bound) { return law.exponent - 2 * law.error > bound; }

std::string to_markdown(const CostReport& report) {
  std::string text;
  if (!report.steps.empty()) {
    text +=
        "| model | grows | from, to | | ms a step | time: exponent (R²) | peak / tensors | peak memory | "
        "memory: exponent (R²) |\n|---|---|---|---|---|---|---|---|---|\n";
  }
  for (const StepSweep& sweep : report.steps) text += row_of(sweep);
  for (const StartupSweep& sweep : report.startups) text.append("\n").append(startup_table(sweep));
  return text;
}

ordered_json to_json(const CostReport& report) {
  ordered_json json;
  json["benchmark"] = "cost";
  json["command"] = report.command;
  json["device"] = to_string(report.conditions.device);
  json["precision"] = to_string(report.conditions.precision);
  json["most_flops_per_step"] = report.most_flops;
  for (const auto& [name, value] : report.machine) json["machine"][name] = value;
  json["steps"] = ordered_json::array();
  for (const StepSweep& sweep : report.steps) {
    ordered_json points = ordered_json::array();
    for (const StepCost& cost : sweep.costs) {
      points.push_back({{"at", cost.at},
                        {"flops_per_step", cost.flops},
                        {"output_bytes", cost.outputs},
                        {"weight_bytes", cost.weights},
                        {"peak_memory_bytes", cost.peak_bytes},
                        {"ms_per_step",
                         {{"median", cost.milliseconds.median},
                          {"least", cost.milliseconds.least},
                          {"most", cost.milliseconds.most}}}});
    }
    json["steps"].push_back({{"model", sweep.model},
                             {"axis", to_string(sweep.axis)},
                             {"mode", sweep.train ? "train" : "infer"},
                             {"time", fit(sweep.time())},
                             {"memory", fit(sweep.memory())},
                             {"points", std::move(points)}});
  }
  json["startup"] = ordered_json::array();
  for (const StartupSweep& sweep : report.startups) {
    ordered_json fits, points = ordered_json::array();
    for (std::size_t i = 0; i < sweep.phases(); ++i) {
      fits[sweep.costs.front().phases[i].first] = fit(sweep.phase(i));
    }
    for (const StartupCost& cost : sweep.costs) {
      ordered_json milliseconds;
      for (const auto& [name, value] : cost.phases) milliseconds[name] = value;
      points.push_back({{"at", cost.at},
                        {"layers", cost.layers},
                        {"parameters", cost.parameters},
                        {"ms", std::move(milliseconds)}});
    }
    json["startup"].push_back({{"model", sweep.model},
                               {"axis", to_string(sweep.axis)},
                               {"exponents", std::move(fits)},
                               {"points", std::move(points)}});
  }
  return json;
}

}  // namespace dlcuda::cost
