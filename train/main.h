// From a command line to a trained model: what the training binaries share.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/core/shape.h"
#include "dlcuda/data/image_file.h"
#include "dlcuda/data/registry.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/train/options.h"
#include "dlcuda/train/schedule.h"
#include "dlcuda/train/task.h"

namespace dlcuda DLCUDA_API {

/// What one model brings to train_main().
struct ModelSpec {
  std::string name;         ///< "lenet5": the run folder's and the program's name follow from it
  std::string description;  ///< one line for --help
  TrainOptions defaults;
  Schedule schedule = cosine_schedule();
  MemoryFormat format = MemoryFormat::ChannelsLast;
  /// What the dataset must give beside what the flags say: the kind of target; of generated pictures also
  /// their side and number. Its name, folder and limit come from the flags.
  DatasetRequest data = {};
  /// Between a dataset's images and the model's input, before normalisation.
  std::vector<std::shared_ptr<const Transform>> train_transforms, test_transforms;
  /// The model on the CPU, with initial weights, for images of `input` and so many classes. Throws
  /// ArgumentError for a dataset that it cannot take.
  std::function<std::unique_ptr<Module>(const ImageShape& input, std::int64_t classes)> make_model;
  /// For a dataset of so many classes.
  std::function<std::unique_ptr<Task>(Device device, std::int64_t classes)> make_task =
      [](Device device, std::int64_t) { return std::make_unique<ClassificationTask>(device); };
  /// Draws some test images with what the trained model made of them, for the run folder; may be empty. Both
  /// are on the CPU, contiguous, and f32 where they are floating-point.
  std::function<Image(const Batch& batch, const Tensor& output, const Normalization& normalization)>
      draw_predictions = {};
};

/// Reads the flags, trains, leaves a run folder, and returns the exit code: 0 done, 1 other, 2 usage, 3 bad
/// data or weights, 4 out of memory, 5 device, 6 diverged, 130 and 143 interrupted with the weights saved.
/// What went wrong is one message on standard error. Throws nothing.
int train_main(int argc, const char* const* argv, const ModelSpec& spec) noexcept;

/// The exit code for an error, as above.
int exit_code(const std::exception& error);

/// What a main() does: runs a program, which gives its exit code, and sees that standard output was written
/// to its end. What it throws is one message on standard error and an exit code as above.
int run_program(const std::function<int()>& program) noexcept;

}  // namespace dlcuda
