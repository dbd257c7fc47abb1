// The outlines of the generated shapes, as distances. Internal.
#pragma once

namespace dlcuda {

struct Point2 {
  float x, y;
};

/// How far `p` lies outside of shape `kind` (a place in kShapeNames), negative inside. The shape's furthest
/// points are about 1 away from the origin, none further; y goes down.
float distance_to_shape(int kind, Point2 p);

}  // namespace dlcuda
