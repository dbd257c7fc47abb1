// A module's parameters and buffers as a safetensors file, under the names of PyTorch's state_dict: what
// safetensors.torch writes in Python is read here, and the other way round.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "dlcuda/layers/module.h"

namespace dlcuda DLCUDA_API {

/// Module::load_state_dict() with the tensors of a file, of which names, dtypes and shapes are compared
/// before elements are read. Throws FormatError, with the path and all differences, for a file that does not
/// fit and as SafetensorsFile does; IoError. The module is as it was then.
LoadReport load_weights(Module& module, const std::filesystem::path& path, const LoadOptions& options = {});

/// state_dict() of the module as a file, replaced as a whole or not at all. The metadata say "format": "pt",
/// which readers in Python look for, unless they are given. Throws IoError.
void save_weights(const Module& module, const std::filesystem::path& path,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace dlcuda
