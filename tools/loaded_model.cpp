#include "dlcuda/tools/loaded_model.h"

#include <fstream>
#include <map>
#include <numeric>

#include "dlcuda/core/check.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/layers/weights.h"
#include "dlcuda/models/model_sizes.h"
#include "dlcuda/train/weight_metadata.h"

namespace dlcuda::tool {
namespace {

/// Whether the norms of a model were made part of its convolutions before its weights were saved.
bool is_folded(const Module& module, const SafetensorsFile& file) {
  bool has_norms = false;
  for (const auto& [name, tensor] : module.buffers()) {
    if (!name.ends_with("running_mean")) continue;
    has_norms = true;
    if (file.contains(name)) return false;
  }
  return has_norms;
}

/// For pictures of so many channels.
Normalization fitting(const Normalization& normalization, std::int64_t channels) {
  const auto fit = [&](const std::vector<float>& values) {
    if (values.size() == 1 || std::int64_t(values.size()) == channels) return values;
    return std::vector{std::accumulate(values.begin(), values.end(), 0.0f) / float(values.size())};
  };
  return {fit(normalization.mean), fit(normalization.std)};
}

}  // namespace

std::string LoadedModel::class_name(std::int64_t index) const {
  return std::size_t(index) < class_names.size() ? class_names[std::size_t(index)] : std::to_string(index);
}

LoadedModel load_model(const ZooModel& model, const std::filesystem::path& weights,
                       const LoadOptions& options) {
  const SafetensorsFile file(weights);
  const WeightMetadata metadata = read_metadata(file.metadata(), weights.string());
  std::map<std::string, Shape> shapes;
  for (const std::string& name : file.names()) shapes.emplace(name, file.shape(name));
  const ModelSizes sizes = find_sizes(model, shapes);

  LoadedModel loaded{.zoo = model,
                     .module = model.make(sizes.classes, sizes.channels),
                     .classes = sizes.classes,
                     .input = metadata.input.value_or(model.input),
                     .normalization = {},
                     .class_names = metadata.classes,
                     .metadata = file.metadata(),
                     .report = {},
                     .folded = false};
  loaded.input.channels = sizes.channels;
  loaded.normalization = fitting(metadata.normalization.value_or(model.normalization), sizes.channels);
  loaded.folded = is_folded(*loaded.module, file);
  if (loaded.folded) fold_batch_norm(*loaded.module);
  loaded.report = load_weights(*loaded.module, weights, options);
  loaded.module->eval();
  return loaded;
}

std::vector<std::string> read_labels(const std::filesystem::path& path) {
  const InputFile file(path);
  constexpr std::uint64_t kMostBytes = std::uint64_t(64) << 20;
  DLCUDA_CHECK(file.size() <= kMostBytes, FormatError, "{}: {} bytes are too many for labels", path.string(),
               file.size());
  std::string text(file.size(), '\0');
  text.resize(file.read_at(0, std::as_writable_bytes(std::span(text))));
  std::vector<std::string> labels;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    labels.push_back(text.substr(at, end - at));
    if (labels.back().ends_with('\r')) labels.back().pop_back();
    at = end + 1;
  }
  DLCUDA_CHECK(!labels.empty(), FormatError, "{}: no labels: expected one a line", path.string());
  return labels;
}

}  // namespace dlcuda::tool
