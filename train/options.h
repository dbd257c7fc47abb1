// The flags that every training binary shares.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dlcuda/core/dtype.h"
#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

/// How numbers are kept and multiplied. Tf32: f32 storage, TensorFloat-32 products on CUDA. Bf16, Fp16:
/// activations, gradients and the weights that are computed with; norms, statistics, losses and the weights
/// that are updated stay f32. Fp16 scales the loss (optim/loss_scale.h).
enum class Precision : std::uint8_t { Fp32, Tf32, Bf16, Fp16 };

/// "fp32", "tf32", "bf16", "fp16"
std::string to_string(Precision precision);
/// Of the model's parameters and activations.
DType model_dtype(Precision precision);
/// Throws ArgumentError for an unknown name.
Precision parse_precision(const std::string& name);

/// Each has its kernels in the recording.
inline constexpr std::int64_t kMostStepsPerLaunch = 1024;

struct TrainOptions {
  std::string data = "digits";     ///< name of a dataset
  std::string data_dir = {};       ///< folder of its files; empty: the dataset needs none, or knows its own
  std::int64_t epochs = 10;        ///< >= 1
  std::int64_t batch_size = 64;    ///< >= 1
  double lr = 1e-3;                ///< finite, > 0
  std::string optimizer = "adam";  ///< a name that make_optimizer() knows
  std::string device = "auto";     ///< auto, cpu, cuda, cuda:<index>
  bool require_gpu = false;        ///< fail without a CUDA device
  Precision precision = Precision::Fp32;
  std::uint64_t seed = 0;
  std::int64_t threads = 0;           ///< of the CPU backend; 0: one for each core this process may use
  std::int64_t workers = 1;           ///< threads that prepare batches; 0: the training thread does
  std::int64_t limit = 0;             ///< images of each split at most; 0: all
  std::string out = {};               ///< run folder; empty: the next free runs/<model>-<n>
  std::string profile = {};           ///< file for a profile of some steps, which run eagerly; empty: none
  bool eager = false;                 ///< steps run as they are instead of being recorded and replayed
  std::int64_t steps_per_launch = 1;  ///< in one recording; >= 1
  bool auto_batch = false;            ///< halve the batch where memory runs out in the first epoch
  std::string memory_timeline = {};   ///< file for a picture of the second step's memory; empty: none
  bool json = false;                  ///< JSON lines on standard output, everything else on standard error
};

/// What the command line of one binary is about.
struct ProgramInfo {
  std::string name;                     ///< "train_lenet5"
  std::string description;              ///< one line for --help
  std::string version;                  ///< printed by --version
  std::vector<std::string> datasets;    ///< names that --data takes
  std::vector<std::string> optimizers;  ///< names that --optimizer takes
};

/// The options, or a text to print instead of running (--help, --version).
struct ParsedCommandLine {
  TrainOptions options;
  std::string text;  ///< when not empty: print it and leave with exit code 0
};

/// Reads the flags over `defaults`, the model's own. Throws ArgumentError, which names the flag, what it
/// takes and what it got; for an unknown flag or name also the nearest known one.
ParsedCommandLine parse_options(int argc, const char* const* argv, const TrainOptions& defaults,
                                const ProgramInfo& program);

}  // namespace dlcuda
