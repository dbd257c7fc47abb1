// What is wanted of loading, and what came of it.
#pragma once

#include <string>
#include <vector>

#include "dlcuda/core/dtype.h"
#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

struct LoadOptions {
  /// Load what fits; the report says what did not. Otherwise anything that does not fit is an error.
  bool partial = false;
  /// Patterns (matches_pattern() of core/text.h) of names that keep the values they have, whatever the state
  /// holds under them: {"fc.*"} loads all but the head. One that matches no name is an error.
  std::vector<std::string> exclude = {};
  /// For files: map the tensors instead of reading them, so that host memory does not hold the weights twice;
  /// see SafetensorsFile::mapped_tensor() for what that asks of the file.
  bool mapped = false;
};

/// Names are in the order of Module::state_dict(), unexpected ones in that of the state.
struct LoadReport {
  struct Conversion {
    std::string name;
    DType from, to;
  };
  struct Difference {
    std::string name;
    std::string detail;   ///< "[64, 3, 7, 7]", "expected f32 [10], got f32 [1000]"; empty for unexpected ones
    std::string nearest;  ///< the nearest name on the other side; empty where none is near
  };

  std::vector<std::string> loaded;
  std::vector<Conversion> converted;   ///< those among the loaded whose dtype differed
  std::vector<std::string> excluded;   ///< of the module, left as they were
  std::vector<Difference> missing;     ///< of the module, but not in the state
  std::vector<Difference> unexpected;  ///< in the state, but not of the module
  std::vector<Difference> mismatched;  ///< on both sides, with another shape or kind of dtype

  /// Nothing is missing, unexpected or mismatched.
  bool complete() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  /// For people, without a newline at the end: how many were loaded, converted and left out, then a line for
  /// each name that is missing, unexpected or mismatched, at most 40 of each kind.
  std::string describe() const;
};

}  // namespace dlcuda
