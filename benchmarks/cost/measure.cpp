#include "dlcuda/benchmarks/cost/measure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "dlcuda/core/memory/caching_allocator.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/core/stream.h"
#include "dlcuda/models/zoo_training.h"
#include "dlcuda/tools/bench_model.h"
#include "dlcuda/train/memory_plan.h"
#include "dlcuda/train/model_table.h"

namespace dlcuda::cost {
namespace {

tool::BenchConfig config_of(const Point& point, const Conditions& conditions, bool train) {
  return {{point.model, point.input(), point.model.classes},
          point.batch_size,
          conditions.precision,
          train,
          conditions.device,
          point.model.format};
}

ModelSummary summary_of(const tool::BenchConfig& config) {
  const ImageShape& input = config.choice.input;
  return summarize_model([&] { return config.choice.make(); },
                         {config.batch_size, input.channels, input.height, input.width});
}

/// What must be held at once, in bytes; see StepCost.
struct Held {
  double outputs = 0, weights = 0;
};
Held held_by(const tool::BenchConfig& config) {
  const ModelSummary summary = summary_of(config);
  const double element = double(size_of(model_dtype(config.precision))) / size_of(DType::F32);
  const double pictures = double(summary.input.numel() * size_of(DType::F32));
  const double weights = double(summary.parameter_bytes);
  if (config.train) return {element * (pictures + double(summary.activation_bytes)), 4 * weights};
  double most = 0, before = pictures;
  for (const LayerSummary& layer : summary.layers) {
    most = std::max(most, before + double(layer.activation_bytes));
    before = double(layer.activation_bytes);
  }
  return {element * most, element * 2 * weights};
}

/// Removes its file.
class ScratchFile {
 public:
  ScratchFile()
      : path_(std::filesystem::temp_directory_path() /
              fmt::format("dlcuda-cost-{}.safetensors", ::getpid())) {}
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

using Phases = std::vector<std::pair<std::string, double>>;

Phases start_once(const tool::BenchConfig& config) {
  using Clock = std::chrono::steady_clock;
  Phases phases;
  const auto timed = [&](const char* name, const std::function<void()>& work) {
    const auto start = Clock::now();
    work();
    current_stream(config.device).synchronize();
    phases.emplace_back(name, std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  };
  std::unique_ptr<Module> model;
  std::unique_ptr<tool::BenchModel> step;
  const ScratchFile file;
  const Prediction prediction = config.choice.model.prediction;

  timed("initial weights", [&] { model = config.choice.make(); });
  timed("summary", [&] { (void)summary_of(config); });
  timed("memory plan", [&] {
    (void)plan_memory(
        plan_training(
            [&] { return config.choice.make(); }, config.choice.input, training_targets(prediction),
            [&](Device device) { return make_training_task(prediction, config.choice.classes, device); },
            config.device),
        config.batch_size);
  });
  timed("write weights", [&] { save_safetensors(file.path(), model->state_dict()); });
  timed("load weights", [&] { (void)model->load_state_dict(load_safetensors(file.path())); });
  step = std::make_unique<tool::BenchModel>(config);
  timed("first step", [&] { step->eager_step(); });
  timed("step as it is", [&] { step->eager_step(); });
  if (config.device.is_cuda()) step->launch();
  timed("recording", [&] { step->launch(); });
  timed("end", [&] { step.reset(), model.reset(); });
  return phases;
}

/// In a new thread; what it throws, this throws.
void in_thread(const std::function<void()>& work) {
  std::exception_ptr error;
  std::thread([&, threads = num_threads()] {
    try {
      set_num_threads(threads);
      work();
    } catch (...) {
      error = std::current_exception();
    }
  }).join();
  if (error) std::rethrow_exception(error);
}

}  // namespace

double flops_of(const Point& point, const Conditions& conditions, bool train) {
  return tool::work_of(config_of(point, conditions, train)).flops;
}

StepCost measure_step(const Point& point, const Conditions& conditions, bool train) {
  const tool::BenchConfig config = config_of(point, conditions, train);
  const Held held = held_by(config);
  StepCost cost{.at = point.at,
                .flops = tool::work_of(config).flops,
                .outputs = held.outputs,
                .weights = held.weights,
                .milliseconds = {},
                .peak_bytes = 0};
  CachingAllocator& memory = allocator_for(conditions.device);
  memory.empty_cache();
  memory.reset_peaks();
  const std::size_t before = memory.stats().total.active.current;
  tool::BenchModel model(config);
  Benchmark benchmark(
      conditions.device, [&] { model.launch(); }, conditions.seconds);
  std::vector<double> rounds;
  for (int round = 0; round < conditions.rounds; ++round) rounds.push_back(benchmark.round());
  cost.milliseconds = spread_of(rounds);
  cost.peak_bytes = double(memory.stats().total.active.peak - before);
  return cost;
}

StartupCost measure_startup(const Point& point, const Conditions& conditions) {
  const tool::BenchConfig config = config_of(point, conditions, true);
  const ModelSummary summary = summary_of(config);
  StartupCost cost{point.at, double(summary.layers.size()), double(summary.parameters), {}};
  for (int round = 0; round < conditions.rounds; ++round) {
    Phases phases;
    in_thread([&] { phases = start_once(config); });
    if (cost.phases.empty()) cost.phases = phases;
    for (std::size_t i = 0; i < phases.size(); ++i) {
      cost.phases[i].second = std::min(cost.phases[i].second, phases[i].second);
    }
  }
  return cost;
}

}  // namespace dlcuda::cost
