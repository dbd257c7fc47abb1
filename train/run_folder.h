// The folder of one run: never overwritten, complete enough to repeat the run and to judge it.
//
//   runs/lenet5/                 then runs/lenet5-2, runs/lenet5-3, ...
//     args.toml                  every option as it was used
//     results.csv                one line an epoch, written as the epoch ends
//     results.svg                curves of loss and score
//     summary.json               the final test
//     predictions.png            of some test images, where the model has a way to draw them
//     weights/last.safetensors   after the last finished epoch, or where the run was interrupted
//     weights/best.safetensors   of the epoch with the lowest validation loss
#pragma once

#include <filesystem>
#include <ios>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/module.h"
#include "dlcuda/train/options.h"
#include "dlcuda/train/report.h"

namespace dlcuda DLCUDA_API {

/// Writes the files of a run, beginning with those that are known when it starts.
class RunFolder : public TrainObserver {
 public:
  /// Makes the folder `out`, which must be new or empty, or without it the first free of runs/<model>,
  /// runs/<model>-2, ... below the current directory. Making a folder is atomic: two runs that start at once
  /// get two folders. Throws ArgumentError for an `out` that holds something, Error where nothing can be
  /// made.
  static std::filesystem::path create(std::string_view model, const std::string& out);

  explicit RunFolder(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path last_weights() const { return path_ / "weights" / "last.safetensors"; }
  std::filesystem::path best_weights() const { return path_ / "weights" / "best.safetensors"; }

  /// What the weights' files say of themselves from now on (train/weight_metadata.h).
  void set_metadata(std::map<std::string, std::string> metadata) { metadata_ = std::move(metadata); }
  /// Replaces the file only when the new one is complete.
  void save_weights(const std::filesystem::path& file, const Module& model) const;
  void write_options(const std::string& model, const TrainOptions& options) const;

  void on_start(const StartReport& report) override;
  void on_epoch(const EpochReport& report) override;
  void on_final(const FinalReport& report) override;

 private:
  void write(const char* name, const std::string& text, std::ios::openmode mode = std::ios::trunc) const;

  std::filesystem::path path_;
  std::map<std::string, std::string> metadata_;
  std::string title_;
  std::string score_name_;
  std::vector<EpochReport> epochs_;
};

/// args.toml: valid TOML, one key for each flag, in the order of --help.
std::string to_toml(const std::string& model, const TrainOptions& options);

}  // namespace dlcuda
