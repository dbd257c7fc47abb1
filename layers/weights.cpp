#include "dlcuda/layers/weights.h"

#include "dlcuda/core/safetensors.h"
#include "dlcuda/layers/state_loader.h"

namespace dlcuda {

LoadReport load_weights(Module& module, const std::filesystem::path& path, const LoadOptions& options) {
  const SafetensorsFile file(path);
  StateSource source{.path = path.string()};
  for (const std::string& name : file.names())
    source.entries.push_back({name, file.dtype(name), file.shape(name)});
  source.read = [&](std::size_t i) {
    const std::string& name = file.names()[i];
    return options.mapped ? file.mapped_tensor(name) : file.tensor(name);
  };
  return load_state(module, source, options);
}

void save_weights(const Module& module, const std::filesystem::path& path,
                  const std::map<std::string, std::string>& metadata) {
  std::map<std::string, std::string> texts = metadata;
  texts.emplace("format", "pt");
  save_safetensors(path, module.state_dict(), texts);
}

}  // namespace dlcuda
