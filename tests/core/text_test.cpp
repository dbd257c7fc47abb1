#include "dlcuda/core/text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace dlcuda {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsAndSubstitutions) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("sitting", "kitten"), 3u);
  EXPECT_EQ(edit_distance("digits", "digits"), 0u);
}

TEST(NearestName, FindsTheClosestAndIgnoresCase) {
  const std::vector<std::string> names = {"--data", "--data-dir", "--device", "--epochs"};
  EXPECT_EQ(nearest_name("--date", names), "--data");
  EXPECT_EQ(nearest_name("--datadir", names), "--data-dir");
  EXPECT_EQ(nearest_name("--EPOCH", names), "--epochs");
}

TEST(NearestName, TakesTheFirstAmongEquals) {
  const std::vector<std::string> names = {"bat", "cat"};
  EXPECT_EQ(nearest_name("hat", names), "bat");
}

TEST(NearestName, SaysNothingWhenNothingIsClose) {
  const std::vector<std::string> names = {"digits", "mnist"};
  EXPECT_EQ(nearest_name("imagenet", names), std::nullopt);
  EXPECT_EQ(nearest_name("", names), std::nullopt);
  EXPECT_EQ(nearest_name("ab", std::vector<std::string>{"xy"}), std::nullopt);  // nothing in common
  EXPECT_EQ(nearest_name("digits", {}), std::nullopt);
}

TEST(DidYouMean, IsAnEndingOrNothing) {
  const std::vector<std::string> names = {"digits", "mnist"};
  EXPECT_EQ(did_you_mean("minst", names), "; did you mean 'mnist'?");
  EXPECT_EQ(did_you_mean("imagenet", names), "");
}

}  // namespace
}  // namespace dlcuda
