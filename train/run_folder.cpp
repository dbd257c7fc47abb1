#include "dlcuda/train/run_folder.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "dlcuda/core/check.h"
#include "dlcuda/layers/weights.h"
#include "dlcuda/train/curves.h"

namespace dlcuda {
namespace {

namespace fs = std::filesystem;

// A basic string of TOML.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

// A float of TOML needs a point or an exponent.
std::string toml_float(double value) {
  const std::string text = fmt::to_string(value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

fs::path create_given(const std::string& out) {
  const fs::path path = out;
  std::error_code error;
  if (fs::exists(path, error)) {
    DLCUDA_CHECK(fs::is_directory(path, error), ArgumentError, "--out: '{}' is there and is not a folder",
                 out);
    const bool empty = fs::is_empty(path, error);
    DLCUDA_CHECK(!error, Error, "--out: cannot read folder '{}': {}", out, error.message());
    DLCUDA_CHECK(empty, ArgumentError,
                 "--out: folder '{}' is not empty, and a run never overwrites another: name a new one", out);
    return path;
  }
  fs::create_directories(path, error);
  DLCUDA_CHECK(!error, Error, "--out: cannot make folder '{}': {}", out, error.message());
  return path;
}

fs::path create_next(std::string_view model) {
  const fs::path parent = "runs";
  std::error_code error;
  fs::create_directories(parent, error);
  DLCUDA_CHECK(!error, Error, "cannot make folder '{}' in {}: {}; choose a place with --out", parent.string(),
               fs::current_path().string(), error.message());
  for (int number = 1;; ++number) {
    const fs::path path = parent / (number == 1 ? std::string(model) : fmt::format("{}-{}", model, number));
    if (fs::create_directory(path, error)) return path;
    DLCUDA_CHECK(!error || error == std::errc::file_exists, Error,
                 "cannot make folder '{}': {}; choose a place with --out", path.string(), error.message());
  }
}

Curve curve(const char* name, const std::vector<EpochReport>& epochs, Figures EpochReport::*figures,
            double Figures::*value) {
  Curve curve{name, {}};
  for (const EpochReport& epoch : epochs) {
    curve.values.push_back(epoch.*figures.*value);
  }
  return curve;
}

}  // namespace

fs::path RunFolder::create(std::string_view model, const std::string& out) {
  return out.empty() ? create_next(model) : create_given(out);
}

RunFolder::RunFolder(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(path_ / "weights", error);
  DLCUDA_CHECK(!error, Error, "cannot make folder '{}': {}", (path_ / "weights").string(), error.message());
}

void RunFolder::write(const char* name, const std::string& text, std::ios::openmode mode) const {
  const fs::path file = path_ / name;
  errno = 0;
  std::ofstream stream(file, std::ios::binary | mode);
  stream << text << std::flush;
  DLCUDA_CHECK(stream.good(), Error, "cannot write '{}': {}", file.string(), std::strerror(errno));
}

void RunFolder::save_weights(const fs::path& file, const Module& model) const {
  try {
    dlcuda::save_weights(model, file, metadata_);
  } catch (const IoError& error) {
    throw Error(error.what());  // not "bad data": nothing that the user gave is at fault
  }
}

void RunFolder::write_options(const std::string& model, const TrainOptions& options) const {
  write("args.toml", to_toml(model, options));
}

void RunFolder::on_start(const StartReport& report) {
  title_ = fmt::format("{} on {}", report.model, report.dataset);
  score_name_ = report.score_name;
  write(
      "results.csv",
      fmt::format("epoch,train_loss,train_{0},val_loss,val_{0},lr,images_per_second,seconds\n", score_name_));
}

void RunFolder::on_epoch(const EpochReport& report) {
  epochs_.push_back(report);
  write("results.csv",
        fmt::format("{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.1f},{:.3f}\n", report.epoch, report.train.loss,
                    report.train.score, report.validation.loss, report.validation.score, report.lr,
                    report.images_per_second, report.seconds),
        std::ios::app);

  std::size_t best = 0;
  for (std::size_t i = 0; i < epochs_.size(); ++i) {
    if (epochs_[i].best) best = i + 1;
  }
  write("results.svg",
        draw_curves(title_,
                    {{"loss",
                      false,
                      {curve("train", epochs_, &EpochReport::train, &Figures::loss),
                       curve("validation", epochs_, &EpochReport::validation, &Figures::loss)}},
                     {score_name_,
                      true,
                      {curve("train", epochs_, &EpochReport::train, &Figures::score),
                       curve("validation", epochs_, &EpochReport::validation, &Figures::score)}}},
                    best));
}

void RunFolder::on_final(const FinalReport& report) {
  nlohmann::ordered_json summary;
  summary["test_images"] = report.test.count;
  summary["test_loss"] = report.test.loss;
  summary["test_" + score_name_] = report.test.score;
  summary["weights"] = fs::path(report.weights).lexically_relative(path_).string();
  summary["weights_epoch"] = report.weights_epoch;
  summary["epochs"] = epochs_.size();
  summary["seconds"] = report.seconds;
  summary["images_per_second"] = report.images_per_second;
  write("summary.json", summary.dump(2) + "\n");
}

std::string to_toml(const std::string& model, const TrainOptions& options) {
  std::string text;
  const auto put = [&](const char* key, const std::string& value) {
    text += fmt::format("{} = {}\n", key, value);
  };
  put("model", quoted(model));
  put("data", quoted(options.data));
  put("data-dir", quoted(options.data_dir));
  put("epochs", fmt::to_string(options.epochs));
  put("batch-size", fmt::to_string(options.batch_size));
  put("lr", toml_float(options.lr));
  put("optimizer", quoted(options.optimizer));
  put("device", quoted(options.device));
  put("require-gpu", options.require_gpu ? "true" : "false");
  put("precision", quoted(to_string(options.precision)));
  put("seed", options.seed > std::uint64_t(std::numeric_limits<std::int64_t>::max())
                  ? quoted(fmt::to_string(options.seed))  // TOML's integers end at 2^63 - 1
                  : fmt::to_string(options.seed));
  put("threads", fmt::to_string(options.threads));
  put("workers", fmt::to_string(options.workers));
  put("limit", fmt::to_string(options.limit));
  put("out", quoted(options.out));
  put("eager", options.eager ? "true" : "false");
  put("steps-per-launch", fmt::to_string(options.steps_per_launch));
  put("auto-batch", options.auto_batch ? "true" : "false");
  put("json", options.json ? "true" : "false");
  return text;
}

}  // namespace dlcuda
