// dlcuda predict: what a model sees in pictures.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <system_error>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/device.h"
#include "dlcuda/data/draw.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/kernels/precision.h"
#include "dlcuda/kernels/softmax.h"
#include "dlcuda/models/yolov2/detection.h"
#include "dlcuda/models/yolov2/yolov2.h"
#include "dlcuda/tools/command.h"
#include "dlcuda/tools/loaded_model.h"
#include "dlcuda/tools/picture.h"
#include "dlcuda/train/command_line.h"
#include "dlcuda/train/options.h"

namespace dlcuda::tool {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct Flags {
  std::string model, weights, labels, device = "auto", precision = "fp32", top = "5", score = "0.25";
  std::string overlap = "0.45", out;
  std::vector<std::string> pictures;
  bool partial = false, json = false;
};

struct Ranked {
  std::int64_t index = 0;
  float probability = 0;
};

std::vector<Ranked> rank(const Tensor& logits, std::int64_t most) {
  const std::vector<float> probabilities = kernels::softmax_forward(logits).values<float>();
  std::vector<Ranked> ranked(probabilities.size());
  for (std::size_t i = 0; i < ranked.size(); ++i) ranked[i] = {std::int64_t(i), probabilities[i]};
  const std::size_t kept = std::min(std::size_t(most), ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + std::ptrdiff_t(kept), ranked.end(),
                    [](const Ranked& a, const Ranked& b) {
                      return a.probability != b.probability ? a.probability > b.probability
                                                            : a.index < b.index;
                    });
  ranked.resize(kept);
  return ranked;
}

/// A file for what was drawn on a picture: in --out, or beside the picture.
fs::path drawn_file(const Flags& flags, const fs::path& picture) {
  const std::string name = picture.stem().string() + ".predicted.png";
  return flags.out.empty() ? picture.parent_path() / name : fs::path(flags.out) / name;
}

/// What every line of JSON begins with.
ordered_json line_for(const std::string& picture) {
  ordered_json line;
  line["image"] = picture;
  return line;
}

void put(const ordered_json& line) {
  // A path need not be UTF-8.
  fmt::print("{}\n", line.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

/// A share, as a flag has it.
double parse_share(const char* flag, const std::string& text) {
  const auto share = command_line::parse_number<double>(flag, text, "a number from 0 to 1");
  DLCUDA_CHECK(share >= 0 && share <= 1, ArgumentError, "{}: expected a number from 0 to 1, got '{}'", flag,
               text);
  return share;
}

/// In RGB, to draw on.
Image read_canvas(const std::string& picture) { return read_image(picture, {.apply_orientation = true}); }

void report_classes(const Flags& flags, const LoadedModel& model, const std::string& picture,
                    const Tensor& logits, std::int64_t most) {
  const std::vector<Ranked> ranked = rank(logits, most);
  if (!flags.json) {
    fmt::print("{}\n", picture);
    for (const Ranked& one : ranked) {
      fmt::print("  {:6.2f}%  {}\n", one.probability * 100, model.class_name(one.index));
    }
    return;
  }
  ordered_json line = line_for(picture);
  line["top"] = ordered_json::array();
  for (const Ranked& one : ranked) {
    line["top"].push_back({{"class", one.index}, {"probability", one.probability}});
    if (!model.class_names.empty()) line["top"].back()["name"] = model.class_name(one.index);
  }
  put(line);
}

/// The picture with its mask, and each class's share of it.
void report_pixels(const Flags& flags, const LoadedModel& model, const std::string& path,
                   const Tensor& logits) {
  Image picture = read_canvas(path);
  const std::vector<std::int64_t> classes = pixel_classes(logits, picture.shape, model);
  overlay_classes(picture, classes);
  const fs::path file = drawn_file(flags, path);
  write_png(file, picture);

  std::vector<std::size_t> pixels(std::size_t(std::max<std::int64_t>(2, model.classes)));
  for (const std::int64_t index : classes) ++pixels[std::size_t(index)];
  const auto share = [&](std::size_t index) { return double(pixels[index]) / double(classes.size()); };
  if (!flags.json) {
    fmt::print("{} -> {}\n", path, file.string());
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      if (pixels[i] > 0) fmt::print("  {:6.2f}%  {}\n", share(i) * 100, model.class_name(std::int64_t(i)));
    }
    return;
  }
  ordered_json line = line_for(path);
  line["mask"] = file.string();
  line["classes"] = ordered_json::array();
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    if (pixels[i] > 0) line["classes"].push_back({{"class", i}, {"share", share(i)}});
  }
  put(line);
}

/// The picture with a box around each object that was found.
void report_boxes(const Flags& flags, const LoadedModel& model, const std::string& path,
                  const std::vector<Detection>& found) {
  Image picture = read_canvas(path);
  const auto width = double(picture.shape.width), height = double(picture.shape.height);
  const auto in_pixels = [&](const LabelledBox& box) {
    return std::array{box.x1 * width, box.y1 * height, box.x2 * width, box.y2 * height};
  };
  // The best one is drawn last, over the others.
  for (auto one = found.rbegin(); one != found.rend(); ++one) {
    const auto [left, top, right, bottom] = in_pixels(one->box);
    draw_labelled_box(picture, {std::lround(left), std::lround(top), std::lround(right), std::lround(bottom)},
                      fmt::format("{} {:.0f}%", model.class_name(one->box.label), one->score * 100),
                      one->box.label);
  }
  const fs::path file = drawn_file(flags, path);
  write_png(file, picture);

  if (!flags.json) {
    fmt::print("{} -> {}\n", path, file.string());
    for (const Detection& one : found) {
      const auto [left, top, right, bottom] = in_pixels(one.box);
      fmt::print("  {:6.2f}%  {}  ({:.1f}, {:.1f}) to ({:.1f}, {:.1f})\n", one.score * 100,
                 model.class_name(one.box.label), left, top, right, bottom);
    }
    return;
  }
  ordered_json line = line_for(path);
  line["drawn"] = file.string();
  line["boxes"] = ordered_json::array();
  for (const Detection& one : found) {
    line["boxes"].push_back({{"class", one.box.label},
                             {"name", model.class_name(one.box.label)},
                             {"score", one.score},
                             {"box", in_pixels(one.box)}});
  }
  put(line);
}

/// What the model's output says of one picture.
void report(const Flags& flags, const LoadedModel& model, const std::string& path, const Tensor& output,
            std::int64_t most, const DetectionParams& detection) {
  if (model.zoo.prediction == Prediction::Boxes) {
    const auto& detector = dynamic_cast<const YoloDetector&>(*model.module);
    const DetectionTensors found = detect(output, detector.anchors(), detector.classes(), detection);
    report_boxes(flags, model, path, read_detections(found).front());
    return;
  }
  const Tensor logits = kernels::cast(output.to(Device::cpu()), DType::F32);
  if (model.zoo.prediction == Prediction::Classes) {
    report_classes(flags, model, path, logits, most);
  } else {
    report_pixels(flags, model, path, logits);
  }
}

void run(const Flags& flags) {
  const ZooModel& zoo_model = find_model(flags.model);
  const std::int64_t most = command_line::parse_count("--top", flags.top, 1, 1'000'000);
  const DetectionParams detection{.score = parse_share("--score", flags.score),
                                  .overlap = parse_share("--overlap", flags.overlap)};
  const Precision precision = parse_precision(flags.precision);
  const Device device = choose_device(flags.device).device;
  if (device.is_cuda()) kernels::set_allow_tf32(precision == Precision::Tf32);
  LoadedModel model = load_model(zoo_model, flags.weights, {.partial = flags.partial});
  if (!model.report.complete()) fmt::print(stderr, "{}: {}\n", flags.weights, model.report.describe());
  if (!flags.labels.empty()) {
    model.class_names = read_labels(flags.labels);
    DLCUDA_CHECK(std::int64_t(model.class_names.size()) == model.classes, FormatError,
                 "{}: {} labels, and the weights have {} classes", flags.labels, model.class_names.size(),
                 model.classes);
  }
  const DType dtype = model_dtype(precision);
  model.module->to(dtype);
  model.module->to(device);
  if (!flags.out.empty()) {
    std::error_code error;
    fs::create_directories(flags.out, error);
    DLCUDA_CHECK(!error, IoError, "--out: cannot make folder '{}': {}", flags.out, error.message());
  }

  const autograd::NoGrad no_grad;
  for (const std::string& path : flags.pictures) {
    const Tensor x = to_tensor(fit(read_picture(path, model), model), model);
    report(flags, model, path, (*model.module)(kernels::cast(x, dtype).to(device)), most, detection);
  }
}

}  // namespace

Command add_predict(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("predict", "what a model sees in pictures");
  const auto flags = std::make_shared<Flags>();
  app->add_option("MODEL", flags->model, "a model's name; `dlcuda info` lists them")
      ->type_name("")
      ->required();
  app->add_option("IMAGE", flags->pictures, "JPEG or PNG files")->type_name("")->required();
  app->add_option("--weights", flags->weights, "safetensors file with the names of PyTorch's state_dict")
      ->type_name("FILE")
      ->required();
  app->add_option("--labels", flags->labels, "names of the classes, one a line (default: the weights' own)")
      ->type_name("FILE");
  app->add_option("--top", flags->top, "how many classes are listed (default: 5)")->type_name("N");
  app->add_option("--score", flags->score, "how sure of a box the model must be (default: 0.25)")
      ->type_name("SHARE");
  app->add_option("--overlap", flags->overlap,
                  "of two boxes of a class with a larger IoU, the better one stays (default: 0.45)")
      ->type_name("IOU");
  app->add_option("--out", flags->out,
                  "folder for what is drawn: boxes, masks (default: beside the pictures)")
      ->type_name("DIR");
  app->add_option("--device", flags->device, "auto, cpu, cuda or cuda:<index> (default: auto)")
      ->type_name("NAME");
  app->add_option("--precision", flags->precision, "fp32, tf32, bf16 or fp16 (default: fp32)")
      ->type_name("NAME");
  app->add_flag("--partial", flags->partial, "load the weights that fit, and say which do not");
  app->add_flag("--json", flags->json, "a line of JSON for each picture");
  return {app, [flags] { run(*flags); }};
}

}  // namespace dlcuda::tool
