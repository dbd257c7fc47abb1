// Redmon, Farhadi: "YOLO9000: Better, Faster, Stronger", 2017.
//
// Darknet-19, the classifier that YOLOv2 grows from: 3x3 convolutions, with 1x1 ones between them that halve
// the channels, each with batch norm and LeakyReLU; a 1x1 convolution to the classes and a global average at
// the end. 20,842,376 parameters for 1000 classes.
#pragma once

#include <cstdint>
#include <string>

#include "dlcuda/core/macros.h"
#include "dlcuda/layers/layers.h"

namespace dlcuda DLCUDA_API {

struct Darknet19Config {
  std::int64_t classes = 1000;
  std::int64_t in_channels = 3;
  std::int64_t width = 32;      ///< channels of the first convolution; all others are multiples of it
  double norm_momentum = 0.01;  ///< share of a new batch in the running statistics of batch norm
};

/// The first 13 convolutions: (N, in_channels, H, W) -> (N, 16 width, H / 16, W / 16). YOLOv2 begins with
/// them, too, under the same names.
class Darknet19Trunk : public Sequential {
 public:
  explicit Darknet19Trunk(const Darknet19Config& config);
};

/// The next five: (N, 16 width, H / 16, W / 16) -> (N, 32 width, H / 32, W / 32).
class Darknet19Deep : public Sequential {
 public:
  explicit Darknet19Deep(const Darknet19Config& config);
};

/// Pictures (N, in_channels, H, W), extents divisible by 32 -> logits (N, classes).
class Darknet19 : public Module {
 public:
  explicit Darknet19(const Darknet19Config& config = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "Darknet-19"; }

 private:
  Darknet19Trunk trunk_;
  Darknet19Deep deep_;
  Conv2d classifier_;
};

}  // namespace dlcuda
