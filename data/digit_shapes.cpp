#include "dlcuda/data/digit_shapes.h"

#include <array>
#include <cstddef>

namespace dlcuda {
namespace {

constexpr bool kCorner = true;

using Shapes = std::vector<DigitShape>;

Shapes zero() {
  return {
      // closed; narrow and overlapping at the top; round and open
      {{{.55f, .05f},
        {.25f, .25f},
        {.18f, .55f},
        {.32f, .90f},
        {.55f, .95f},
        {.78f, .75f},
        {.83f, .42f},
        {.72f, .12f},
        {.52f, .06f}}},
      {{{.62f, .08f},
        {.38f, .20f},
        {.28f, .50f},
        {.33f, .82f},
        {.50f, .94f},
        {.66f, .78f},
        {.72f, .48f},
        {.65f, .20f},
        {.50f, .10f},
        {.40f, .20f}}},
      {{{.50f, .08f},
        {.20f, .30f},
        {.15f, .60f},
        {.40f, .93f},
        {.70f, .85f},
        {.85f, .55f},
        {.75f, .20f},
        {.58f, .10f}}},
  };
}

Shapes one() {
  return {
      // a bar; a slanting bar; with a flag; with a flag and a foot
      {{{.50f, .05f}, {.50f, .95f}}},
      {{{.57f, .05f}, {.51f, .50f}, {.46f, .95f}}},
      {{{.32f, .27f}, {.52f, .05f, kCorner}, {.52f, .95f}}},
      {{{.30f, .26f}, {.52f, .05f, kCorner}, {.52f, .95f}}, {{.28f, .95f}, {.76f, .94f}}},
  };
}

Shapes two() {
  return {
      // with a corner at the foot; with a loop; like a Z
      {{{.20f, .28f},
        {.35f, .08f},
        {.62f, .07f},
        {.78f, .27f},
        {.65f, .52f},
        {.40f, .75f},
        {.18f, .93f, kCorner},
        {.82f, .92f}}},
      {{{.22f, .25f},
        {.42f, .06f},
        {.68f, .12f},
        {.74f, .36f},
        {.55f, .65f},
        {.30f, .88f},
        {.17f, .86f},
        {.24f, .74f},
        {.42f, .80f},
        {.62f, .93f},
        {.85f, .88f}}},
      {{{.22f, .20f},
        {.50f, .06f},
        {.76f, .20f},
        {.70f, .42f},
        {.20f, .90f, kCorner},
        {.50f, .86f},
        {.83f, .93f}}},
  };
}

Shapes three() {
  return {
      // two bowls; a flatter pair; a straight top
      {{{.22f, .18f},
        {.45f, .05f},
        {.70f, .15f},
        {.70f, .35f},
        {.45f, .47f, kCorner},
        {.72f, .55f},
        {.78f, .75f},
        {.55f, .94f},
        {.20f, .85f}}},
      {{{.25f, .12f},
        {.55f, .06f},
        {.72f, .22f},
        {.58f, .43f},
        {.42f, .47f, kCorner},
        {.65f, .50f},
        {.75f, .68f},
        {.60f, .90f},
        {.25f, .92f}}},
      {{{.22f, .08f},
        {.75f, .08f, kCorner},
        {.45f, .42f, kCorner},
        {.72f, .52f},
        {.78f, .74f},
        {.55f, .94f},
        {.22f, .86f}}},
  };
}

Shapes four() {
  return {
      // open; closed, in one stroke; open and round
      {{{.28f, .08f}, {.20f, .58f, kCorner}, {.84f, .55f}}, {{.66f, .22f}, {.61f, .95f}}},
      {{{.62f, .95f}, {.64f, .05f, kCorner}, {.15f, .65f, kCorner}, {.86f, .65f}}},
      {{{.28f, .10f}, {.22f, .40f}, {.38f, .56f}, {.74f, .46f}}, {{.74f, .10f}, {.70f, .50f}, {.64f, .95f}}},
  };
}

Shapes five() {
  return {
      // the cap as a second stroke; all in one; like an S
      {{{.28f, .10f},
        {.25f, .45f, kCorner},
        {.50f, .40f},
        {.76f, .55f},
        {.74f, .80f},
        {.50f, .95f},
        {.20f, .86f}},
       {{.28f, .10f}, {.78f, .08f}}},
      {{{.78f, .08f},
        {.34f, .10f, kCorner},
        {.28f, .44f, kCorner},
        {.58f, .42f},
        {.78f, .62f},
        {.66f, .88f},
        {.40f, .95f},
        {.18f, .85f}}},
      {{{.77f, .08f},
        {.45f, .08f},
        {.28f, .26f},
        {.42f, .43f},
        {.68f, .56f},
        {.70f, .80f},
        {.48f, .94f},
        {.20f, .88f}}},
  };
}

Shapes six() {
  return {
      // a bent stem; an upright stem; a small bowl
      {{{.65f, .05f},
        {.38f, .30f},
        {.24f, .62f},
        {.32f, .88f},
        {.55f, .95f},
        {.76f, .78f},
        {.68f, .56f},
        {.45f, .55f},
        {.27f, .72f}}},
      {{{.35f, .05f},
        {.25f, .40f},
        {.25f, .75f},
        {.45f, .95f},
        {.70f, .85f},
        {.72f, .62f},
        {.50f, .52f},
        {.27f, .66f}}},
      {{{.75f, .10f},
        {.45f, .16f},
        {.25f, .45f},
        {.22f, .75f},
        {.42f, .95f},
        {.66f, .88f},
        {.70f, .70f},
        {.52f, .60f},
        {.30f, .74f}}},
  };
}

Shapes seven() {
  return {
      // plain; with a bar; with a serif; with a wavy roof
      {{{.18f, .10f}, {.80f, .08f, kCorner}, {.58f, .50f}, {.45f, .95f}}},
      {{{.18f, .10f}, {.80f, .08f, kCorner}, {.58f, .50f}, {.47f, .95f}}, {{.33f, .52f}, {.75f, .48f}}},
      {{{.20f, .27f}, {.22f, .08f, kCorner}, {.80f, .10f, kCorner}, {.55f, .45f}, {.50f, .95f}}},
      {{{.18f, .18f}, {.40f, .10f}, {.60f, .15f}, {.80f, .08f, kCorner}, {.55f, .50f}, {.40f, .95f}}},
  };
}

Shapes eight() {
  return {
      // an S that comes back; two circles; open at the upper right
      {{{.70f, .15f},
        {.45f, .05f},
        {.27f, .22f},
        {.45f, .43f},
        {.70f, .62f},
        {.68f, .88f},
        {.45f, .95f},
        {.26f, .80f},
        {.38f, .56f},
        {.65f, .36f},
        {.72f, .17f},
        {.62f, .08f}}},
      {{{.50f, .05f}, {.30f, .14f}, {.29f, .34f}, {.50f, .45f}, {.70f, .34f}, {.70f, .14f}, {.48f, .05f}},
       {{.50f, .45f}, {.25f, .58f}, {.24f, .84f}, {.50f, .95f}, {.76f, .84f}, {.75f, .58f}, {.50f, .45f}}},
      {{{.70f, .12f},
        {.42f, .06f},
        {.30f, .26f},
        {.55f, .48f},
        {.72f, .72f},
        {.52f, .95f},
        {.30f, .82f},
        {.42f, .55f},
        {.74f, .14f}}},
  };
}

Shapes nine() {
  return {
      // a straight leg; a curled tail; a slanting leg
      {{{.70f, .20f},
        {.50f, .06f},
        {.27f, .20f},
        {.30f, .42f},
        {.52f, .48f},
        {.70f, .30f},
        {.73f, .12f, kCorner},
        {.68f, .95f}}},
      {{{.72f, .20f},
        {.50f, .06f},
        {.26f, .22f},
        {.32f, .45f},
        {.56f, .47f},
        {.73f, .22f, kCorner},
        {.75f, .60f},
        {.62f, .90f},
        {.32f, .92f}}},
      {{{.66f, .12f},
        {.40f, .08f},
        {.28f, .28f},
        {.42f, .45f},
        {.62f, .34f},
        {.70f, .10f, kCorner},
        {.60f, .55f},
        {.42f, .95f}}},
  };
}

}  // namespace

const std::vector<DigitShape>& digit_shapes(int digit) {
  static const std::array<Shapes, 10> shapes = {zero(), one(), two(),   three(), four(),
                                                five(), six(), seven(), eight(), nine()};
  return shapes.at(static_cast<std::size_t>(digit));
}

}  // namespace dlcuda
