// What a training run tells those who watch it: the console, the JSON lines, the run folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/train/options.h"

namespace dlcuda DLCUDA_API {

/// Mean loss and score over some images. The score is a fraction, larger is better: accuracy for classifiers.
struct Figures {
  double loss = 0;
  double score = 0;
  std::int64_t count = 0;  ///< images
};

struct LayerSummary {
  std::string name;    ///< "conv1"
  std::string layer;   ///< "Conv2d(1, 6, kernel 5x5)"
  std::string output;  ///< "[1, 6, 28, 28]"
  std::int64_t parameters = 0;
  std::int64_t multiply_adds = 0;    ///< of its convolutions and matrix products
  std::size_t activation_bytes = 0;  ///< of its output
};

struct StartReport {
  std::string model;
  std::string version;
  std::string dataset;
  std::string dataset_detail;  ///< what its splits are made of
  std::string device;          ///< "cpu", "cuda:0"
  std::string device_reason;   ///< "no CUDA driver found", "NVIDIA H200 (...)"
  std::string score_name;      ///< "accuracy"
  std::string run_folder;
  std::string schedule;  ///< "cosine"
  std::string memory_format;
  TrainOptions options;  ///< threads as used
  std::int64_t parameters = 0;
  std::int64_t train_count = 0;
  std::int64_t validation_count = 0;
  bool validation_is_test = false;  ///< the test images are watched; the best epoch chooses nothing then
  std::int64_t test_count = 0;
  std::vector<LayerSummary> layers;
};

/// Somewhere within an epoch.
struct ProgressReport {
  std::int64_t epoch = 0, epochs = 0;  ///< from 1
  std::int64_t step = 0, steps = 0;    ///< of this epoch
  double images_per_second = 0;
  double seconds_left = 0;  ///< of the whole training
  double loss = 0;          ///< mean since the epoch began
};

struct EpochReport {
  std::int64_t epoch = 0, epochs = 0;  ///< from 1
  Figures train = {};                  ///< while the weights were changing
  Figures validation = {};             ///< after the epoch
  bool best = false;                   ///< the lowest validation loss so far
  double lr = 0;                       ///< of the last step
  double images_per_second = 0;        ///< training alone
  double seconds = 0;                  ///< training alone
};

struct FinalReport {
  Figures test;
  std::string weights;  ///< the file that was tested
  std::int64_t weights_epoch = 0;
  double seconds = 0;            ///< training of all epochs
  double images_per_second = 0;  ///< over all epochs
};

/// Called by the trainer, in its thread.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  virtual void on_start(const StartReport&) {}
  /// Not after every step: as often as TrainerConfig::progress_interval says.
  virtual void on_progress(const ProgressReport&) {}
  virtual void on_epoch(const EpochReport&) {}
  virtual void on_final(const FinalReport&) {}
  /// Something that the user should know and need not act on, in a line of text.
  virtual void on_note(const std::string&) {}
};

}  // namespace dlcuda
