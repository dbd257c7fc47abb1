// Named values into the tensors of a module, whether the values are tensors already or still lie in a file.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "dlcuda/layers/load_report.h"
#include "dlcuda/layers/module.h"

namespace dlcuda {

/// A state whose names, dtypes and shapes are known before its elements are.
struct StateSource {
  struct Entry {
    std::string name;
    DType dtype = DType::F32;
    Shape shape{};
    bool defined = true;
  };
  std::vector<Entry> entries = {};
  /// Elements of entry i, on any device and in any format.
  std::function<Tensor(std::size_t i)> read = {};
  /// Of a file; empty for tensors.
  std::string path = {};
};

/// Compares first; then, unless a difference is an error, reads and converts; and only when all that is done
/// is the first tensor changed. A state that does not fit is a FormatError for a file, an ArgumentError for
/// tensors.
LoadReport load_state(const Module& module, const StateSource& source, const LoadOptions& options);

/// The lines of LoadReport::describe() about what is missing, mismatched and unexpected, each after a
/// newline.
std::string describe_differences(const LoadReport& report);

}  // namespace dlcuda
