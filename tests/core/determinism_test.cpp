#include "dlcuda/core/determinism.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/deterministic_mode.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda {
namespace {

TEST(Determinism, IsOffAtFirst) {
  EXPECT_FALSE(deterministic());
  EXPECT_NO_THROW(refuse_if_deterministic("an operation", "another"));
}

TEST(Determinism, RefusesAndNamesTheAlternative) {
  const DeterministicMode mode;
  EXPECT_TRUE(deterministic());
  EXPECT_EQ(
      message_of<Error>([] { refuse_if_deterministic("conv2d_forward", "channels-last tensors"); }),
      "conv2d_forward has no deterministic implementation for these arguments, and deterministic mode is "
      "on: use channels-last tensors, or turn it off with set_deterministic(false)");
}

}  // namespace
}  // namespace dlcuda
