// convert darknet: weights into Darknet's files and back.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "dlcuda/core/safetensors.h"
#include "dlcuda/kernels/arithmetic.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/layers/weights.h"
#include "dlcuda/models/yolov2/darknet_weights.h"
#include "dlcuda/models/yolov2/yolov2.h"
#include "dlcuda/tests/tools/tool.h"

namespace dlcuda::testing {
namespace {

using ::testing::HasSubstr;

class ToolDarknet : public ::testing::Test {
 protected:
  ToolDarknet() : model_(find_model("yolov2_small").make(3, 3)) {
    for (auto [name, tensor] : model_->state_dict()) {
      // Norms that are told apart.
      if (name.ends_with("running_mean")) kernels::fill(tensor, 0.25);
    }
    save_darknet_weights(file("a.weights"), *model_, {.major = 0, .minor = 2, .revision = 5, .seen = kSeen});
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  std::vector<std::string> convert(const std::string& from, const std::string& to,
                                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"convert", "darknet", file(from), file(to), "--model", "yolov2_small"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static constexpr std::uint64_t kSeen = 5'000'000'000;
  TempFolder folder_;
  std::unique_ptr<Module> model_;
};

TEST_F(ToolDarknet, ThereAndBackAgain) {
  EXPECT_THAT(output_of(convert("a.weights", "a.safetensors", {"--classes", "3"})),
              HasSubstr("trained with 5,000,000,000 pictures; Darknet 0.2.5"));
  const SafetensorsFile converted(file("a.safetensors"));
  const NamedTensors expected = model_->state_dict();
  for (const auto& [name, tensor] : expected) {
    // Darknet counts no batches.
    if (name.ends_with("num_batches_tracked")) continue;
    EXPECT_EQ(converted.tensor(name).values<float>(), tensor.values<float>()) << name;
  }
  EXPECT_EQ(converted.metadata().at("input"), "3x64x64");

  const std::string text = output_of(convert("a.safetensors", "b.weights"));
  EXPECT_THAT(text, HasSubstr("classes=3\nnum=3\nanchors=1.776,1.776,2.328,"));
  const auto other = find_model("yolov2_small").make(3, 3);
  EXPECT_EQ(load_darknet_weights(file("b.weights"), *other), (DarknetHeader{0, 2, 0, kSeen}));
  const std::string before = read_text(file("a.weights")), after = read_text(file("b.weights"));
  EXPECT_EQ(after.substr(20), before.substr(20)) << "all but the revision in the header";
}

TEST_F(ToolDarknet, RefusesWhatDoesNotFit) {
  expect_refusal(2, convert("a.weights", "b.weights"), {"ends in .weights", "a.weights", "b.weights"});
  expect_refusal(2, convert("a.safetensors", "b.safetensors"), {"ends in .weights"});
  expect_refusal(2, {"convert", "darknet", file("a.weights"), file("b")}, {"--model"});
  expect_refusal(2, {"convert", "darknet", file("a.weights"), file("b"), "--model", "resnet18"},
                 {"'resnet18'", "darknet19", "yolov2"});
  // The published head has other classes.
  expect_refusal(3, convert("a.weights", "b"), {"a.weights", "bytes"});
  expect_refusal(3, convert("no.weights", "b"), {"no.weights"});

  save_weights(*model_, file("a.safetensors"), {{"darknet_seen", "many"}});
  expect_refusal(3, convert("a.safetensors", "b.weights"), {"darknet_seen", "'many'"});
  expect_refusal(2, convert("a.safetensors", "b.weights", {"--classes", "3"}), {"--classes"});
  fold_batch_norm(*model_);
  save_weights(*model_, file("folded.safetensors"));
  expect_refusal(3, convert("folded.safetensors", "b.weights"), {"folded"});
  EXPECT_FALSE(std::filesystem::exists(file("b.weights")));
}

}  // namespace
}  // namespace dlcuda::testing
