// What a prediction of YOLOv2 is held to, and what it costs. The formula is in kernels/yolo_loss.h. C: float
// or double.
#pragma once

#include "dlcuda/kernels/functors/yolo.h"
#include "dlcuda/kernels/yolo_loss.h"

namespace dlcuda::functors {

/// The boxes of all pictures.
template <typename C>
struct YoloTruths {
  const std::int64_t* labels;
  const C* boxes;
  std::int64_t each;  ///< of a picture, those that are none included

  DLCUDA_HD std::int64_t label(std::int64_t picture, std::int64_t m) const {
    return labels[picture * each + m];
  }
  DLCUDA_HD Box<C> box(std::int64_t picture, std::int64_t m) const {
    const C* b = boxes + 4 * (picture * each + m);
    return {{b[0], b[1], b[2], b[3]}};
  }
};

template <typename C>
struct YoloLoss {
  using Place = typename YoloGrid<C>::Place;

  YoloGrid<C> grid;
  YoloTruths<C> truths;
  const std::int64_t* seen;  ///< or null
  C object, no_object, coordinate, classification, threshold, prior_scale;
  std::int64_t prior_pictures;
  bool overlap_target;

  YoloLoss(const kernels::YoloLossViews& views, const kernels::YoloLossParams& params)
      : grid{views.raw, views.anchors.as<const C>(), views.anchors.shape[0],
             views.raw.shape[1] / views.anchors.shape[0] - 5},
        truths{views.labels.as<const std::int64_t>(), views.boxes.as<const C>(), views.labels.shape[1]},
        seen(views.seen.as<const std::int64_t>()),
        object(C(params.object)),
        no_object(C(params.no_object)),
        coordinate(C(params.coordinate)),
        classification(C(params.classification)),
        threshold(C(params.threshold)),
        prior_scale(C(params.prior)),
        prior_pictures(params.prior_pictures),
        overlap_target(params.overlap_target) {}

  DLCUDA_HD C prior() const { return seen != nullptr && *seen < prior_pictures ? prior_scale : C(0); }

  /// The place that the m-th box of a picture belongs to; an anchor of -1 where it counts for none.
  DLCUDA_HD Place home(std::int64_t picture, const Box<C>& box) const {
    const Box<C> b = ToCenters<C>{}(box, box, box);
    const bool counts = b.v[2] > C(0) && b.v[3] > C(0) && b.v[0] >= C(0) && b.v[0] <= C(1) &&
                        b.v[1] >= C(0) && b.v[1] <= C(1);
    if (!counts) return {picture, 0, 0, -1};
    const std::int64_t height = grid.raw.shape[2], width = grid.raw.shape[3];
    return {picture, cell_of(b.v[1], height), cell_of(b.v[0], width),
            best_anchor(b.v[2] * static_cast<C>(width), b.v[3] * static_cast<C>(height))};
  }

  template <typename T>
  DLCUDA_HD std::int32_t assign(const Place& at, const T* raw) const {
    const Box<C> predicted = grid.cell(at).box(raw, grid.step());
    C best = 0;
    std::int32_t mine = kernels::kYoloNoObject;
    for (std::int64_t m = 0; m < truths.each; ++m) {
      if (truths.label(at.picture, m) < 0) continue;
      const Box<C> box = truths.box(at.picture, m);
      const Place there = home(at.picture, box);
      if (there.anchor < 0) continue;
      if (there.row == at.row && there.column == at.column && there.anchor == at.anchor) {
        mine = static_cast<std::int32_t>(m);
      }
      best = detail::most(best, Overlap<C, false>(predicted, box).value());
    }
    return mine == kernels::kYoloNoObject && best > threshold ? kernels::kYoloIgnored : mine;
  }

  /// What the numbers x, y, w, h and objectness of a prediction should be, and how much that matters.
  struct Targets {
    C coordinates[4];
    C coordinate_scale;
    C objectness, objectness_scale;
    std::int64_t label;  ///< -1: none
  };

  template <typename T>
  DLCUDA_HD Targets targets(const Place& at, const T* raw, std::int32_t assignment) const {
    if (assignment < 0) {
      const C scale = assignment == kernels::kYoloIgnored ? C(0) : no_object;
      return {{C(0.5), C(0.5), C(0), C(0)}, prior(), C(0), scale, -1};
    }
    const YoloCell<C> cell = grid.cell(at);
    const Box<C> box = truths.box(at.picture, assignment), b = ToCenters<C>{}(box, box, box);
    const C width = static_cast<C>(cell.width), height = static_cast<C>(cell.height);
    const C overlap = overlap_target ? Overlap<C, false>(cell.box(raw, grid.step()), box).value() : C(1);
    return {{b.v[0] * width - static_cast<C>(cell.column), b.v[1] * height - static_cast<C>(cell.row),
             functors::log(b.v[2] * width / cell.anchor_width),
             functors::log(b.v[3] * height / cell.anchor_height)},
            coordinate * (C(2) - b.v[2] * b.v[3]),
            overlap,
            object,
            truths.label(at.picture, assignment)};
  }

  /// Number j of a prediction, as it is compared with its target: x, y and objectness by their sigmoids.
  template <typename T>
  DLCUDA_HD C seen_as(const T* raw, int j) const {
    const C number = static_cast<C>(raw[j * grid.step()]);
    return j == 2 || j == 3 ? number : functors::sigmoid(number);
  }

  /// What a prediction adds to the loss of its picture; NaN for a label that is no class.
  template <typename T>
  DLCUDA_HD C value(const Place& at, const T* raw, std::int32_t assignment) const {
    const Targets t = targets(at, raw, assignment);
    C squares = 0;
    if (t.coordinate_scale > C(0)) {
      for (int j = 0; j < 4; ++j) {
        const C miss = t.coordinates[j] - seen_as(raw, j);
        squares += miss * miss;
      }
    }
    const C miss = t.objectness - seen_as(raw, 4);
    C result = C(0.5) * (t.coordinate_scale * squares + t.objectness_scale * miss * miss);
    if (t.label >= grid.classes) return static_cast<C>(NAN);
    if (t.label >= 0) {
      const T* logits = raw + 5 * grid.step();
      const StridedSoftmax<C> softmax(logits, grid.step(), grid.classes);
      result += classification * softmax.surprise(static_cast<C>(logits[t.label * grid.step()]));
    }
    return result;
  }

  /// The derivatives of that, times dy: written with the strides of raw.
  template <typename T>
  DLCUDA_HD void gradient(C dy, const Place& at, const T* raw, std::int32_t assignment, T* draw,
                          std::int64_t draw_step) const {
    const Targets t = targets(at, raw, assignment);
    for (int j = 0; j < 5; ++j) {
      const C value = seen_as(raw, j), wanted = j == 4 ? t.objectness : t.coordinates[j];
      const C scale = j == 4 ? t.objectness_scale : t.coordinate_scale;
      const C slope = j == 2 || j == 3 ? C(1) : value * (C(1) - value);
      draw[j * draw_step] = static_cast<T>(scale > C(0) ? dy * scale * (value - wanted) * slope : C(0));
    }
    const T* logits = raw + 5 * grid.step();
    const bool has_class = t.label >= 0 && t.label < grid.classes;
    const StridedSoftmax<C> softmax(logits, grid.step(), has_class ? grid.classes : 1);
    for (std::int64_t c = 0; c < grid.classes; ++c) {
      const C p = has_class ? softmax.probability(static_cast<C>(logits[c * grid.step()])) : C(0);
      const C miss = p - (has_class && c == t.label ? C(1) : C(0));
      draw[(5 + c) * draw_step] = static_cast<T>(dy * classification * miss);
    }
  }

 private:
  /// The right and lower borders of the picture belong to its last cells.
  DLCUDA_HD static std::int64_t cell_of(C center, std::int64_t cells) {
    const auto cell = static_cast<std::int64_t>(center * static_cast<C>(cells));
    return cell < cells ? cell : cells - 1;
  }
  DLCUDA_HD std::int64_t best_anchor(C width, C height) const {
    std::int64_t best = 0;
    C largest = 0;
    for (std::int64_t a = 0; a < grid.each; ++a) {
      const C w = grid.anchors[2 * a], h = grid.anchors[2 * a + 1];
      const C both = detail::least(width, w) * detail::least(height, h);
      const C overlap = both / (width * height + w * h - both);
      if (overlap > largest) {
        largest = overlap;
        best = a;
      }
    }
    return best;
  }
};

}  // namespace dlcuda::functors
