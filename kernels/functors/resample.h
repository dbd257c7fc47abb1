// Which elements of an input axis an output element is made of, and the other way round. Places of bilinear
// resizing are fractions of integers, so that both devices agree to the last bit and no picture is too large
// for an exact weight. The nearest element is found in f32, as PyTorch does it: where in / out has no exact
// f32, the next integer below the product can be another one than that of the fraction.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"
#include "dlcuda/kernels/resample.h"

namespace dlcuda::functors {

/// An output element is (1 - share) * in[first] + share * in[second].
template <typename Place, typename C>
struct Taps {
  Place first, second;
  C share;
};

/// Inputs are asked for the outputs that they might be part of: first, one past the last.
template <typename Place>
struct Range {
  Place begin, end;
};

/// Place: the integer type of places; fits() tells whether i32 will do.
template <typename Place>
class ResampleAxis {
 public:
  DLCUDA_HD ResampleAxis(kernels::Resample mode, std::int64_t in, std::int64_t out, std::int64_t before)
      : mode_(mode),
        in_(static_cast<Place>(in)),
        out_(static_cast<Place>(out)),
        before_(static_cast<Place>(before)) {
    // The place of output o in the input is (o * step + offset) / unit.
    step_ = in_;
    unit_ = out_;
    offset_ = 0;
    ratio_ = static_cast<float>(in) / static_cast<float>(out);
    if (mode == kernels::Resample::Bilinear) {
      step_ = 2 * in_;
      unit_ = 2 * out_;
      offset_ = in_ - out_;
    } else if (mode == kernels::Resample::BilinearCorners) {
      step_ = out_ > 1 ? in_ - 1 : 0;
      unit_ = out_ > 1 ? out_ - 1 : 1;
    } else if (mode == kernels::Resample::Reflect) {
      step_ = unit_ = 1;
      offset_ = -before_;
    }
  }
  /// Whether the products that appear on the way fit into 31 bits.
  DLCUDA_HD static bool fits(std::int64_t in, std::int64_t out) {
    return in < (1 << 30) && out < (1 << 30) && (in + 2) * (out + 2) < (1 << 29);
  }

  DLCUDA_HD Place in() const { return in_; }
  DLCUDA_HD Place out() const { return out_; }

  template <typename C>
  DLCUDA_HD Taps<Place, C> taps(Place o) const {
    if (mode_ == kernels::Resample::Nearest) return {nearest(o), nearest(o), C(0)};
    Place place = o * step_ + offset_;
    if (mode_ == kernels::Resample::Reflect) {
      if (place < 0) place = -place;
      if (place > in_ - 1) place = 2 * (in_ - 1) - place;
      return {place, place, C(0)};
    }
    if (place < 0) place = 0;
    const Place first = place / unit_;
    if (first >= in_ - 1) return {in_ - 1, in_ - 1, C(0)};
    return {first, first + 1, static_cast<C>(place - first * unit_) / static_cast<C>(unit_)};
  }

  /// How much of input i is in output o.
  template <typename C>
  DLCUDA_HD C weight(Place o, Place i) const {
    const Taps<Place, C> t = taps<C>(o);
    C weight = t.first == i ? C(1) - t.share : C(0);
    if (t.second == i) weight += t.share;
    return weight;
  }

  DLCUDA_HD Range<Place> outputs_of(Place i) const {
    if (mode_ == kernels::Resample::Reflect) {
      const Place after = out_ - in_ - before_;
      return {i <= before_ ? before_ - i : i + before_,
              (in_ - 1 - i <= after ? 2 * (in_ - 1) - i + before_ : i + before_) + 1};
    }
    if (mode_ == kernels::Resample::Nearest) {
      return {first_reaching(i), i + 1 < in_ ? first_reaching(i + 1) : out_};
    }
    // All outputs whose place lies between i - 1 and i + 1, and a few more: weight() is 0 for those.
    if (step_ == 0) return {0, out_};
    const Place low = (i - 1) * unit_ - offset_, high = (i + 1) * unit_ - offset_;
    const Place begin = i <= 1 || low <= 0 ? 0 : low / step_;
    const Place end = i >= in_ - 1 || high < 0 ? out_ : high / step_ + 1;
    return {begin, end < out_ ? end : out_};
  }

 private:
  DLCUDA_HD Place nearest(Place o) const {
    const auto place = static_cast<Place>(static_cast<float>(o) * ratio_);
    return place < in_ ? place : in_ - 1;
  }
  /// The first output whose nearest element is i or a later one: the fraction says about where, f32 exactly.
  DLCUDA_HD Place first_reaching(Place i) const {
    Place o = i * unit_ / step_;
    while (o > 0 && nearest(o - 1) >= i) --o;
    while (o < out_ && nearest(o) < i) ++o;
    return o;
  }

  kernels::Resample mode_;
  Place in_, out_, before_;
  Place step_, unit_, offset_;
  float ratio_;
};

}  // namespace dlcuda::functors
