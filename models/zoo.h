// The models by name: for tools, benchmarks and tests that take any of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/core/shape.h"
#include "dlcuda/data/dataset.h"
#include "dlcuda/data/transforms.h"
#include "dlcuda/layers/module.h"

namespace dlcuda DLCUDA_API {

/// What a model's output means.
enum class Prediction : std::uint8_t {
  Classes,  ///< logits (N, classes)
  Boxes,    ///< YOLOv2's raw predictions (N, anchors * (5 + classes), H / 32, W / 32)
  Pixels    ///< logits (N, classes, H', W')
};

/// "classes", "boxes", "pixels"
std::string to_string(Prediction prediction);

struct ZooModel {
  std::string name;   ///< "resnet18", as torchvision calls it where it has the model
  std::string paper;  ///< "He et al., 2016"
  Prediction prediction = Prediction::Classes;
  ImageShape input{3, 224, 224};  ///< what it is used with; most take others, too
  std::int64_t classes = 1000;    ///< of the published weights
  /// What published weights expect of pictures.
  Normalization normalization{{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
  std::int64_t parameters = 0;  ///< with these classes; asserted by the tests
  double multiply_adds = 0;     ///< published, of one picture of `input`; 0 where none was
  MemoryFormat format = MemoryFormat::ChannelsLast;  ///< what it runs fastest in
  /// The model on the CPU with initial weights, for pictures of so many channels.
  std::function<std::unique_ptr<Module>(std::int64_t classes, std::int64_t channels)> make;
};

/// All of them.
const std::vector<ZooModel>& zoo();
/// Throws ArgumentError for an unknown name, with the nearest known one.
const ZooModel& find_model(std::string_view name);
std::unique_ptr<Module> make_model(std::string_view name);
/// ModelSpec::make_model for a model of the zoo.
std::function<std::unique_ptr<Module>(const ImageShape& input, std::int64_t classes)> zoo_maker(
    std::string_view name);

}  // namespace dlcuda
