// dlcuda summary: a model's layers, what they cost, and what they give.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "dlcuda/tools/command.h"
#include "dlcuda/tools/model_flags.h"
#include "dlcuda/train/model_table.h"

namespace dlcuda::tool {
namespace {

std::vector<std::int64_t> extents(const Shape& shape) {
  std::vector<std::int64_t> result;
  for (int axis = 0; axis < shape.rank(); ++axis) result.push_back(shape[axis]);
  return result;
}

std::string to_json(const ModelChoice& choice, const ModelSummary& summary) {
  nlohmann::ordered_json json;
  json["model"] = choice.model.name;
  json["input"] = extents(summary.input);
  json["output"] = extents(summary.output);
  json["parameters"] = summary.parameters;
  json["multiply_adds"] = summary.multiply_adds;
  json["parameter_bytes"] = summary.parameter_bytes;
  json["activation_bytes"] = summary.activation_bytes;
  json["layers"] = nlohmann::ordered_json::array();
  for (const LayerSummary& layer : summary.layers) {
    json["layers"].push_back({{"name", layer.name},
                              {"layer", layer.layer},
                              {"output", layer.output},
                              {"parameters", layer.parameters},
                              {"multiply_adds", layer.multiply_adds},
                              {"activation_bytes", layer.activation_bytes}});
  }
  return json.dump();
}

}  // namespace

Command add_summary(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("summary", "a model's layers: output, parameters, multiply-adds, memory");
  struct Flags : ModelFlags {
    bool json = false;
  };
  const auto flags = std::make_shared<Flags>();
  flags->add_to(*app, "1");
  app->add_flag("--json", flags->json, "one line of JSON");
  return {app, [flags] {
            const ModelChoice choice = flags->choose();
            const ImageShape& input = choice.input;
            const ModelSummary summary =
                summarize_model([&] { return choice.make(); },
                                {flags->parsed_batch_size(), input.channels, input.height, input.width});
            if (flags->json) {
              std::puts(to_json(choice, summary).c_str());
            } else {
              std::fputs(to_string(summary).c_str(), stdout);
            }
          }};
}

}  // namespace dlcuda::tool
