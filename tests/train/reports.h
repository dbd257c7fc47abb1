// Reports as a run would make them.
#pragma once

#include "dlcuda/train/report.h"

namespace dlcuda {

inline StartReport sample_start() {
  StartReport report;
  report.model = "lenet5";
  report.version = "1.2.3";
  report.dataset = "digits";
  report.dataset_detail = "20 digits";
  report.device = "cpu";
  report.device_reason = "no CUDA driver found";
  report.score_name = "accuracy";
  report.run_folder = "runs/lenet5";
  report.schedule = "cosine";
  report.memory_format = "channels-last";
  report.options.threads = 2;
  report.options.seed = 5;
  report.parameters = 61706;
  report.train_count = 20;
  report.validation_count = 4;
  report.test_count = 8;
  report.layers = {{"conv1", "Conv2d(1, 6, kernel 5x5)", "[1, 6, 28, 28]", 156},
                   {"fc3", "Linear(84, 10)", "[1, 10]", 850}};
  return report;
}

inline EpochReport sample_epoch(std::int64_t epoch) {
  return {.epoch = epoch,
          .epochs = 12,
          .train = {.loss = 0.5 / double(epoch), .score = 0.9, .count = 20},
          .validation = {.loss = 0.25, .score = 0.9625, .count = 4},
          .best = epoch == 1,
          .lr = 0.001,
          .images_per_second = 12345.6,
          .seconds = 1.5};
}

inline FinalReport sample_final() {
  return {.test = {.loss = 0.125, .score = 0.98765, .count = 8},
          .weights = "runs/lenet5/weights/best.safetensors",
          .weights_epoch = 1,
          .seconds = 3.5,
          .images_per_second = 11000};
}

}  // namespace dlcuda
