#include "dlcuda/models/googlenet/googlenet.h"

#include <fmt/format.h>

#include <array>

#include "dlcuda/models/configured.h"
#include "dlcuda/models/images.h"

namespace dlcuda {
namespace {

constexpr std::int64_t kLeast = 15;

/// A pair with the names that torchvision gives it here.
ConvBnActOptions pair(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1) {
  Conv2dOptions conv = same_conv(in, out, kernel, stride);
  conv.scheme = init::Scheme::SmallNormal;
  return {.conv = conv, .epsilon = 1e-3, .conv_name = "conv", .norm_name = "bn"};
}

LinearOptions linear(std::int64_t in, std::int64_t out) {
  return {.in_features = in,
          .out_features = out,
          .scheme = init::Scheme::SmallNormal,
          .bias_scheme = init::Scheme::Default};
}

functional::Pool2dParams halving(std::int64_t kernel) {
  return {.kernel = {kernel, kernel}, .stride = {2, 2}, .ceil_mode = true};
}

struct Block {
  const char* name;
  std::int64_t one, three_reduced, three, five_reduced, five, pooled;
};
constexpr std::array<Block, 9> kBlocks{{{"3a", 64, 96, 128, 16, 32, 32},        // (N, 192, 28, 28) -> 256
                                        {"3b", 128, 128, 192, 32, 96, 64},      // 480
                                        {"4a", 192, 96, 208, 16, 48, 64},       // (N, 480, 14, 14) -> 512
                                        {"4b", 160, 112, 224, 24, 64, 64},      // 512
                                        {"4c", 128, 128, 256, 24, 64, 64},      // 512
                                        {"4d", 112, 144, 288, 32, 64, 64},      // 528
                                        {"4e", 256, 160, 320, 32, 128, 128},    // 832
                                        {"5a", 256, 160, 320, 32, 128, 128},    // (N, 832, 7, 7) -> 832
                                        {"5b", 384, 192, 384, 48, 128, 128}}};  // 1024
// Places in that list.
constexpr std::size_t k4a = 2, k4d = 5, k5a = 7;

}  // namespace

Inception::Inception(const Options& o) : options_(o), one_(pair(o.in_channels, o.one, 1)) {
  register_module("branch1", &one_);
  three_.add<ConvBnAct>(pair(o.in_channels, o.three_reduced, 1))
      .add<ConvBnAct>(pair(o.three_reduced, o.three, 3));
  register_module("branch2", &three_);
  five_.add<ConvBnAct>(pair(o.in_channels, o.five_reduced, 1))
      .add<ConvBnAct>(pair(o.five_reduced, o.five, 3));
  register_module("branch3", &five_);
  pooled_
      .add<MaxPool2d>(
          functional::Pool2dParams{.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .ceil_mode = true})
      .add<ConvBnAct>(pair(o.in_channels, o.pooled, 1));
  register_module("branch4", &pooled_);
}

Tensor Inception::forward(const Tensor& x) {
  return functional::concat(std::array{one_(x), three_(x), five_(x), pooled_(x)}, 1);
}

std::string Inception::describe() const {
  return fmt::format("Inception({}, {} + {} + {} + {})", options_.in_channels, options_.one, options_.three,
                     options_.five, options_.pooled);
}

AuxiliaryClassifier::AuxiliaryClassifier(std::int64_t in_channels, const GoogLeNetConfig& config)
    : average_({4, 4}),
      conv_(pair(in_channels, scaled_channels(128, config.width), 1)),
      fc1_(linear(scaled_channels(128, config.width) * 4 * 4, scaled_channels(1024, config.width))),
      fc2_(linear(scaled_channels(1024, config.width), config.classes)),
      dropout_(config.auxiliary_dropout) {
  register_inline(&average_);
  register_module("conv", &conv_);
  register_module("fc1", &fc1_);
  register_inline(&dropout_);
  register_module("fc2", &fc2_);
}

Tensor AuxiliaryClassifier::forward(const Tensor& x) {  // (N, 512 or 528, 14, 14)
  Tensor y = conv_(average_(x));                        // (N, 128, 4, 4)
  y = functional::relu(fc1_(functional::flatten(y)));   // (N, 1024)
  return fc2_(dropout_(y));                             // (N, classes)
}

GoogLeNet::GoogLeNet(const GoogLeNetConfig& config)
    : config_(config),
      stem_width_(scaled_channels(64, config.width)),
      conv1_(pair(config.in_channels, stem_width_, 7, 2)),
      conv2_(pair(stem_width_, stem_width_, 1)),
      conv3_(pair(stem_width_, scaled_channels(192, config.width), 3)),
      pool1_(halving(3)),
      pool2_(halving(3)),
      pool3_(halving(3)),
      pool4_(halving(2)),
      dropout_(config.dropout) {
  register_module("conv1", &conv1_);
  register_inline(&pool1_);
  register_module("conv2", &conv2_);
  register_module("conv3", &conv3_);
  register_inline(&pool2_);
  std::int64_t channels = scaled_channels(192, config.width);
  const auto scaled = [&](std::int64_t published) { return scaled_channels(published, config.width); };
  std::array<std::int64_t, kBlocks.size()> widths{};
  for (std::size_t i = 0; i < kBlocks.size(); ++i) {
    const Block& b = kBlocks[i];
    if (i == k4a) register_inline(&pool3_);
    if (i == k5a) register_inline(&pool4_);
    blocks_.push_back(std::make_unique<Inception>(
        Inception::Options{channels, scaled(b.one), scaled(b.three_reduced), scaled(b.three),
                           scaled(b.five_reduced), scaled(b.five), scaled(b.pooled)}));
    register_module(std::string("inception") + b.name, blocks_.back().get());
    widths[i] = channels = blocks_.back()->out_channels();
  }
  if (config.auxiliary) {
    auxiliary1_.emplace(widths[k4a], config);
    register_module("aux1", &*auxiliary1_);
    auxiliary2_.emplace(widths[k4d], config);
    register_module("aux2", &*auxiliary2_);
  }
  register_inline(&average_);
  register_inline(&dropout_);
  fc_.emplace(linear(channels, config.classes));
  register_module("fc", &*fc_);
}

GoogLeNet::Output GoogLeNet::run(const Tensor& x, bool auxiliary) {  // (N, 3, 224, 224)
  check_images(*this, x, config_.in_channels, kLeast);
  Output output;
  Tensor y = pool1_(conv1_(x));  // (N, 64, 112, 112) -> (N, 64, 56, 56)
  y = conv3_(conv2_(y));         // (N, 64, 56, 56) -> (N, 192, 56, 56)
  y = pool2_(y);                 // (N, 192, 28, 28)
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (i == k4a) y = pool3_(y);  // (N, 480, 28, 28) -> (N, 480, 14, 14)
    if (i == k5a) y = pool4_(y);  // (N, 832, 14, 14) -> (N, 832, 7, 7)
    y = (*blocks_[i])(y);         // as kBlocks says
    if (auxiliary && i == k4a) output.auxiliary1 = (*auxiliary1_)(y);
    if (auxiliary && i == k4d) output.auxiliary2 = (*auxiliary2_)(y);
  }
  y = functional::flatten(average_(y));  // (N, 1024)
  output.logits = (*fc_)(dropout_(y));   // (N, classes)
  return output;
}

Tensor GoogLeNet::forward(const Tensor& x) { return run(x, false).logits; }

GoogLeNet::Output GoogLeNet::with_auxiliary(const Tensor& x) {
  Output output;
  call([&] {
    output = run(x, is_training() && auxiliary1_.has_value());
    return output.logits;
  });
  return output;
}

Tensor GoogLeNet::loss(const Tensor& x, const Tensor& labels) {
  const Output output = with_auxiliary(x);
  Tensor loss = functional::cross_entropy(output.logits, labels);
  for (const Tensor& logits : {output.auxiliary1, output.auxiliary2}) {
    if (!logits.defined()) continue;
    const Tensor weighted = functional::scale(functional::cross_entropy(logits, labels), kAuxiliaryWeight);
    loss = functional::add(loss, weighted);
  }
  return loss;
}

std::vector<ZooModel> googlenet_models() {
  return {{.name = "googlenet",
           .paper = "Szegedy et al., 2015",
           .parameters = 6'624'904,
           .multiply_adds = 1.498e9,
           .make = configured<GoogLeNet>(GoogLeNetConfig{})}};
}

}  // namespace dlcuda
