// Ronneberger, Fischer, Brox: "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015.
//
// A contracting path of pairs of 3x3 convolutions with 2x2 max pooling between them, and an expanding path
// that enlarges, halves the channels and continues with what the contracting path had found at that size.
// The paper's form does not pad: 572x572 pixels in, 388x388 out, of which each saw only real pixels. The form
// that most use since pads, so that the output has the input's size, and normalises by batches.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda DLCUDA_API {

struct UNetConfig {
  enum class Enlarge : std::uint8_t {
    TransposedConv,  ///< 2x2, stride 2, halves the channels
    Bilinear         ///< a 1x1 convolution that halves the channels, then resizing
  };

  std::int64_t in_channels = 1;
  std::int64_t classes = 2;
  std::int64_t width = 64;  ///< channels of the first stage; each further one has twice as many
  std::int64_t depth = 4;   ///< how often the picture is halved, 1 to 8
  bool padded = false;
  bool batch_norm = false;
  Enlarge enlarge = Enlarge::TransposedConv;
  double dropout = 0;  ///< after the last two stages of the contracting path, in training

  /// 31,030,593 parameters with one class, 65 more for each further one.
  static UNetConfig paper() { return {.dropout = 0.5}; }
  /// Padded, with batch normalisation.
  static UNetConfig modern() { return {.padded = true, .batch_norm = true}; }
  /// The same, a quarter as wide: what fits into a CPU's patience. 1,942,594 parameters.
  static UNetConfig quarter() { return {.width = 16, .padded = true, .batch_norm = true}; }
  /// The same, narrow and halved three times, for small pictures: train_unet's.
  static UNetConfig small() { return {.width = 12, .depth = 3, .padded = true, .batch_norm = true}; }
};

/// Two 3x3 convolutions, each with an activation and perhaps batch normalisation.
class UNetStage : public Module {
 public:
  UNetStage(std::int64_t in_channels, std::int64_t out_channels, const UNetConfig& config);
  Tensor forward(const Tensor& x) override { return forward(x, {}); }
  /// into: undefined, or where the output goes, if writes_into(x).
  Tensor forward(const Tensor& x, const Tensor& into);
  using Module::operator();
  Tensor operator()(const Tensor& x, const Tensor& into) {
    return call([&] { return forward(x, into); });
  }
  /// Whether the output for x can be written as a part of another tensor, faster than it would be copied.
  bool writes_into(const Tensor& x) const;
  std::string describe() const override;

 private:
  std::int64_t in_channels_, out_channels_;
  // The one or the other.
  std::array<std::optional<Conv2d>, 2> convs_;
  std::array<std::optional<ConvBnAct>, 2> normed_;
};

/// A step upwards: (N, C, H, W) and what the contracting path found, (N, C / 2, H', W') with H' >= 2 H ->
/// (N, C, 2 H, 2 W), the enlarged half behind the middle of the other.
class UNetJoin : public Module {
 public:
  UNetJoin(std::int64_t channels, UNetConfig::Enlarge enlarge);
  /// Throws Error: it takes two tensors.
  Tensor forward(const Tensor& x) override;
  /// whole: undefined, or the result, of which skip is the first channels already (transposed convolutions).
  Tensor forward(const Tensor& x, const Tensor& skip, const Tensor& whole = {});
  using Module::operator();
  Tensor operator()(const Tensor& x, const Tensor& skip, const Tensor& whole = {}) {
    return call([&] { return forward(x, skip, whole); });
  }
  std::string describe() const override;

 protected:
  bool takes_any_format() const override { return true; }

 private:
  std::int64_t channels_;
  UNetConfig::Enlarge enlarge_;
  Tensor weight_, bias_;
};

/// Images (N, in_channels, H, W) -> logits (N, classes, H', W').
class UNet : public Module {
 public:
  /// Throws ArgumentError for sizes out of range.
  explicit UNet(const UNetConfig& config = {});
  /// Throws ShapeError for a size that output_extent() does not take.
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

  /// The output's height (width) for an input's: the same if padded, else less. Throws ShapeError, naming the
  /// nearest sizes that work, for one that cannot be halved `depth` times on the way down.
  static std::int64_t output_extent(std::int64_t extent, const UNetConfig& config);

 private:
  /// What stage `level` of the contracting path, for its input x, and the step back up to it write together:
  /// (N, 2 C, H, W). Undefined where the stage's output has to be copied.
  Tensor room_for_join(const Tensor& x, std::size_t level) const;

  UNetConfig config_;
  MaxPool2d pool_;
  Dropout dropout_;
  std::vector<std::unique_ptr<UNetStage>> down_, up_;
  std::vector<std::unique_ptr<UNetJoin>> joins_;
  Conv2d head_;
};

/// "unet" (the paper's), "unet_bn", "unet16" (quarter()) and "unet_small".
std::vector<ZooModel> unet_models();

}  // namespace dlcuda
