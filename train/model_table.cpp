#include "dlcuda/train/model_table.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <string>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/memory/stats.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/profile_recording.h"
#include "dlcuda/core/text.h"
#include "dlcuda/train/console.h"
#include "dlcuda/train/planning.h"

namespace dlcuda {
namespace {

using Names = std::map<const Module*, std::string>;

/// The names that are also the modules' memory tags.
void collect_names(const Module& module, const std::string& path, Names& names) {
  names.emplace(&module, path.empty() ? "(model)" : path);
  for (const auto& [name, child] : module.children()) {
    collect_names(*child, path.empty() || name.empty() ? path + name : path + "." + name, names);
  }
}

ModelSummary summarize(Module& model, const Shape& input, PlanningGround& ground) {
  Names names;
  collect_names(model, "", names);
  ModelSummary summary;
  summary.model = model.describe();
  summary.input = input;
  std::set<const Module*> counted;
  // What each module has computed since its last row.
  std::map<std::string, double> flops;
  ground.planning().on_operation = [&](const profile_detail::OpInfo& operation) {
    flops[current_memory_tag().name()] += operation.flops;
  };
  const profile_detail::CountingScope counting;
  const autograd::NoGrad no_grad;
  model.eval();  // leaves running statistics alone, calls no auxiliary head
  {
    const ForwardObserver observer([&](const Module& module, const Tensor& output) {
      const auto name = names.find(&module);
      if (name == names.end()) return;
      const std::int64_t multiply_adds = std::int64_t(flops[name->second] / 2);
      if (!module.children().empty() && multiply_adds == 0) return;
      flops[name->second] = 0;
      const std::int64_t parameters =
          module.children().empty() && counted.insert(&module).second ? module.parameter_count() : 0;
      summary.layers.push_back({name->second, module.describe(), to_string(output.shape()), parameters,
                                multiply_adds, output.nbytes()});
    });
    summary.output = model(Tensor::empty(input)).shape();
  }
  model.train();

  summary.parameters = model.parameter_count();
  for (const auto& [name, tensor] : model.state_dict()) summary.parameter_bytes += tensor.nbytes();
  for (const LayerSummary& layer : summary.layers) {
    summary.multiply_adds += layer.multiply_adds;
    summary.activation_bytes += layer.activation_bytes;
  }
  return summary;
}

}  // namespace

ModelSummary summarize_model(const std::function<std::unique_ptr<Module>()>& make_model, const Shape& input) {
  PlanningGround ground(Device::cpu());
  const auto model = make_model();
  return summarize(*model, input, ground);
}

std::vector<LayerSummary> summarize_layers(Module& model, const ImageShape& input) {
  PlanningGround ground(Device::cpu());
  return summarize(model, {1, input.channels, input.height, input.width}, ground).layers;
}

std::string to_string(const ModelSummary& summary) {
  std::vector<std::vector<std::string>> rows{
      {"name", "layer", "output", "parameters", "multiply-adds", "memory"}};
  for (const LayerSummary& layer : summary.layers) {
    rows.push_back({layer.name, layer.layer, layer.output, with_commas(layer.parameters),
                    with_commas(layer.multiply_adds), format_bytes(layer.activation_bytes)});
  }
  std::string text = format_columns(rows, "<<<>>>");
  text += fmt::format("{}: {} -> {}\n", summary.model, to_string(summary.input), to_string(summary.output));
  text += fmt::format("parameters: {} ({} with buffers)\n", with_commas(summary.parameters),
                      format_bytes(summary.parameter_bytes));
  text += fmt::format("multiply-adds: {}\n", with_commas(summary.multiply_adds));
  text += fmt::format("memory of all outputs: {}\n", format_bytes(summary.activation_bytes));
  return text;
}

}  // namespace dlcuda
