// Boxes: overlap, coding against anchors, and their derivatives. T: float or double.
//
// Corners are (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2; centres are (cx, cy, width, height).
#pragma once

#include "dlcuda/kernels/functors/math.h"

namespace dlcuda::functors {

template <typename T>
struct Box {
  T v[4];
};

namespace detail {

template <typename T>
DLCUDA_HD T least(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
DLCUDA_HD T most(T a, T b) {
  return a < b ? b : a;
}
/// What a takes of the gradient of min(a, b), or of max(b, a): equals share it, as in PyTorch.
template <typename T>
DLCUDA_HD T share_below(T a, T b) {
  return a < b ? T(1) : (a == b ? T(0.5) : T(0));
}

}  // namespace detail

/// Intersection over union, and the generalised form that also falls with the distance of boxes that do not
/// touch.
template <typename T, bool kGeneralised>
struct Overlap {
  T inter_w, inter_h, hull_w, hull_h, area_a, area_b;

  DLCUDA_HD Overlap(const Box<T>& a, const Box<T>& b) {
    using detail::least;
    using detail::most;
    inter_w = least(a.v[2], b.v[2]) - most(a.v[0], b.v[0]);
    inter_h = least(a.v[3], b.v[3]) - most(a.v[1], b.v[1]);
    hull_w = most(a.v[2], b.v[2]) - least(a.v[0], b.v[0]);
    hull_h = most(a.v[3], b.v[3]) - least(a.v[1], b.v[1]);
    area_a = (a.v[2] - a.v[0]) * (a.v[3] - a.v[1]);
    area_b = (b.v[2] - b.v[0]) * (b.v[3] - b.v[1]);
  }
  DLCUDA_HD T intersection() const { return detail::most(inter_w, T(0)) * detail::most(inter_h, T(0)); }
  DLCUDA_HD T value() const {
    const T i = intersection(), u = area_a + area_b - i, hull = hull_w * hull_h;
    T result = u > T(0) ? i / u : T(0);
    if (kGeneralised) result -= hull > T(0) ? (hull - u) / hull : T(0);
    return result;
  }

  /// dy times the derivatives by the corners of a and b.
  DLCUDA_HD void gradient(T dy, const Box<T>& a, const Box<T>& b, Box<T>& da, Box<T>& db) const {
    using detail::most;
    using detail::share_below;
    const T i = intersection(), u = area_a + area_b - i, hull = hull_w * hull_h;
    T by_inter = u > T(0) ? T(1) / u : T(0), by_union = u > T(0) ? -i / (u * u) : T(0), by_hull = T(0);
    if (kGeneralised && hull > T(0)) {
      by_union += T(1) / hull;
      by_hull = -u / (hull * hull);
    }
    by_inter -= by_union;  // the union holds the intersection once less
    const T width = dy * by_inter * (inter_w > T(0) ? most(inter_h, T(0)) : T(0));
    const T height = dy * by_inter * (inter_h > T(0) ? most(inter_w, T(0)) : T(0));
    const T hull_width = dy * by_hull * hull_h, hull_height = dy * by_hull * hull_w;
    const T area = dy * by_union;
    sides(a, b, area, width, height, hull_width, hull_height, da);
    sides(b, a, area, width, height, hull_width, hull_height, db);
  }

 private:
  DLCUDA_HD static void sides(const Box<T>& a, const Box<T>& b, T area, T width, T height, T hull_width,
                              T hull_height, Box<T>& d) {
    using detail::share_below;
    const T w = a.v[2] - a.v[0], h = a.v[3] - a.v[1];
    d.v[0] = -area * h - width * share_below(b.v[0], a.v[0]) - hull_width * share_below(a.v[0], b.v[0]);
    d.v[1] = -area * w - height * share_below(b.v[1], a.v[1]) - hull_height * share_below(a.v[1], b.v[1]);
    d.v[2] = area * h + width * share_below(a.v[2], b.v[2]) + hull_width * share_below(b.v[2], a.v[2]);
    d.v[3] = area * w + height * share_below(a.v[3], b.v[3]) + hull_height * share_below(b.v[3], a.v[3]);
  }
};

// Maps of one box, perhaps beside others: out = f(a, b, c). What a map does not take is not looked at.

template <typename T>
struct ToCorners {
  DLCUDA_HD Box<T> operator()(const Box<T>& a, const Box<T>&, const Box<T>&) const {
    const T w = a.v[2] * T(0.5), h = a.v[3] * T(0.5);
    return {{a.v[0] - w, a.v[1] - h, a.v[0] + w, a.v[1] + h}};
  }
};
template <typename T>
struct ToCornersBackward {
  DLCUDA_HD Box<T> operator()(const Box<T>& dy, const Box<T>&, const Box<T>&) const {
    return {
        {dy.v[0] + dy.v[2], dy.v[1] + dy.v[3], (dy.v[2] - dy.v[0]) * T(0.5), (dy.v[3] - dy.v[1]) * T(0.5)}};
  }
};
template <typename T>
struct ToCenters {
  DLCUDA_HD Box<T> operator()(const Box<T>& a, const Box<T>&, const Box<T>&) const {
    return {{(a.v[0] + a.v[2]) * T(0.5), (a.v[1] + a.v[3]) * T(0.5), a.v[2] - a.v[0], a.v[3] - a.v[1]}};
  }
};
template <typename T>
struct ToCentersBackward {
  DLCUDA_HD Box<T> operator()(const Box<T>& dy, const Box<T>&, const Box<T>&) const {
    const T x = dy.v[0] * T(0.5), y = dy.v[1] * T(0.5);
    return {{x - dy.v[2], y - dy.v[3], x + dy.v[2], y + dy.v[3]}};
  }
};

/// Corners of a box and of its anchor -> offsets of the centre in anchor sizes, logarithms of the size
/// ratios.
template <typename T>
struct Encode {
  T weight[4];
  DLCUDA_HD Box<T> operator()(const Box<T>& box, const Box<T>& anchor, const Box<T>&) const {
    const Box<T> b = ToCenters<T>{}(box, box, box), a = ToCenters<T>{}(anchor, anchor, anchor);
    return {{weight[0] * (b.v[0] - a.v[0]) / a.v[2], weight[1] * (b.v[1] - a.v[1]) / a.v[3],
             weight[2] * functors::log(b.v[2] / a.v[2]), weight[3] * functors::log(b.v[3] / a.v[3])}};
  }
};
/// The inverse; logarithms above `largest` count as that.
template <typename T>
struct Decode {
  T weight[4];
  T largest;
  DLCUDA_HD T size(T delta, int i, T anchor) const {
    return functors::exp(detail::least(delta / weight[i], largest)) * anchor;
  }
  DLCUDA_HD Box<T> operator()(const Box<T>& delta, const Box<T>& anchor, const Box<T>&) const {
    const Box<T> a = ToCenters<T>{}(anchor, anchor, anchor);
    const Box<T> centers{{delta.v[0] / weight[0] * a.v[2] + a.v[0], delta.v[1] / weight[1] * a.v[3] + a.v[1],
                          size(delta.v[2], 2, a.v[2]), size(delta.v[3], 3, a.v[3])}};
    return ToCorners<T>{}(centers, centers, centers);
  }
};
template <typename T>
struct DecodeBackward {
  Decode<T> decode;
  DLCUDA_HD Box<T> operator()(const Box<T>& dy, const Box<T>& delta, const Box<T>& anchor) const {
    const Box<T> a = ToCenters<T>{}(anchor, anchor, anchor), d = ToCornersBackward<T>{}(dy, dy, dy);
    Box<T> result;
    for (int i = 0; i < 4; ++i) {
      if (i < 2) {
        result.v[i] = d.v[i] * a.v[i + 2] / decode.weight[i];
      } else {
        const bool clamped = delta.v[i] / decode.weight[i] > decode.largest;
        result.v[i] = clamped ? T(0) : d.v[i] * decode.size(delta.v[i], i, a.v[i]) / decode.weight[i];
      }
    }
    return result;
  }
};

}  // namespace dlcuda::functors
