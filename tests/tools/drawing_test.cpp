// Boxes and masks that are predicted: what is said of them, and what is drawn on the pictures.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/data/resize.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/random.h"
#include "dlcuda/kernels/reduce.h"
#include "dlcuda/models/unet/unet.h"
#include "dlcuda/models/yolov2/detection.h"
#include "dlcuda/models/yolov2/yolov2.h"
#include "dlcuda/tests/tools/pictures.h"
#include "dlcuda/tests/tools/tool.h"
#include "dlcuda/train/weight_metadata.h"

namespace dlcuda::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const Normalization kUnit{{0.0f}, {1.0f}};  // pixels from 0 to 1
constexpr std::int64_t kHeight = 90, kWidth = 70;

class ToolDrawing : public ::testing::Test {
 protected:
  ToolDrawing() {
    kernels::manual_seed(11);
    write_png(picture(), noise(3, kHeight, kWidth, 3));
  }
  std::string picture() const { return (folder_ / "noise.png").string(); }
  std::string weights() const { return (folder_ / "weights.safetensors").string(); }

  /// The output of a model that expects pixels from 0 to 1, for the picture at 64 x 64 pixels.
  Tensor output_of_picture(Module& model) const {
    const Image small = resize_image(noise(3, kHeight, kWidth, 3), 64, 64);
    std::vector<float> x;
    for (const std::uint8_t pixel : small.pixels) x.push_back(float(pixel) / 255.0f);
    model.eval();
    const autograd::NoGrad no_grad;
    return model(Tensor::from_values(x, {1, 3, 64, 64}));
  }
  /// A picture of the same size, on which not everything is as it was.
  void expect_drawn(const std::string& file, std::size_t changed_at_least) const {
    const Image before = read_image(picture()), after = read_image(file);
    ASSERT_EQ(after.shape, before.shape);
    std::size_t changed = 0;
    for (std::size_t i = 0; i < before.pixels.size(); ++i) changed += before.pixels[i] != after.pixels[i];
    EXPECT_GE(changed, changed_at_least);
  }

  TempFolder folder_;
};

class ToolBoxes : public ToolDrawing {
 protected:
  ToolBoxes() {
    TinyYoloV2Config config = TinyYoloV2Config::small({3, 64, 64});
    config.classes = 2;
    model_ = std::make_unique<TinyYoloV2>(config);
    for (auto [name, tensor] : model_->parameters()) {
      // Fresh predictions are all alike.
      if (name == "prediction.weight") tensor.detach().copy_from(kernels::scale(tensor.detach(), 200));
    }
    save_safetensors(weights(), model_->state_dict(),
                     to_metadata({.classes = {"cat", "dog"}, .normalization = kUnit}));
  }
  std::vector<std::string> predict(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{"predict", "yolov2_small", "--weights", weights(), picture()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  std::unique_ptr<TinyYoloV2> model_;
};

TEST_F(ToolBoxes, AreInPixelsOfThePicture) {
  const DetectionParams params{.score = 0.4, .overlap = 0.3};
  const auto expected =
      read_detections(detect(output_of_picture(*model_), model_->anchors(), 2, params)).front();
  ASSERT_GT(expected.size(), 1u);
  const json line = json::parse(output_of(predict({"--json", "--score", "0.4", "--overlap", "0.3"})));
  EXPECT_EQ(line["image"], picture());
  ASSERT_EQ(line["boxes"].size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const json& one = line["boxes"][i];
    const LabelledBox& box = expected[i].box;
    EXPECT_EQ(one["class"], box.label);
    EXPECT_EQ(one["name"], box.label == 0 ? "cat" : "dog");
    EXPECT_NEAR(one["score"].get<double>(), expected[i].score, 1e-5);
    const float corners[] = {box.x1 * kWidth, box.y1 * kHeight, box.x2 * kWidth, box.y2 * kHeight};
    for (std::size_t c = 0; c < 4; ++c) EXPECT_NEAR(one["box"][c].get<float>(), corners[c], 0.01);
  }
  EXPECT_EQ(line["drawn"], (folder_ / "noise.predicted.png").string());
  expect_drawn(line["drawn"], 100);
}

TEST_F(ToolBoxes, AreListedForPeople) {
  const std::string out = (folder_ / "drawn").string();
  const std::string text = output_of(predict({"--score", "0.01", "--out", out}));
  EXPECT_THAT(text, HasSubstr("noise.png -> " + out));
  EXPECT_THAT(text, ::testing::ContainsRegex("%  (cat|dog)  \\([0-9.]+, [0-9.]+\\) to \\("));
  expect_drawn(out + "/noise.predicted.png", 100);
}

TEST_F(ToolBoxes, NoneIsAnAnswer) {
  const json line = json::parse(output_of(predict({"--json", "--score", "1"})));
  EXPECT_EQ(line["boxes"], json::array());
  EXPECT_EQ(read_image(line["drawn"].get<std::string>()).pixels, read_image(picture()).pixels);
}

TEST_F(ToolBoxes, RefusesSharesThatAreNone) {
  expect_refusal(2, predict({"--score", "1.5"}), {"--score", "0 to 1", "'1.5'"});
  expect_refusal(2, predict({"--overlap", "half"}), {"--overlap", "'half'"});
  expect_refusal(2, predict({"--score", "nan"}), {"--score"});
}

TEST_F(ToolDrawing, MaskOfASegmentation) {
  UNetConfig config = UNetConfig::small();
  config.in_channels = 3;
  config.classes = 4;
  UNet model(config);
  save_safetensors(weights(), model.state_dict(), to_metadata({.normalization = kUnit}));
  const auto classes = kernels::argmax(output_of_picture(model), 1).values<std::int64_t>();
  std::vector<double> expected(4);
  // Each pixel of the picture takes the class of the one that lies there at 64 x 64.
  for (std::int64_t y = 0; y < kHeight; ++y) {
    for (std::int64_t x = 0; x < kWidth; ++x) {
      const std::int64_t at = y * 64 / kHeight * 64 + x * 64 / kWidth;
      expected[std::size_t(classes[std::size_t(at)])] += 1.0 / double(kHeight * kWidth);
    }
  }

  const json line =
      json::parse(output_of({"predict", "unet_small", "--json", "--weights", weights(), picture()}));
  double sum = 0;
  for (const json& one : line["classes"]) {
    EXPECT_NEAR(one["share"].get<double>(), expected.at(one["class"]), 2e-3) << one;
    sum += one["share"].get<double>();
  }
  EXPECT_NEAR(sum, 1, 1e-9);
  EXPECT_LT(expected[0], 0.9) << "hardly anything would be drawn";
  expect_drawn(line["mask"], std::size_t((1 - expected[0]) * kHeight * kWidth));
}

}  // namespace
}  // namespace dlcuda::testing
