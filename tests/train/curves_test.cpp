#include "dlcuda/train/curves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "dlcuda/tests/support/xml.h"

namespace dlcuda {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Curves, WellFormedWithAxesLegendAndMark) {
  const std::string svg =
      draw_curves("a <model> on \"x\" & y",
                  {{"loss", false, {{"train", {2.3, 0.9, 0.4}}, {"validation", {1.5, 0.6, 0.5}}}},
                   {"accuracy", true, {{"train", {0.3, 0.8, 0.95}}}}},
                  3);
  expect_well_formed(svg);
  EXPECT_THAT(svg, HasSubstr("a &lt;model&gt; on &quot;x&quot; &amp; y"));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_EQ(count(svg, "<path"), 3u);
  EXPECT_EQ(count(svg, "<circle"), 9u);
  EXPECT_EQ(count(svg, "best: epoch 3"), 2u);
  for (const char* words :
       {">train<", ">validation<", ">loss<", ">accuracy<", ">epoch<", ">100%<", ">0.0<", ">2.5<"}) {
    EXPECT_THAT(svg, HasSubstr(words));
  }
}

TEST(Curves, OneEpochEqualValuesAndNothingAtAllAreDrawn) {
  for (const std::vector<double>& values : std::vector<std::vector<double>>{{}, {0.5}, {1, 1, 1}, {0, 0}}) {
    for (const bool percent : {false, true}) {
      const std::string svg = draw_curves("t", {{"p", percent, {{"c", values}}}}, 1);
      expect_well_formed(svg);
      EXPECT_THAT(svg, Not(HasSubstr("nan")));
      EXPECT_THAT(svg, Not(HasSubstr("inf\"")));
      EXPECT_EQ(count(svg, "<circle"), values.size());
    }
  }
}

TEST(Curves, ValuesThatAreNotFiniteLeaveAGap) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string svg = draw_curves("t", {{"p", false, {{"c", {1, nan, 2, 3}}}}}, 0);
  EXPECT_EQ(count(svg, "<circle"), 3u);
  const std::size_t path = svg.find("d=\"M");
  ASSERT_NE(path, std::string::npos);
  EXPECT_EQ(count(svg.substr(path, svg.find("\"/>", path) - path), "M"), 2u);
  EXPECT_THAT(svg, Not(HasSubstr("best:")));
}

TEST(Curves, AThousandEpochsStayReadable) {
  const std::vector<double> values(1000, 0.5);
  const std::string svg = draw_curves("t", {{"p", false, {{"c", values}}}}, 0);
  EXPECT_EQ(count(svg, "<circle"), 0u);
  EXPECT_LE(count(svg, "text-anchor=\"middle\""), 15u);
}

}  // namespace
}  // namespace dlcuda
