#include "dlcuda/models/zoo.h"

#include <algorithm>

#include "dlcuda/core/check.h"
#include "dlcuda/core/text.h"
#include "dlcuda/models/alexnet/alexnet.h"
#include "dlcuda/models/efficientnet/efficientnet.h"
#include "dlcuda/models/googlenet/googlenet.h"
#include "dlcuda/models/lenet5/lenet5.h"
#include "dlcuda/models/mobilenet/mobilenet_v1.h"
#include "dlcuda/models/mobilenet/mobilenet_v2.h"
#include "dlcuda/models/resnet/cifar.h"
#include "dlcuda/models/resnet/course_resnet.h"
#include "dlcuda/models/resnet/resnet.h"
#include "dlcuda/models/unet/unet.h"
#include "dlcuda/models/vgg/vgg.h"
#include "dlcuda/models/yolov2/yolov2.h"

namespace dlcuda {
namespace {

/// Every folder adds its own.
std::vector<ZooModel> all_models() {
  std::vector<ZooModel> all;
  for (const auto& models :
       {lenet5_models(), alexnet_models(), vgg_models(), googlenet_models(), resnet_models(),
        cifar_resnet_models(), course_resnet_models(), mobilenet_v1_models(), mobilenet_v2_models(),
        efficientnet_models(), unet_models(), yolo_models()}) {
    all.insert(all.end(), models.begin(), models.end());
  }
  return all;
}

}  // namespace

std::string to_string(Prediction prediction) {
  switch (prediction) {
    case Prediction::Classes:
      return "classes";
    case Prediction::Boxes:
      return "boxes";
    case Prediction::Pixels:
      return "pixels";
  }
  DLCUDA_THROW(ArgumentError, "unknown kind of prediction {}", int(prediction));
}

const std::vector<ZooModel>& zoo() {
  static const std::vector<ZooModel> models = all_models();
  return models;
}

const ZooModel& find_model(std::string_view name) {
  const auto found = std::find_if(zoo().begin(), zoo().end(), [&](const auto& m) { return m.name == name; });
  if (found != zoo().end()) return *found;
  std::vector<std::string> names;
  for (const ZooModel& model : zoo()) names.push_back(model.name);
  DLCUDA_THROW(ArgumentError, "there is no model '{}'{}; known: {}", name,
               did_you_mean(std::string(name), names), fmt::join(names, ", "));
}

std::unique_ptr<Module> make_model(std::string_view name) {
  const ZooModel& model = find_model(name);
  return model.make(model.classes, model.input.channels);
}

std::function<std::unique_ptr<Module>(const ImageShape&, std::int64_t)> zoo_maker(std::string_view name) {
  return [make = find_model(name).make](const ImageShape& input, std::int64_t classes) {
    return make(classes, input.channels);
  };
}

}  // namespace dlcuda
