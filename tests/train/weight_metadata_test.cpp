#include "dlcuda/train/weight_metadata.h"

#include <gtest/gtest.h>

#include "dlcuda/core/error.h"
#include "dlcuda/tests/support/errors.h"

namespace dlcuda {
namespace {

TEST(WeightMetadata, ComesBackAsItWas) {
  const WeightMetadata metadata{.input = ImageShape{3, 64, 48},
                                .classes = {"cat", "a \"dog\"", "ünïcode"},
                                .normalization = Normalization{{0.1f, 0.2f, 0.3f}, {1.0f, 0.25f, 1e-3f}}};
  EXPECT_EQ(read_metadata(to_metadata(metadata), "file"), metadata);
  EXPECT_EQ(read_metadata(to_metadata({}), "file"), WeightMetadata());
  EXPECT_TRUE(to_metadata({}).empty());
  EXPECT_EQ(read_metadata({{"format", "pt"}}, "file"), WeightMetadata());
}

TEST(WeightMetadata, OtherFormsAreRefused) {
  const auto refuse = [](const char* key, const char* value) {
    SCOPED_TRACE(value);
    expect_error<FormatError>([&] { read_metadata({{key, value}}, "a.safetensors"); }, "a.safetensors", key);
  };
  for (const char* value : {"", "3x4", "3x4x5x6", "0x4x5", "-1x4x5", "1x1x99999", "axbxc", "1x2x3 "}) {
    refuse("input", value);
  }
  for (const char* value : {"", "cat", "[]", "{}", "[1, 2]", "[\"a\", null]", "[\"a\""})
    refuse("classes", value);
  for (const char* value :
       {"", "[]", "{}", R"({"mean": [0.5]})", R"({"mean": 1, "std": 1})", R"({"mean": [], "std": []})",
        R"({"mean": [0], "std": [0]})", R"({"mean": [0], "std": [-1]})", R"({"mean": ["a"], "std": [1]})",
        R"({"mean": [1e300], "std": [1]})"}) {
    refuse("normalization", value);
  }
}

}  // namespace
}  // namespace dlcuda
