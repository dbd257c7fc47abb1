// What a GPU would be asked to do in a step of a model, counted without doing it: tensors have no memory
// behind them, and the mock runtime is only told of kernels, copies, fills and library calls.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dlcuda/models/zoo.h"
#include "dlcuda/tests/hostcuda/shim.h"

namespace dlcuda::hostcuda {

/// A call of a function of dlcuda::kernels, and the work that came of it.
struct Operation {
  std::string name;   ///< "batch_norm_apply"
  std::string layer;  ///< "layer1.0.bn1", as the memory tags say
  double flops = 0;   ///< multiplications and additions of convolutions and matrix products
  double bytes = 0;   ///< of its inputs and outputs, each once
  std::vector<Work> work;
};

struct StepOptions {
  std::int64_t batch_size = 1;
  DType dtype = DType::F32;  ///< of the model
  bool training = true;      ///< else inference, with folded normalisation
};

struct StepWork {
  std::vector<Operation> recorded;  ///< what a captured step holds
  /// What is done before each replay: the inputs are copied to where the recording reads them, and the
  /// learning rate is set.
  std::vector<Operation> outside;
};

/// The second step of a training as the trainer does it, with Adam and the model's own loss and metrics; or
/// the second forward pass. Pictures as the model is used with.
StepWork count_step(const ZooModel& model, const StepOptions& options);

/// How often each piece of work occurs, by name; library calls are called "<operation> (library)".
std::map<std::string, std::int64_t> count_by_name(const std::vector<Operation>& operations);
std::int64_t count_all(const std::vector<Operation>& operations);

}  // namespace dlcuda::hostcuda
