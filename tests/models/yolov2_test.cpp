#include "dlcuda/models/yolov2/yolov2.h"

#include <gtest/gtest.h>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/models/yolov2/darknet_layers.h"
#include "dlcuda/models/yolov2/detection.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/devices.h"
#include "dlcuda/tests/support/errors.h"
#include "dlcuda/tests/support/random_tensor.h"

namespace dlcuda {
namespace {

Shape output_of(Module& net, const Shape& input) {
  const autograd::NoGrad no_grad;
  net.eval();
  return net(Tensor::zeros(input, DType::F32)).shape();
}

TEST(YoloV2, ShapesOfPredictions) {
  YoloV2 net({.classes = 20, .anchors = YoloV2Config::voc_anchors(), .width = 2});
  EXPECT_EQ(output_of(net, {2, 3, 416, 416}), (Shape{2, 125, 13, 13}));
  EXPECT_EQ(output_of(net, {1, 3, 608, 608}), (Shape{1, 125, 19, 19}));
  EXPECT_EQ(net.stride(), 32);
  EXPECT_EQ(net.anchors().shape(), (Shape{5, 2}));
}

TEST(YoloV2, TinyShapesFollowItsStages) {
  TinyYoloV2 full({.width = 2});
  EXPECT_EQ(output_of(full, {1, 3, 416, 416}), (Shape{1, 425, 13, 13}));
  TinyYoloV2 small({.classes = 3, .anchors = {{1, 1}, {2, 3}}, .in_channels = 1, .width = 2, .stages = 3});
  EXPECT_EQ(output_of(small, {2, 1, 64, 48}), (Shape{2, 16, 8, 6}));
  EXPECT_EQ(small.stride(), 8);
}

TEST(YoloV2, Darknet19ClassifiesAndSharesItsNames) {
  Darknet19 classifier({.classes = 7, .width = 2});
  EXPECT_EQ(output_of(classifier, {2, 3, 64, 96}), (Shape{2, 7}));
  NamedTensors shared;
  for (const auto& [name, tensor] : classifier.state_dict()) {
    if (!name.starts_with("classifier.")) shared.emplace_back(name, tensor);
  }
  YoloV2 detector({.width = 2});
  std::size_t found = 0;
  for (const auto& [name, tensor] : detector.state_dict()) {
    for (const auto& [other, of_classifier] : shared) {
      if (name != other) continue;
      EXPECT_EQ(tensor.shape(), of_classifier.shape()) << name;
      ++found;
    }
  }
  EXPECT_EQ(found, shared.size());
}

TEST(YoloV2, AnchorsTravelWithTheWeights) {
  TinyYoloV2 a({.classes = 1, .anchors = {{1, 2}}, .width = 1, .stages = 1});
  TinyYoloV2 b({.classes = 1, .anchors = {{3, 4}}, .width = 1, .stages = 1});
  b.load_state_dict(a.state_dict());
  EXPECT_EQ(b.anchors().values<float>(), (std::vector{1.0f, 2.0f}));
}

TEST(YoloV2, HalfPrecisionKeepsItsAnchors) {
  TinyYoloV2 net({.classes = 1, .width = 1, .stages = 1});
  net.to(DType::BF16);
  EXPECT_EQ(net.anchors().dtype(), DType::F32);
  const autograd::NoGrad no_grad;
  net.eval();
  const Tensor raw = net(Tensor::zeros({1, 3, 4, 4}, DType::BF16));
  EXPECT_EQ(raw.dtype(), DType::BF16);
  EXPECT_EQ(detect(raw, net.anchors(), 1).count.shape(), (Shape{1}));
}

TEST(YoloV2, RefusesWhatNoNetworkHas) {
  expect_error<ArgumentError>([] { TinyYoloV2({.anchors = {}}); }, "at least one anchor");
  expect_error<ArgumentError>([] { TinyYoloV2({.anchors = {{1, 0}}}); }, "positive sizes, got 1 x 0");
  expect_error<ArgumentError>([] { TinyYoloV2({.classes = 0}); }, "at least one class, got 0");
  expect_error<ArgumentError>([] { TinyYoloV2({.stages = 6}); }, "1 to 5 stages, got 6");
}

TEST(NeighborMaxPool, LooksRightAndDownOnly) {
  NeighborMaxPool pool;
  for (const testing::Variant& v : testing::variants(true)) {
    SCOPED_TRACE(to_string(v));
    const Tensor x = Tensor::from_values(std::vector<double>{9, 1, 2, -3, -4, -5, 0, -7, -8}, {1, 1, 3, 3});
    const Tensor y = pool(kernels::to_format(kernels::cast(x, v.dtype).to(v.device), v.format));
    EXPECT_EQ(testing::as_doubles(y), (std::vector<double>{9, 2, 2, 0, -4, -5, 0, -7, -8}));
  }
}

TEST(YoloV2, FormatsAgreeOnEveryDevice) {
  YoloV2 net({.classes = 2, .anchors = {{1, 1}, {2, 2}}, .in_channels = 1, .width = 2});
  net.eval();
  const autograd::NoGrad no_grad;
  const Tensor x = random_tensor({1, 1, 32, 64}, 3, DType::F32);
  const Tensor expected = kernels::cast(net(x), DType::F64);
  for (const Device device : testing::test_devices()) {
    net.to(device);
    for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
      const Tensor y = net(kernels::to_format(x.to(device), format));
      testing::expect_close(y, expected, 10);  // sums in another order, through 23 layers
    }
  }
}

}  // namespace
}  // namespace dlcuda
