#include "dlcuda/tests/ops/op.h"

namespace dlcuda::testing {
namespace {

// Made at first use, because operations are entered while the program starts.
std::map<std::string, OpFunction>& ops() {
  static std::map<std::string, OpFunction> table;
  return table;
}
std::map<std::string, std::vector<ErrorCase>>& errors() {
  static std::map<std::string, std::vector<ErrorCase>> table;
  return table;
}

}  // namespace

Op::Op(std::string name, OpFunction run) {
  if (!ops().emplace(name, std::move(run)).second) throw std::logic_error(name + " is in the table twice");
}
const std::map<std::string, OpFunction>& all_ops() { return ops(); }

OpErrors::OpErrors(std::string op, std::initializer_list<ErrorCase> cases) {
  auto& all = errors()[op];
  all.insert(all.end(), cases.begin(), cases.end());
}
const std::map<std::string, std::vector<ErrorCase>>& all_errors() { return errors(); }

std::string to_string(Aspect aspect) {
  constexpr const char* kNames[] = {"rank", "shape", "dtype", "device", "argument"};
  return kNames[static_cast<int>(aspect)];
}

}  // namespace dlcuda::testing
