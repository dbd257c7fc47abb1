#include "dlcuda/train/main.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <optional>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/build.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/current_device.h"
#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/memory/tag.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/precision.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/optim/optimizer.h"
#include "dlcuda/train/console.h"
#include "dlcuda/train/json_lines.h"
#include "dlcuda/train/memory_plan.h"
#include "dlcuda/train/memory_timeline.h"
#include "dlcuda/train/model_table.h"
#include "dlcuda/train/run_folder.h"
#include "dlcuda/train/trainer.h"
#include "dlcuda/train/weight_metadata.h"

namespace dlcuda {
namespace {

constexpr int kSignalBase = 128;  // a shell's exit code for a process that a signal ended
constexpr std::int64_t kTestBatch = 256;
constexpr int kMostHalvings = 3;  // of the batch

struct EpochCounter : TrainObserver {
  int finished = 0;
  void on_epoch(const EpochReport&) override { ++finished; }
};

template <typename Type>
bool is(const std::exception& error) {
  return dynamic_cast<const Type*>(&error) != nullptr;
}

/// What stays the same when a run begins again with a smaller batch.
struct Run {
  const ModelSpec& spec;
  DeviceChoice choice;
  DatasetSplits data;
  ImagePipeline train_images, test_images;
  RunFolder folder;
  Console console;
  std::vector<TrainObserver*> observers;
  StepProfile* profile;  // may be null
};

StartReport describe_run(const Run& run, const TrainOptions& options, const Module& model, const Task& task) {
  StartReport report;
  report.model = run.spec.name;
  report.version = build_info().version;
  report.dataset = run.data.name;
  report.dataset_detail = run.data.description;
  report.device = to_string(run.choice.device);
  report.device_reason = run.choice.reason;
  report.score_name = task.score_name();
  report.run_folder = run.folder.path().string();
  report.schedule = run.spec.schedule.name;
  report.memory_format = to_string(run.spec.format);
  report.options = options;
  report.parameters = model.parameter_count();
  report.train_count = run.data.train->size();
  report.validation_count = run.data.validation->size();
  report.validation_is_test = run.data.validation_is_test;
  report.test_count = run.data.test->size();
  return report;
}

void draw_predictions(const Run& run, const TrainOptions& options, Module& model, DataLoader& test) {
  constexpr std::int64_t kMost = 8;
  const autograd::NoGrad no_grad;
  model.eval();
  test.start_epoch(0);
  const Batch* batch = test.next();
  const Batch some =
      batch->map([&](const Tensor& tensor) { return tensor.slice(0, std::min(kMost, batch->size())); });
  const Tensor output = model(as_model_input(some, run.spec.format, model_dtype(options.precision)).images);
  const auto on_cpu = [](const Tensor& tensor) {
    const Tensor result = kernels::contiguous(tensor.to(Device::cpu()));
    return is_floating_point(result.dtype()) ? kernels::cast(result, DType::F32) : result;
  };
  write_png(run.folder.path() / "predictions.png",
            run.spec.draw_predictions(some.map(on_cpu), on_cpu(output.detach()), run.data.normalization));
}

/// From fresh weights to the final test; the signal that interrupted it, or 0.
int train(Run& run, const TrainOptions& options) {
  kernels::manual_seed(options.seed);
  const Device device = run.choice.device;
  const LoaderOptions train_loading{.batch_size = options.batch_size,
                                    .shuffle = true,
                                    .workers = int(options.workers),
                                    .seed = options.seed,
                                    .device = device,
                                    .dtype = model_dtype(options.precision),
                                    .format = run.spec.format};
  const LoaderOptions test_loading{.batch_size = std::min(kTestBatch, 4 * options.batch_size),
                                   .workers = int(options.workers),
                                   .device = device,
                                   .dtype = model_dtype(options.precision),
                                   .format = run.spec.format};
  DataLoader train(run.data.train, run.train_images, train_loading);
  DataLoader validation(run.data.validation, run.test_images, test_loading);
  DataLoader test(run.data.test, run.test_images, test_loading);

  const auto model = [&] {
    const MemoryTagScope scope("parameters");
    return run.spec.make_model(run.test_images.output_shape(), run.data.train->class_count());
  }();
  const std::vector<LayerSummary> layers = summarize_layers(*model, run.test_images.output_shape());
  {
    const MemoryTagScope scope("parameters");
    model->to(model_dtype(options.precision));
    model->to(device, run.spec.format);
  }
  const auto task = run.spec.make_task(device, run.data.train->class_count());
  const auto optimizer = make_optimizer(options.optimizer, model->parameters(), options.lr);

  run.folder.write_options(run.spec.name, options);
  run.folder.set_metadata(to_metadata({.input = run.test_images.output_shape(),
                                       .classes = run.data.train->class_names(),
                                       .normalization = run.data.normalization}));
  StartReport start = describe_run(run, options, *model, *task);
  start.layers = layers;
  for (TrainObserver* observer : run.observers) observer->on_start(start);

  TrainerConfig config{.epochs = options.epochs, .schedule = run.spec.schedule, .format = run.spec.format};
  config.dtype = model_dtype(options.precision);
  config.test_best = !run.data.validation_is_test;
  if (run.profile) run.profile->restart();
  config.capture = !options.eager && run.profile == nullptr;  // what is replayed has no parts to be timed
  config.steps_per_launch = options.steps_per_launch;
  std::optional<MemoryTimelineRecorder> timeline;
  if (!options.memory_timeline.empty()) {
    timeline.emplace(device,
                     fmt::format("{}, batch {}, {}: memory of one training step", run.spec.name,
                                 options.batch_size, to_string(device)),
                     options.memory_timeline);
    config.memory_timeline = &*timeline;
  }
  if (run.console.traits().terminal) config.progress_interval = std::chrono::milliseconds(100);
  const int signal = Trainer({device, *model, *task, *optimizer, kernels::dropout_generator(device), train,
                              validation, test, run.folder, run.observers, run.profile},
                             config)
                         .run();
  if (signal == 0 && run.spec.draw_predictions) draw_predictions(run, options, *model, test);
  return signal;
}

/// The same; where memory runs out, the error also tells the largest batch that would fit.
int train_or_advise(Run& run, const TrainOptions& options) {
  try {
    return train(run, options);
  } catch (const OutOfMemoryError& error) {
    const Device device = run.choice.device;
    const ImageShape shape = run.test_images.output_shape();
    const std::int64_t classes = run.data.train->class_count();
    PlannedTraining training = plan_training(
        [&] { return run.spec.make_model(shape, classes); }, shape, run.data.train->target_format(),
        [&](Device on) { return run.spec.make_task(on, classes); }, device, run.spec.format);
    training.dtype = model_dtype(options.precision);
    training.optimizer = options.optimizer;
    const auto capacity = allocator_for(device).capacity();
    if (!capacity) throw;
    const std::int64_t fits = largest_batch(training, *capacity, options.batch_size);
    throw OutOfMemoryError(
        fmt::format("{}. {}", error.what(),
                    fits == 0 ? std::string("Not even a batch of 1 would fit")
                              : fmt::format("The largest batch that would fit: {} (--batch-size {}, or "
                                            "--auto-batch), less what the loader's batches take",
                                            fits, fits)),
        error.requested_bytes());
  }
}

/// The same; where memory runs out in the first epoch, from the beginning with half the batch.
int train_with_smaller_batches(Run& run, TrainOptions options) {
  for (int left = kMostHalvings;; --left) {
    const auto epochs = std::make_unique<EpochCounter>();
    run.observers.push_back(epochs.get());
    std::string reason;
    try {
      return train_or_advise(run, options);
    } catch (const OutOfMemoryError& error) {
      if (left == 0 || epochs->finished > 0 || options.batch_size == 1) throw;
      reason = error.what();
    }
    run.observers.pop_back();
    options.batch_size = (options.batch_size + 1) / 2;
    allocator_for(run.choice.device).empty_cache();
    for (TrainObserver* observer : run.observers) {
      observer->on_note(fmt::format("{}\nstarting again with batches of {}", reason, options.batch_size));
    }
  }
}

int run(int argc, const char* const* argv, const ModelSpec& spec) {
  const ProgramInfo program{.name = "train_" + spec.name,
                            .description = spec.description,
                            .version = build_info().version,
                            .datasets = dataset_names(),
                            .optimizers = optimizer_names()};
  auto [options, text] = parse_options(argc, argv, spec.defaults, program);
  if (!text.empty()) {
    std::fputs(text.c_str(), stdout);
    return 0;
  }

  const DeviceChoice choice = choose_device(options.device, options.require_gpu);
  settle_on(choice.device);
  if (options.threads > 0) set_num_threads(int(options.threads));
  options.threads = num_threads();
  kernels::set_allow_tf32(options.precision == Precision::Tf32);

  DatasetRequest request = spec.data;
  request.name = options.data;
  request.folder = options.data_dir;
  request.limit = options.limit;
  const DatasetSplits data = open_dataset(request);
  DLCUDA_CHECK(
      options.memory_timeline.empty() || options.epochs > 1 || data.train->size() > options.batch_size,
      ArgumentError,
      "--memory-timeline: it is the second step that is drawn, and this training has only one");
  std::optional<StepProfile> profile;
  if (!options.profile.empty()) {
    const std::int64_t batches = (data.train->size() + options.batch_size - 1) / options.batch_size;
    profile.emplace(options.profile, options.epochs * batches);
  }
  const auto pipeline = [&](const ImageDataset& images, const auto& transforms) {
    return ImagePipeline(images.image_shape(), transforms, data.normalization);
  };
  Run parts{.spec = spec,
            .choice = choice,
            .data = data,
            .train_images = pipeline(*data.train, spec.train_transforms),
            .test_images = pipeline(*data.test, spec.test_transforms),
            .folder = RunFolder(RunFolder::create(spec.name, options.out)),
            .console = Console(options.json ? stderr : stdout),
            .observers = {},
            .profile = profile ? &*profile : nullptr};
  JsonLines json(stdout);
  parts.observers = {&parts.folder, &parts.console};
  if (options.json) parts.observers.push_back(&json);

  const int signal =
      options.auto_batch ? train_with_smaller_batches(parts, options) : train_or_advise(parts, options);
  if (signal == 0) return 0;
  if (profile) parts.console.print(profile->finish());
  parts.console.print(fmt::format("interrupted by signal {}: the weights are in {}", signal,
                                  parts.folder.last_weights().string()));
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

int run_program(const std::function<int()>& program) noexcept {
  try {
    const int code = program();
    DLCUDA_CHECK(std::fflush(stdout) == 0 && std::ferror(stdout) == 0, Error,
                 "standard output could not be written to its end: {}", std::strerror(errno));
    return code;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", error.what());
    return exit_code(error);
  }
}

int train_main(int argc, const char* const* argv, const ModelSpec& spec) noexcept {
  return run_program([&] { return run(argc, argv, spec); });
}

}  // namespace dlcuda
