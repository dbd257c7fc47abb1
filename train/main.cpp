#include "dlcuda/train/main.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "dlcuda/core/check.h"
#include "dlcuda/core/cuda/runtime.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/precision.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/train/console.h"
#include "dlcuda/train/json_lines.h"
#include "dlcuda/train/model_table.h"
#include "dlcuda/train/run_folder.h"
#include "dlcuda/train/trainer.h"

namespace dlcuda {
namespace {

constexpr int kSignalBase = 128;  // a shell's exit code for a process that a signal ended
constexpr std::int64_t kTestBatch = 256;

template <typename Type>
bool is(const std::exception& error) {
  return dynamic_cast<const Type*>(&error) != nullptr;
}

StartReport describe_run(const ModelSpec& spec, const TrainOptions& options, const DeviceChoice& choice,
                         const DatasetSplits& data, const Module& model, const Task& task,
                         const RunFolder& folder) {
  StartReport report;
  report.model = spec.name;
  report.version = DLCUDA_VERSION;
  report.dataset = data.name;
  report.dataset_detail = data.description;
  report.device = to_string(choice.device);
  report.device_reason = choice.reason;
  report.score_name = task.score_name();
  report.run_folder = folder.path().string();
  report.schedule = spec.schedule.name;
  report.memory_format = to_string(spec.format);
  report.options = options;
  report.parameters = model.parameter_count();
  report.train_count = data.train->size();
  report.validation_count = data.validation->size();
  report.validation_is_test = data.validation_is_test;
  report.test_count = data.test->size();
  return report;
}

int run(int argc, const char* const* argv, const ModelSpec& spec) {
  const ProgramInfo program{.name = "train_" + spec.name,
                            .description = spec.description,
                            .version = DLCUDA_VERSION,
                            .datasets = dataset_names(),
                            .optimizers = optimizer_names()};
  auto [options, text] = parse_options(argc, argv, spec.defaults, program);
  if (!text.empty()) {
    std::fputs(text.c_str(), stdout);
    return 0;
  }

  const DeviceChoice choice = choose_device(options.device, options.require_gpu);
  if (choice.device.is_cuda()) cuda::make_current(choice.device.index);
  const Device device = choice.device;
  if (options.threads > 0) set_num_threads(int(options.threads));
  options.threads = num_threads();
  kernels::set_allow_tf32(options.precision == Precision::Tf32);
  kernels::manual_seed(options.seed);

  const DatasetSplits data =
      open_dataset({.name = options.data, .folder = options.data_dir, .limit = options.limit});
  const ImagePipeline train_images(data.train->image_shape(), spec.train_transforms, data.normalization);
  const ImagePipeline test_images(data.test->image_shape(), spec.test_transforms, data.normalization);
  const LoaderOptions train_loading{.batch_size = options.batch_size,
                                    .shuffle = true,
                                    .workers = int(options.workers),
                                    .seed = options.seed,
                                    .device = device};
  const LoaderOptions test_loading{
      .batch_size = kTestBatch, .workers = int(options.workers), .device = device};
  DataLoader train(data.train, train_images, train_loading);
  DataLoader validation(data.validation, test_images, test_loading);
  DataLoader test(data.test, test_images, test_loading);

  const auto model = spec.make_model(test_images.output_shape(), data.train->class_count());
  const std::vector<LayerSummary> layers = summarize_layers(*model, test_images.output_shape());
  model->to(device);
  const auto task = spec.make_task(device);
  const auto optimizer = make_optimizer(options.optimizer, model->parameters(), options.lr);

  RunFolder folder(RunFolder::create(spec.name, options.out));
  folder.write_options(spec.name, options);
  Console console(options.json ? stderr : stdout);
  JsonLines json(stdout);
  std::vector<TrainObserver*> observers = {&folder, &console};
  if (options.json) observers.push_back(&json);
  StartReport start = describe_run(spec, options, choice, data, *model, *task, folder);
  start.layers = layers;
  for (TrainObserver* observer : observers) observer->on_start(start);

  TrainerConfig config{.epochs = options.epochs, .schedule = spec.schedule, .format = spec.format};
  config.test_best = !data.validation_is_test;
  if (console.traits().terminal) config.progress_interval = std::chrono::milliseconds(100);
  Trainer trainer({*model, *task, *optimizer, kernels::dropout_generator(device), train, validation, test,
                   folder, observers},
                  config);
  const int signal = trainer.run();
  if (signal == 0) return 0;
  console.print(
      fmt::format("interrupted by signal {}: the weights are in {}", signal, folder.last_weights().string()));
  return kSignalBase + signal;
}

}  // namespace

int exit_code(const std::exception& error) {
  if (is<ArgumentError>(error)) return 2;
  if (is<FormatError>(error) || is<IoError>(error)) return 3;
  if (is<OutOfMemoryError>(error) || is<std::bad_alloc>(error)) return 4;
  if (is<DeviceError>(error)) return 5;
  if (is<NumericError>(error)) return 6;
  return 1;
}

int train_main(int argc, const char* const* argv, const ModelSpec& spec) noexcept {
  try {
    const int code = run(argc, argv, spec);
    DLCUDA_CHECK(std::fflush(stdout) == 0 && std::ferror(stdout) == 0, Error,
                 "standard output could not be written to its end: {}", std::strerror(errno));
    return code;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", error.what());
    return exit_code(error);
  }
}

}  // namespace dlcuda
