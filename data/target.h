// What a dataset knows about an image: its class, the boxes of its objects, or the class of every pixel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dlcuda/core/macros.h"

namespace dlcuda DLCUDA_API {

enum class TargetKind : std::uint8_t {
  Class,  ///< one class an image: classification
  Boxes,  ///< objects, each with a class and a box: detection
  Mask    ///< a class for each pixel: segmentation
};

/// "classes", "boxes", "masks"
std::string to_string(TargetKind kind);

/// The kind of target that all images of a dataset have.
struct TargetFormat {
  TargetKind kind = TargetKind::Class;
  std::int64_t most_boxes = 0;  ///< of an image; at least 1 for Boxes, 0 otherwise
  bool operator==(const TargetFormat&) const = default;
};

/// Corners in parts of the picture's width and height: 0 <= x1 <= x2 <= 1, y likewise from the top.
struct LabelledBox {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  std::int64_t label = 0;
  bool operator==(const LabelledBox&) const = default;
};

/// A pixel of a mask that counts for nothing, such as one that padding has added.
inline constexpr std::uint8_t kIgnoredPixel = 255;
/// The same in a batch's labels, and the class of a box that is not there.
inline constexpr std::int64_t kNoLabel = -1;

/// The target of one image; what the dataset's kind does not need stays empty. Kept from image to image, so
/// that nothing is allocated.
struct Target {
  std::int64_t label = kNoLabel;        ///< Class
  std::vector<LabelledBox> boxes = {};  ///< Boxes
  std::vector<std::uint8_t> mask = {};  ///< Mask: (height, width) classes, or kIgnoredPixel

  void clear() {
    label = kNoLabel;
    boxes.clear();
    mask.clear();
  }
};

}  // namespace DLCUDA_API
