// From the enumerations of kernels/boxes.h to the functors of functors/boxes.h, for both sides.
#pragma once

#include "dlcuda/kernels/boxes.h"
#include "dlcuda/kernels/functors/boxes.h"

namespace dlcuda::functors {

/// body(functor) for the chosen map, with arithmetic in T.
template <typename T, typename Body>
DLCUDA_INLINE void visit_box_map(kernels::BoxMap map, const kernels::BoxCoding& coding, const Body& body) {
  using kernels::BoxMap;
  const auto& w = coding.weights;
  const Decode<T> decode{{T(w[0]), T(w[1]), T(w[2]), T(w[3])}, T(coding.largest_log)};
  switch (map) {
    case BoxMap::ToCorners:
      return body(ToCorners<T>{});
    case BoxMap::ToCornersBackward:
      return body(ToCornersBackward<T>{});
    case BoxMap::ToCenters:
      return body(ToCenters<T>{});
    case BoxMap::ToCentersBackward:
      return body(ToCentersBackward<T>{});
    case BoxMap::Encode:
      return body(Encode<T>{{T(w[0]), T(w[1]), T(w[2]), T(w[3])}});
    case BoxMap::Decode:
      return body(decode);
    case BoxMap::DecodeBackward:
      return body(DecodeBackward<T>{decode});
  }
}

/// body.template operator()<kGeneralised>()
template <typename Body>
DLCUDA_INLINE void visit_box_overlap(kernels::BoxOverlap kind, const Body& body) {
  if (kind == kernels::BoxOverlap::Giou) {
    body.template operator()<true>();
  } else {
    body.template operator()<false>();
  }
}

}  // namespace dlcuda::functors
