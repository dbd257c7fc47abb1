#include "dlcuda/train/average_precision.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "dlcuda/core/check.h"

namespace dlcuda {

double box_overlap(const LabelledBox& a, const LabelledBox& b) {
  const auto area = [](const LabelledBox& box) {
    return (double(box.x2) - double(box.x1)) * (double(box.y2) - double(box.y1));
  };
  const double width = double(std::min(a.x2, b.x2)) - double(std::max(a.x1, b.x1)),
               height = double(std::min(a.y2, b.y2)) - double(std::max(a.y1, b.y1));
  const double both = width > 0 && height > 0 ? width * height : 0.0, either = area(a) + area(b) - both;
  return either > 0 ? both / either : 0.0;
}

AveragePrecision::AveragePrecision(std::int64_t classes, double overlap) : overlap_(overlap) {
  DLCUDA_CHECK(classes >= 1, ArgumentError, "average precision: there must be at least one class, got {}",
               classes);
  DLCUDA_CHECK(overlap > 0 && overlap <= 1, ArgumentError,
               "average precision: the overlap of a right box is above 0 and at most 1, got {}", overlap);
  classes_.resize(std::size_t(classes));
}

void AveragePrecision::check_label(std::int64_t label) const {
  DLCUDA_CHECK(label >= 0 && label < std::int64_t(classes_.size()), ArgumentError,
               "average precision: a box has class {}, expected 0 to {}", label, classes_.size() - 1);
}

void AveragePrecision::add(std::span<const Detection> detections, std::span<const LabelledBox> truths) {
  for (const LabelledBox& truth : truths) check_label(truth.label);
  std::vector<const Detection*> ranked;
  for (const Detection& detection : detections) {
    check_label(detection.box.label);
    DLCUDA_CHECK(!std::isnan(detection.score), ArgumentError, "average precision: a score is NaN");
    ranked.push_back(&detection);
  }
  std::ranges::stable_sort(ranked, [](const auto* a, const auto* b) { return a->score > b->score; });
  for (const LabelledBox& truth : truths) ++classes_[std::size_t(truth.label)].truths;
  std::vector<bool> found(truths.size());
  for (const Detection* detection : ranked) {
    double best = 0;
    std::size_t nearest = 0;
    for (std::size_t i = 0; i < truths.size(); ++i) {
      if (truths[i].label != detection->box.label) continue;
      const double overlap = box_overlap(truths[i], detection->box);
      if (overlap > best) {
        best = overlap;
        nearest = i;
      }
    }
    const bool right = best >= overlap_ && !found[nearest];
    if (right) found[nearest] = true;
    classes_[std::size_t(detection->box.label)].detections.push_back({detection->score, right});
  }
}

void AveragePrecision::reset() { classes_.assign(classes_.size(), {}); }

std::vector<double> AveragePrecision::per_class() const {
  std::vector<double> result;
  for (const Class& one : classes_) {
    if (one.truths == 0) {
      result.push_back(std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    std::vector<Ranked> ranked = one.detections;
    std::ranges::stable_sort(ranked, std::greater{}, &Ranked::score);
    std::vector<double> precisions;
    double right = 0;
    for (const Ranked& detection : ranked) {
      right += detection.right ? 1 : 0;
      precisions.push_back(right / double(precisions.size() + 1));
    }
    // Each truth that is found adds a step of recall, at the best precision from there on.
    double best = 0, area = 0;
    for (std::size_t i = ranked.size(); i-- > 0;) {
      best = std::max(best, precisions[i]);
      if (ranked[i].right) area += best;
    }
    result.push_back(area / double(one.truths));
  }
  return result;
}

double AveragePrecision::mean() const {
  double sum = 0;
  std::int64_t count = 0;
  for (const double precision : per_class()) {
    if (std::isnan(precision)) continue;
    sum += precision;
    ++count;
  }
  return count == 0 ? 0 : sum / double(count);
}

}  // namespace dlcuda
