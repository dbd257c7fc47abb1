#include "dlcuda/models/yolov2/darknet_weights.h"

#include <gtest/gtest.h>

#include <limits>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/yolov2/yolov2.h"
#include "dlcuda/tests/support/darknet_formula.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/reference_json.h"
#include "dlcuda/tests/support/tensor_bytes.h"

namespace dlcuda {
namespace {

/// Convolutions of 2 x (3 x 1 x 1) weights with a norm, and of 1 x (2 x 1 x 1) with a bias: 6 + 4 * 2 + 3
/// floats.
struct SmallNet : Sequential {
  SmallNet() { add<ConvBnAct>(ConvBnActOptions{.conv = same_conv(3, 2, 1)}).add<Conv2d>(2, 1, 1); }
};
constexpr std::size_t kSmallFloats = 17;

std::string header(std::int32_t major, std::int32_t minor, std::size_t count_bytes) {
  const std::int32_t version[3] = {major, minor, 7};
  std::string text(reinterpret_cast<const char*>(version), sizeof version);
  return text + std::string("\x05") + std::string(count_bytes - 1, '\0');
}

std::string floats(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    const float value = float(i) + 0.5f;
    text.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return text;
}

TEST(DarknetWeights, NumbersLieInTheOrderOfTheFile) {
  const TempFolder folder;
  write_text(folder / "w", header(0, 2, 8) + floats(kSmallFloats));
  SmallNet net;
  EXPECT_EQ(load_darknet_weights(folder / "w", net),
            (DarknetHeader{.major = 0, .minor = 2, .revision = 7, .seen = 5}));
  const auto values = [&](const std::string& name) {
    for (const auto& [key, tensor] : net.state_dict()) {
      if (key == name) return tensor.values<float>();
    }
    return std::vector<float>();
  };
  EXPECT_EQ(values("0.1.bias"), (std::vector{0.5f, 1.5f}));
  EXPECT_EQ(values("0.1.weight"), (std::vector{2.5f, 3.5f}));
  EXPECT_EQ(values("0.1.running_mean"), (std::vector{4.5f, 5.5f}));
  EXPECT_EQ(values("0.1.running_var"), (std::vector{6.5f, 7.5f}));
  EXPECT_EQ(values("0.0.weight"), (std::vector{8.5f, 9.5f, 10.5f, 11.5f, 12.5f, 13.5f}));
  EXPECT_EQ(values("1.bias"), (std::vector{14.5f}));
  EXPECT_EQ(values("1.weight"), (std::vector{15.5f, 16.5f}));
}

TEST(DarknetWeights, BothHeadersGoThereAndBackBitForBit) {
  const TempFolder folder;
  for (const std::string& head : {header(0, 1, 4), header(0, 2, 8), header(1, 0, 8), header(999, 999, 8)}) {
    const std::string text = head + floats(kSmallFloats);
    write_text(folder / "in", text);
    SmallNet net;
    const DarknetHeader read = load_darknet_weights(folder / "in", net);
    EXPECT_EQ(read.bytes(), head.size());
    EXPECT_EQ(read.seen, 5u);
    save_darknet_weights(folder / "out", net, read);
    EXPECT_EQ(read_text(folder / "out"), text);
    EXPECT_EQ(darknet_weights_bytes(net, read), text.size());
  }
}

TEST(DarknetWeights, EveryBitPatternSurvives) {
  std::string text = header(0, 2, 8) + std::string(4 * kSmallFloats, '\0');
  for (std::size_t i = 20; i < text.size(); ++i) text[i] = char(i * 151);  // NaNs and denormals among them
  const TempFolder folder;
  write_text(folder / "in", text);
  SmallNet net;
  const DarknetHeader read = load_darknet_weights(folder / "in", net);
  save_darknet_weights(folder / "out", net, read);
  EXPECT_EQ(read_text(folder / "out"), text);
}

TEST(DarknetWeights, WrongSizesSayWhereAndChangeNothing) {
  const TempFolder folder;
  SmallNet net;
  const auto refuse = [&](const std::string& text, const auto&... words) {
    SCOPED_TRACE(text.size());
    std::vector<std::vector<std::byte>> before, after;
    for (const auto& [name, tensor] : net.state_dict()) before.push_back(bytes_of(tensor));
    write_text(folder / "w", text);
    expect_error<FormatError>([&] { load_darknet_weights(folder / "w", net); }, (folder / "w").string(),
                              words...);
    for (const auto& [name, tensor] : net.state_dict()) after.push_back(bytes_of(tensor));
    EXPECT_EQ(before, after);
  };
  refuse("", "offset 0: the file ends within the header", "expected 12 bytes");
  refuse(header(0, 2, 8).substr(0, 11), "offset 11: ");
  refuse(header(0, 1, 4).substr(0, 15), "offset 15: ", "expected 16 bytes");
  refuse(header(0, 2, 8).substr(0, 19), "offset 19: ", "expected 20 bytes");
  refuse(header(0, 2, 8), "expected 88 bytes", "(2 convolutions after a header of 20 bytes), got 20: ",
         "the first 0 of 2 convolutions, and 0 of the 56 bytes of 0.0 from offset 20 on");
  refuse(header(0, 2, 8) + floats(14),
         "got 76: it holds the first 1 of 2 convolutions, and 0 of the 12 bytes");
  refuse(header(0, 2, 8) + floats(16), "got 84: ", "8 of the 12 bytes of 1 from offset 76 on");
  refuse(header(0, 2, 8) + floats(18), "got 92: 4 bytes are left over from offset 88 on");
  refuse(header(0, 1, 4) + floats(18), "expected 84 bytes", "got 88");
  for (const auto& [major, minor] : {std::pair(-1, 0), {0, -1}, {1000, 0}, {0, 1000}, {0x7fffffff, 2}}) {
    refuse(header(major, minor, 8) + floats(kSmallFloats),
           "offset 0: expected the version of Darknet's weights");
  }
}

TEST(DarknetWeights, ABackboneHasFewerConvolutions) {
  const TempFolder folder;
  write_text(folder / "w", header(0, 2, 8) + floats(14));
  SmallNet net;
  const auto before = bytes_of(net.state_dict().back().second);
  load_darknet_weights(folder / "w", net, 1);
  EXPECT_EQ(net.state_dict()[0].second.values<float>()[0], 8.5f);
  EXPECT_EQ(bytes_of(net.state_dict().back().second), before);
  expect_error<ArgumentError>([&] { load_darknet_weights(folder / "w", net, 3); },
                              "has 2 convolutions, expected 3");
}

TEST(DarknetWeights, ModulesThatHaveNoSuchFile) {
  const TempFolder folder;
  Sequential linear, bare;
  linear.add<Linear>(2, 2);
  bare.add<ConvBnAct>(ConvBnActOptions{.conv = same_conv(3, 2, 1)}).add<Linear>(2, 2);
  expect_error<ArgumentError>([&] { save_darknet_weights(folder / "w", linear); }, "0.weight of ",
                              "is no weight of a convolution");
  expect_error<ArgumentError>([&] { save_darknet_weights(folder / "w", bare); }, "1.weight of ");
  Sequential alone;
  alone.append(std::make_unique<Conv2d>(
      Conv2dOptions{.in_channels = 1, .out_channels = 1, .kernel = {1, 1}, .bias = false}));
  expect_error<ArgumentError>([&] { darknet_weights_bytes(alone); },
                              "is followed by neither its bias nor a batch norm");
  SmallNet net;
  const std::uint64_t many = std::uint64_t{1} << 32;
  expect_error<ArgumentError>(
      [&] { save_darknet_weights(folder / "w", net, {.major = 0, .minor = 1, .seen = many}); },
      "version 0.1 counts pictures with 32 bits, got 4294967296");
  expect_error<ArgumentError>([&] { save_darknet_weights(folder / "w", net, {.major = 1000}); },
                              "from 0 to 999, got 1000.2");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(DarknetWeights, SizesOfThePublishedFiles) {
  const DarknetHeader old{.major = 0, .minor = 1};
  EXPECT_EQ(darknet_weights_bytes(YoloV2(YoloV2Config::coco()), old), 203'934'260u);
  EXPECT_EQ(darknet_weights_bytes(TinyYoloV2(TinyYoloV2Config::voc()), old), 63'471'556u);
}

/// Against tests/reference/darknet.py: the same weights through the reader, the same picture through the net.
void expect_reference(const char* name, Module& net) {
  SCOPED_TRACE(name);
  const auto stored = reference("darknet")["cases"][name];
  const FormulaFile file = formula_weights(net);
  ASSERT_EQ(file.arrays, stored["arrays"].get<std::uint64_t>());
  ASSERT_EQ(file.bytes.size(), 20 + 4 * stored["floats"].get<std::size_t>());
  load_darknet_weights(file.bytes, name, net);
  net.eval();

  const auto shape = stored["input"].get<std::vector<std::int64_t>>();
  std::vector<float> picture(std::size_t(Shape(shape).numel()));
  for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = float(formula_number(file.arrays, i));
  const Tensor x = Tensor::from_values(picture, Shape(shape));
  const Tensor expected = reference_tensor(stored["output"], DType::F64);
  const autograd::NoGrad no_grad;
  for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
    // f32 through up to 23 layers of sums of up to 576 products.
    testing::expect_close(net(kernels::to_format(x, format)), expected, {1e-4, 1e-5});
  }
}

TEST(DarknetReference, TinyYoloV2) {
  TinyYoloV2 net({.classes = 3, .width = 2, .last_divisor = 1});
  expect_reference("tiny", net);
}

TEST(DarknetReference, YoloV2WithPassthrough) {
  YoloV2 net({.classes = 3, .width = 2});
  expect_reference("yolov2", net);
}

}  // namespace
}  // namespace dlcuda
