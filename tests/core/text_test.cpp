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

TEST(NearestName, IsQuickWhereNamesAreEndless) {
  const std::vector<std::string> names(1000, "features.0.weight");
  EXPECT_EQ(nearest_name(std::string(10'000'000, 'w'), names), std::nullopt);
}

TEST(MatchesPattern, KnowsStarsAndQuestionMarks) {
  EXPECT_TRUE(matches_pattern("", ""));
  EXPECT_TRUE(matches_pattern("", "**"));
  EXPECT_FALSE(matches_pattern("", "?"));
  EXPECT_FALSE(matches_pattern("a", ""));
  EXPECT_TRUE(matches_pattern("fc.weight", "fc.weight"));
  EXPECT_FALSE(matches_pattern("fc.weight", "fc"));
  EXPECT_FALSE(matches_pattern("fc", "fc.*"));
  EXPECT_TRUE(matches_pattern("fc.", "fc.*"));
  EXPECT_TRUE(matches_pattern("layer1.0.bn1.weight", "layer1.*"));
  EXPECT_TRUE(matches_pattern("layer1.0.bn1.weight", "*.bn?.*"));
  EXPECT_TRUE(matches_pattern("layer1.0.bn1.weight", "*weight"));
  EXPECT_FALSE(matches_pattern("layer1.0.bn12.weight", "*.bn?.*"));
  EXPECT_FALSE(matches_pattern("layer1.0.bn1.weight", "layer?.?.weight"));
  EXPECT_FALSE(matches_pattern("fcxweight", "fc.weight"));  // a dot is a dot
  EXPECT_TRUE(matches_pattern("abab", "*ab"));              // the first "ab" is not the one
  EXPECT_TRUE(matches_pattern("aXbXc", "a*X*c"));
  EXPECT_FALSE(matches_pattern("aXbXcd", "a*X*c"));
}

TEST(MatchesPattern, IsQuickWhereManyStarsFail) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "*a";
  EXPECT_FALSE(matches_pattern(std::string(2000, 'a'), pattern + "b"));
}

TEST(DidYouMean, KnowsGroupsOfNames) {
  const std::vector<std::string> names = {"features.0.weight", "classifier.weight", "classifier.bias"};
  EXPECT_EQ(did_you_mean_pattern("clasifier.*", names), "; did you mean 'classifier.*'?");
  EXPECT_EQ(did_you_mean_pattern("feature.0.*", names), "; did you mean 'features.0.*'?");
  EXPECT_EQ(did_you_mean_pattern("classifier.wight", names), "; did you mean 'classifier.weight'?");
  EXPECT_EQ(did_you_mean_pattern("*x*", names), "");
}

TEST(DidYouMean, IsAnEndingOrNothing) {
  const std::vector<std::string> names = {"digits", "mnist"};
  EXPECT_EQ(did_you_mean("minst", names), "; did you mean 'mnist'?");
  EXPECT_EQ(did_you_mean("imagenet", names), "");
}

TEST(FormatColumns, AlignsCells) {
  const std::vector<std::vector<std::string>> rows{{"name", "count"}, {"a", "1,000,000"}, {"", ""}};
  EXPECT_EQ(format_columns(rows, "<>"), "name      count\na     1,000,000\n\n");
  EXPECT_EQ(format_columns({}, "<"), "");
}

}  // namespace
}  // namespace dlcuda
