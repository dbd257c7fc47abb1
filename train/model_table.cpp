#include "dlcuda/train/model_table.h"

#include <map>
#include <set>
#include <string>

#include "dlcuda/core/autograd.h"

namespace dlcuda {
namespace {

void collect_names(const Module& module, const std::string& prefix,
                   std::map<const Module*, std::string>& names) {
  for (const auto& [name, child] : module.children()) {
    names.emplace(child, prefix + name);
    collect_names(*child, prefix + name + ".", names);
  }
}

}  // namespace

std::vector<LayerSummary> summarize_layers(Module& model, const ImageShape& input) {
  std::map<const Module*, std::string> names;
  collect_names(model, "", names);
  std::vector<LayerSummary> rows;
  std::set<const Module*> counted;
  const autograd::NoGrad no_grad;
  model.eval();  // draws no dropout mask, leaves running statistics alone
  {
    const ForwardObserver observer([&](const Module& module, const Tensor& output) {
      if (!module.children().empty() || !names.contains(&module)) return;
      const std::int64_t parameters = counted.insert(&module).second ? module.parameter_count() : 0;
      rows.push_back({names.at(&module), module.describe(), to_string(output.shape()), parameters});
    });
    model(Tensor::zeros({1, input.channels, input.height, input.width}));
  }
  model.train();
  return rows;
}

}  // namespace dlcuda
