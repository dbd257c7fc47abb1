// Training steps of LeNet-5 on resident data: forward, loss, backward, Adam, metrics; recorded and replayed
// (CapturedStep), and as they are, in turn. Prints one JSON line.
//
//   train_lenet5_bench [--device cpu|cuda[:i]] [--threads N] [--batch-size N] [--steps N] [--rounds N]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "dlcuda/core/captured_step.h"
#include "dlcuda/core/parallel.h"
#include "dlcuda/core/stream.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/cross_entropy.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/optim/optimizer.h"

using namespace dlcuda;

int main(int argc, char** argv) {
  std::string device_name = "cpu";
  int threads = num_threads(), batch_size = 64, steps = 100, rounds = 7;
  CLI::App app("LeNet-5 training steps per second");
  app.add_option("--device", device_name, "cpu, cuda, cuda:i");
  app.add_option("--threads", threads, "CPU threads");
  app.add_option("--batch-size", batch_size, "images a step");
  app.add_option("--steps", steps, "steps a round");
  app.add_option("--rounds", rounds, "measured rounds; the median counts");
  CLI11_PARSE(app, argc, argv);

  set_num_threads(threads);
  const DeviceChoice choice = choose_device(device_name);
  kernels::manual_seed(1);
  LeNet5 model;
  model.to(choice.device);
  Adam optimizer(model.parameters());

  Tensor images = Tensor::empty(Shape{batch_size, 1, 32, 32});
  kernels::fill_uniform(images, -1, 1, kernels::weight_generator().next_call());
  images = images.to(choice.device);
  std::vector<std::int64_t> classes(static_cast<std::size_t>(batch_size));
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<std::int64_t>(i * 7 % 10);
  const Tensor labels = Tensor::from_values(classes, Shape{batch_size}, choice.device);
  Tensor metrics = Tensor::zeros(Shape{3}, DType::F64, choice.device);

  const auto step = [&](const std::vector<Tensor>& batch) {
    const Tensor logits = model(batch[0]);
    const Tensor loss = functional::cross_entropy(logits, batch[1]);
    loss.backward();
    optimizer.step();
    kernels::classification_metrics(logits, batch[1], loss, metrics);
    return std::vector{loss};
  };
  CapturedStep captured(choice.device, step);
  const std::vector<Tensor> batch{images, labels};
  const auto run = [&](bool as_it_is, int count) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) as_it_is ? step(batch) : captured(batch);
    current_stream(choice.device).synchronize();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return count * batch_size / seconds;
  };
  std::vector<double> per_second, eager_per_second;
  for (const bool as_it_is : {true, false}) run(as_it_is, std::max(steps / 2, 10));
  for (int round = 0; round < rounds; ++round) {
    eager_per_second.push_back(run(true, steps));
    per_second.push_back(run(false, steps));
  }
  std::sort(per_second.begin(), per_second.end());
  std::sort(eager_per_second.begin(), eager_per_second.end());
  const double median = per_second[per_second.size() / 2];
  const double eager_median = eager_per_second[eager_per_second.size() / 2];
  const nlohmann::json result{{"benchmark", "train_lenet5"},
                              {"device", choice.description},
                              {"threads", threads},
                              {"batch_size", batch_size},
                              {"images_per_second", median},
                              {"slowest", per_second.front()},
                              {"fastest", per_second.back()},
                              {"launches", captured.launches()},
                              {"fallback", captured.fallback_reason()},
                              {"eager_images_per_second", eager_median},
                              {"captured_to_eager", median / eager_median}};
  std::printf("%s\n", result.dump().c_str());
}
