// Weights and pictures from files: predict and convert.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/data/image_file.h"
#include "dlcuda/data/resize.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/kernels/softmax.h"
#include "dlcuda/layers/weights.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/models/zoo.h"
#include "dlcuda/tests/tools/pictures.h"
#include "dlcuda/tests/tools/tool.h"
#include "dlcuda/train/weight_metadata.h"

namespace dlcuda::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// A LeNet-5 for 3 channels and 7 classes in a file, and pictures.
class ToolWeights : public ::testing::Test {
 protected:
  ToolWeights() : model_({.in_channels = 3, .classes = 7}) {
    save_safetensors(weights(), model_.state_dict());
    write_png(picture(), noise(3, 32, 32, 1));
    write_png(folder_ / "large.png", noise(3, 90, 70, 2));
  }
  std::string weights() const { return file("lenet5.safetensors"); }
  std::string picture() const { return file("it's a picture.png"); }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }

  /// What the tool should find in a picture of 32 x 32 pixels.
  std::vector<float> probabilities(const Image& picture, float mean, float std) {
    std::vector<float> x;
    for (const std::uint8_t pixel : picture.pixels) x.push_back((float(pixel) / 255.0f - mean) / std);
    model_.eval();
    const autograd::NoGrad no_grad;
    return kernels::softmax_forward(model_(Tensor::from_values(x, {1, 3, 32, 32}))).values<float>();
  }
  void expect_top(const json& line, const std::vector<float>& expected, std::size_t count = 5) const {
    ASSERT_EQ(line["top"].size(), count);
    float last = 1;
    for (const json& one : line["top"]) {
      const float probability = one["probability"];
      EXPECT_NEAR(probability, expected.at(one["class"]), 1e-5);
      EXPECT_LE(probability, last);
      last = probability;
    }
    EXPECT_NEAR(line["top"][0]["probability"].get<float>(),
                *std::max_element(expected.begin(), expected.end()), 1e-5);
  }

  TempFolder folder_;
  LeNet5 model_;
};

TEST_F(ToolWeights, PredictsClassesOfPicturesOfTheModelsSize) {
  const json line =
      json::parse(output_of({"predict", "lenet5", "--json", "--weights", weights(), picture()}));
  EXPECT_EQ(line["image"], picture());
  // MNIST's mean and deviation, of which there is one, serve all channels.
  expect_top(line, probabilities(read_image(picture()), 0.1307f, 0.3081f));
}

TEST_F(ToolWeights, LargerPicturesAreScaledAndCut) {
  std::istringstream lines(output_of(
      {"predict", "lenet5", "--json", "--top", "2", "--weights", weights(), file("large.png"), picture()}));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  const Image fitted = center_crop(resize_shorter_side(noise(3, 90, 70, 2), 32), 32, 32);
  expect_top(json::parse(first), probabilities(fitted, 0.1307f, 0.3081f), 2);
  EXPECT_EQ(json::parse(second)["image"], picture());
}

TEST_F(ToolWeights, TheWeightsOwnMetadataComeFirst) {
  const WeightMetadata metadata{.classes = {"a", "b", "c", "d", "e", "f", "g"},
                                .normalization = Normalization{{0.5f}, {0.25f}}};
  save_safetensors(weights(), model_.state_dict(), to_metadata(metadata));
  const std::vector<float> expected = probabilities(read_image(picture()), 0.5f, 0.25f);
  const json line =
      json::parse(output_of({"predict", "lenet5", "--json", "--weights", weights(), picture()}));
  expect_top(line, expected);
  const std::size_t best = line["top"][0]["class"];
  EXPECT_EQ(line["top"][0]["name"], metadata.classes[best]);
  EXPECT_THAT(output_of({"predict", "lenet5", "--weights", weights(), picture()}),
              HasSubstr("%  " + metadata.classes[best]));

  write_text(file("labels"), "zero\none\r\ntwo\nthree\nfour\nfive\nsix");
  const std::vector<std::string> labels{"zero", "one", "two", "three", "four", "five", "six"};
  const json labelled = json::parse(output_of(
      {"predict", "lenet5", "--json", "--weights", weights(), "--labels", file("labels"), picture()}));
  EXPECT_EQ(labelled["top"][0]["name"], labels[best]);
}

TEST_F(ToolWeights, PredictRefusesBadFiles) {
  const auto refuse = [&](int code, const std::vector<std::string>& arguments,
                          const std::vector<std::string>& words) {
    std::vector<std::string> all{"predict"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    expect_refusal(code, all, words);
  };
  refuse(2, {"lenet5", picture()}, {"--weights"});
  refuse(2, {"lenet5", "--weights", weights()}, {"IMAGE"});
  refuse(2, {"lenet6", "--weights", weights(), picture()}, {"did you mean 'lenet5'"});
  refuse(2, {"lenet5", "--weights", weights(), "--top", "none", picture()}, {"--top"});
  refuse(3, {"lenet5", "--weights", file("no.safetensors"), picture()}, {"no.safetensors"});
  refuse(3, {"lenet5", "--weights", picture(), picture()}, {"it's a picture.png"});
  refuse(3, {"lenet5", "--weights", weights(), file("no.png")}, {"no.png"});
  refuse(3, {"lenet5", "--weights", weights(), weights()}, {"neither a JPEG nor a PNG"});
  write_text(file("labels"), "one\ntwo\n");
  refuse(3, {"lenet5", "--weights", weights(), "--labels", file("labels"), picture()},
         {"2 labels", "7 classes"});

  NamedTensors wrong = model_.state_dict();
  wrong[2].first = "conv2.wieght";
  save_safetensors(file("wrong.safetensors"), wrong);
  refuse(3, {"lenet5", "--weights", file("wrong.safetensors"), picture()},
         {"wrong.safetensors", "conv2.wieght", "conv2.weight"});
  for (const auto& [key, value] : {std::pair{"classes", "[1]"},
                                   {"normalization", R"({"mean":[0],"std":[0]})"},
                                   {"input", "3x0x3"},
                                   {"input", "3x32"}}) {
    save_safetensors(file("wrong.safetensors"), model_.state_dict(), {{key, value}});
    refuse(3, {"lenet5", "--weights", file("wrong.safetensors"), picture()}, {"metadata", key});
  }
}

TEST_F(ToolWeights, ListsWhatIsInAFile) {
  save_safetensors(weights(), model_.state_dict(), {{"about", "a test"}});
  const std::string text = output_of({"convert", "list", weights()});
  EXPECT_THAT(text, HasSubstr("conv1.weight  f32  [6, 3, 5, 5]"));
  EXPECT_THAT(text, HasSubstr("about: a test"));
  EXPECT_THAT(text, HasSubstr("10 tensors, 61,751 elements"));
  const json list = json::parse(output_of({"convert", "list", "--json", weights()}));
  EXPECT_EQ(list["metadata"]["about"], "a test");
  ASSERT_EQ(list["tensors"].size(), 10u);
  EXPECT_EQ(list["tensors"][0]["shape"], (std::vector<int>{6, 3, 5, 5}));
  expect_refusal(3, {"convert", "list", picture()}, {"it's a picture.png"});
}

TEST_F(ToolWeights, CastKeepsWhatIsNoFloatAndPredictsAlike) {
  NamedTensors state = model_.state_dict();
  save_safetensors(weights(), state, {{"about", "a test"}});
  const json before = json::parse(
      output_of({"predict", "lenet5", "--json", "--top", "7", "--weights", weights(), picture()}));
  for (const std::string to : {"bf16", "f16", "f32"}) {
    SCOPED_TRACE(to);
    const std::string out = file(to + ".safetensors");
    EXPECT_THAT(output_of({"convert", "cast", weights(), out, "--to", to}), HasSubstr("10 tensors"));
    const SafetensorsFile cast(out);
    EXPECT_EQ(cast.dtype("conv1.weight"), parse_dtype(to));
    EXPECT_EQ(cast.metadata().at("about"), "a test");
    const json after =
        json::parse(output_of({"predict", "lenet5", "--json", "--top", "7", "--weights", out, picture()}));
    for (const json& one : after["top"]) {
      for (const json& other : before["top"]) {
        if (one["class"] != other["class"]) continue;
        EXPECT_NEAR(one["probability"].get<double>(), other["probability"].get<double>(),
                    to == "f32" ? 1e-9 : 5e-3);
      }
    }
  }
  save_safetensors(file("count.safetensors"), {{"steps", Tensor::scalar(std::int64_t(5))}});
  output_of({"convert", "cast", file("count.safetensors"), file("out.safetensors"), "--to", "bf16"});
  EXPECT_EQ(SafetensorsFile(file("out.safetensors")).tensor("steps").item<std::int64_t>(), 5);
  expect_refusal(2, {"convert", "cast", weights(), file("x"), "--to", "bf61"}, {"did you mean 'bf16'"});
  expect_refusal(3, {"convert", "cast", weights(), file("none/x"), "--to", "bf16"}, {"none/x"});
}

TEST_F(ToolWeights, BatchNormsAreFoldedAndPredictAlike) {
  const ZooModel& zoo_model = find_model("resnet18");
  const auto resnet = zoo_model.make(4, 3);
  for (auto [name, tensor] : resnet->state_dict()) {
    // Norms that do something.
    if (name.ends_with("running_mean")) kernels::fill(tensor, 0.1);
    if (name.ends_with("running_var")) kernels::fill(tensor, 2.0);
  }
  save_weights(*resnet, weights(), {{"input", "3x33x33"}, {"about", "a test"}});
  EXPECT_THAT(output_of({"convert", "fold", "resnet18", weights(), file("folded")}),
              HasSubstr("20 batch norms"));
  const SafetensorsFile folded(file("folded"));
  EXPECT_FALSE(folded.contains("bn1.weight"));
  EXPECT_TRUE(folded.contains("conv1.bias"));
  EXPECT_EQ(folded.metadata().at("about"), "a test");
  const auto predict = [&](const std::string& weights) {
    std::vector<double> probabilities(4);
    const json line =
        json::parse(output_of({"predict", "resnet18", "--json", "--weights", weights, picture()}));
    for (const json& one : line["top"]) probabilities.at(one["class"]) = one["probability"];
    return probabilities;
  };
  const std::vector<double> before = predict(weights()), after = predict(file("folded"));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(before[i], after[i], 1e-4);
  expect_refusal(3, {"convert", "fold", "resnet18", file("folded"), file("x")}, {"no batch norm"});
  expect_refusal(2, {"convert", "fold", "resnet19", weights(), file("x")}, {"did you mean 'resnet1"});
}

TEST_F(ToolWeights, PartialWeightsAreAskedFor) {
  NamedTensors state = model_.state_dict();
  state.pop_back();
  save_safetensors(weights(), state);
  expect_refusal(3, {"predict", "lenet5", "--weights", weights(), picture()}, {"fc3.bias"});
  const ToolRun run =
      run_tool({"predict", "lenet5", "--json", "--partial", "--weights", weights(), picture()});
  EXPECT_EQ(run.code, 0);
  EXPECT_THAT(run.err, HasSubstr("fc3.bias"));
  EXPECT_EQ(json::parse(run.out)["top"].size(), 5u);
}

TEST_F(ToolWeights, EveryDeviceSeesTheSame) {
  const std::vector<float> expected = probabilities(read_image(picture()), 0.1307f, 0.3081f);
  const json devices = json::parse(output_of({"info", "--json"}))["cuda"]["devices"];
  if (devices.empty()) GTEST_SKIP() << "no CUDA device";
  for (std::size_t i = 0; i < devices.size(); ++i) {
    expect_top(json::parse(output_of({"predict", "lenet5", "--json", "--device", fmt::format("cuda:{}", i),
                                      "--weights", weights(), picture()})),
               expected);
  }
}

TEST_F(ToolWeights, PredictsInLowPrecision) {
  const std::vector<float> expected = probabilities(read_image(picture()), 0.1307f, 0.3081f);
  for (const std::string precision : {"bf16", "fp16"}) {
    const json line = json::parse(output_of(
        {"predict", "lenet5", "--json", "--precision", precision, "--weights", weights(), picture()}));
    for (const json& one : line["top"])
      EXPECT_NEAR(one["probability"].get<float>(), expected.at(one["class"]), 0.01) << precision;
  }
}

}  // namespace
}  // namespace dlcuda::testing
