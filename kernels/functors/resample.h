// Which elements of an input axis an output element is made of, and the other way round. All arithmetic on
// places is on integers, so that both devices agree to the last bit and no picture is too large for an exact
// weight.
#pragma once

#include <cstdint>

#include "dlcuda/core/macros.h"
#include "dlcuda/kernels/resample.h"

namespace dlcuda::functors {

/// An output element is (1 - share) * in[first] + share * in[second].
template <typename C>
struct Taps {
  std::int64_t first, second;
  C share;
};

/// Inputs are asked for the outputs that they might be part of: first, one past the last.
struct Range {
  std::int64_t begin, end;
};

class ResampleAxis {
 public:
  DLCUDA_HD ResampleAxis(kernels::Resample mode, std::int64_t in, std::int64_t out, std::int64_t before)
      : mode_(mode), in_(in), out_(out), before_(before) {
    // The place of output o in the input is (o * step + offset) / unit.
    step_ = in;
    unit_ = out;
    offset_ = 0;
    if (mode == kernels::Resample::Bilinear) {
      step_ = 2 * in;
      unit_ = 2 * out;
      offset_ = in - out;
    } else if (mode == kernels::Resample::BilinearCorners) {
      step_ = out > 1 ? in - 1 : 0;
      unit_ = out > 1 ? out - 1 : 1;
    } else if (mode == kernels::Resample::Reflect) {
      step_ = unit_ = 1;
      offset_ = -before;
    }
  }

  DLCUDA_HD std::int64_t in() const { return in_; }
  DLCUDA_HD std::int64_t out() const { return out_; }

  template <typename C>
  DLCUDA_HD Taps<C> taps(std::int64_t o) const {
    std::int64_t place = o * step_ + offset_;
    if (mode_ == kernels::Resample::Reflect) {
      if (place < 0) place = -place;
      if (place > in_ - 1) place = 2 * (in_ - 1) - place;
      return {place, place, C(0)};
    }
    if (place < 0) place = 0;
    std::int64_t first = place / unit_;
    if (first > in_ - 1) first = in_ - 1;
    if (mode_ == kernels::Resample::Nearest || first == in_ - 1) return {first, first, C(0)};
    return {first, first + 1, static_cast<C>(place % unit_) / static_cast<C>(unit_)};
  }

  /// How much of input i is in output o.
  template <typename C>
  DLCUDA_HD C weight(std::int64_t o, std::int64_t i) const {
    const Taps<C> t = taps<C>(o);
    C weight = t.first == i ? C(1) - t.share : C(0);
    if (t.second == i) weight += t.share;
    return weight;
  }

  DLCUDA_HD Range outputs_of(std::int64_t i) const {
    if (mode_ == kernels::Resample::Reflect) {
      const std::int64_t after = out_ - in_ - before_;
      return {i <= before_ ? before_ - i : i + before_,
              (in_ - 1 - i <= after ? 2 * (in_ - 1) - i + before_ : i + before_) + 1};
    }
    // All outputs whose place lies between i - 1 and i + 1, and a few more: weight() is 0 for those.
    if (step_ == 0) return {0, out_};
    const std::int64_t low = (i - 1) * unit_ - offset_, high = (i + 1) * unit_ - offset_;
    const std::int64_t begin = i <= 1 || low <= 0 ? 0 : low / step_;
    const std::int64_t end = i >= in_ - 1 || high < 0 ? out_ : high / step_ + 1;
    return {begin, end < out_ ? end : out_};
  }

 private:
  kernels::Resample mode_;
  std::int64_t in_, out_, before_;
  std::int64_t step_, unit_, offset_;
};

}  // namespace dlcuda::functors
