// Mean average precision of object detection: Everingham et al., "The Pascal Visual Object Classes (VOC)
// Challenge", 2010, with the area under the whole curve, as VOC counts since 2010.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dlcuda/core/macros.h"
#include "dlcuda/data/target.h"

namespace dlcuda DLCUDA_API {

/// A box that a model found, and how sure it is.
struct Detection {
  LabelledBox box;
  double score = 0;
};

/// Collects detections and truths picture by picture.
///
/// Within a picture, the detections of a class take their turn by falling score (of equal scores the first):
/// each is right when the true box of the class that it overlaps most, by at least `overlap` (intersection
/// over union), has not been found yet, and wrong otherwise. Over all pictures, precision is the right ones
/// among the detections down to a score, recall the truths found. The average precision is the area under
/// precision over recall, where precision counts as the best that any larger recall reaches.
class AveragePrecision {
 public:
  /// Throws ArgumentError unless classes >= 1 and 0 < overlap <= 1.
  explicit AveragePrecision(std::int64_t classes, double overlap = 0.5);

  /// One picture. Throws ArgumentError for a class outside [0, classes) and a score that is NaN.
  void add(std::span<const Detection> detections, std::span<const LabelledBox> truths);
  void reset();

  /// Of each class; NaN for one without a true box.
  std::vector<double> per_class() const;
  /// The mean over classes that have true boxes; 0 where none has.
  double mean() const;

 private:
  struct Ranked {
    double score;
    bool right;
  };
  struct Class {
    std::vector<Ranked> detections;
    std::int64_t truths = 0;
  };
  void check_label(std::int64_t label) const;

  double overlap_;
  std::vector<Class> classes_;
};

/// Intersection over union of two boxes; 0 where both have no area.
double box_overlap(const LabelledBox& a, const LabelledBox& b);

}  // namespace dlcuda
