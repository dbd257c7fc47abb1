// ops_exchange IN OUT DEVICE: runs operations of the table on inputs that another program has written.
//
// IN: for each case a JSON description in the metadata (tests/ops/table.py's, with "channels_last"), and its
// inputs as tensors "case/in0", "case/in1", ... OUT: "case/out0" and "case/grad0" ..., f64 or i64; what went
// wrong stands in the metadata under "case".
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dlcuda/core/safetensors.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/ops/op_case.h"

namespace {

using namespace dlcuda;
using namespace dlcuda::testing;

Tensor widened(const Tensor& x) {
  const Tensor there = kernels::contiguous(x.to(Device::cpu()));
  return kernels::cast(there, is_floating_point(x.dtype()) ? DType::F64 : DType::I64);
}

void run(const SafetensorsFile& in, const std::string& name, const std::string& text, Device device,
         std::vector<std::pair<std::string, Tensor>>& out) {
  const OpCase one(name, text);
  const Evaluation evaluation = one.evaluate(one.read_inputs(in, device));
  for (std::size_t j = 0; j < evaluation.outputs.size(); ++j) {
    out.emplace_back(name + "/out" + std::to_string(j), widened(evaluation.outputs[j]));
  }
  for (const int i : one.gradient_inputs()) {
    const Tensor& gradient = evaluation.gradients[static_cast<std::size_t>(i)];
    if (gradient.defined()) out.emplace_back(name + "/grad" + std::to_string(i), widened(gradient));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: ops_exchange IN.safetensors OUT.safetensors cpu|cuda\n");
    return 2;
  }
  try {
    const Device device = std::string(argv[3]) == "cuda" ? Device::cuda() : Device::cpu();
    const SafetensorsFile in(argv[1]);
    std::vector<std::pair<std::string, Tensor>> out;
    std::map<std::string, std::string> errors;
    for (const auto& [name, text] : in.metadata()) {
      try {
        run(in, name, text, device, out);
      } catch (const std::exception& error) {
        errors[name] = error.what();
      }
    }
    save_safetensors(argv[2], out, errors);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ops_exchange: %s\n", error.what());
    return 1;
  }
}
