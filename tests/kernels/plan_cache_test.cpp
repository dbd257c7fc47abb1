#include "dlcuda/kernels/plan_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda::kernels {
namespace {

TEST(PlanCache, KeepsChoicesFromOneProcessToTheNext) {
  const TempFolder folder;
  const auto file = folder / "not" / "made" / "yet" / "plans.txt";
  {
    PlanCache cache(file);
    EXPECT_EQ(cache.find("a"), std::nullopt);
    cache.store("a", "engine 7");
    cache.store("b", "");
    EXPECT_EQ(cache.find("a"), "engine 7");
    cache.store("a", "engine 8");
  }
  PlanCache next(file);
  EXPECT_EQ(next.find("a"), "engine 8");
  EXPECT_EQ(next.find("b"), "");
  EXPECT_EQ(next.find("c"), std::nullopt);
  EXPECT_EQ(read_text(file), "dlcuda plans 1\na\tengine 8\nb\t\n");
}

TEST(PlanCache, AFieldIsOneField) {
  const TempFolder folder;
  PlanCache(folder / "plans").store("a\tb\nc", "d\r\te\n");
  EXPECT_EQ(PlanCache(folder / "plans").find("a\tb\nc"), "d  e ");
  EXPECT_EQ(PlanCache(folder / "plans").find("a b c"), "d  e ");
}

TEST(PlanCache, KeepsWhatOtherProcessesHaveWritten) {
  const TempFolder folder;
  PlanCache one(folder / "plans"), other(folder / "plans");
  EXPECT_EQ(one.find("x"), std::nullopt);  // has read the file
  other.store("y", "2");
  other.store("z", "other");
  one.store("x", "1");
  one.store("z", "one");
  PlanCache third(folder / "plans");
  EXPECT_EQ(third.find("x"), "1");
  EXPECT_EQ(third.find("y"), "2");
  EXPECT_EQ(third.find("z"), "one");  // the last word
}

TEST(PlanCache, DamagedAndForeignFilesAreIgnoredAndReplaced) {
  const std::string good = "dlcuda plans 1\na\t1\nb\t2\n";
  const std::string wrong[] = {
      "",
      "\n",
      "dlcuda plans 1",                 // no line end
      "dlcuda plans 2\na\t1\n",         // another version
      "{\"a\": 1}\n",                   // another format
      good.substr(0, good.size() - 1),  // cut off
      "dlcuda plans 1\na 1\n",          // no tab
      "dlcuda plans 1\na\t1\t2\n",      // two
      "dlcuda plans 1\na\t1\n\n",       // an empty line
      std::string(4096, '\0'),
      std::string("\xff\xfe\n\t\n", 5),
  };
  for (const std::string& content : wrong) {
    SCOPED_TRACE(content.substr(0, 40));
    const TempFolder folder;
    write_text(folder / "plans", content);
    PlanCache cache(folder / "plans");
    EXPECT_EQ(cache.find("a"), std::nullopt);
    cache.store("c", "3");
    EXPECT_EQ(read_text(folder / "plans"), "dlcuda plans 1\nc\t3\n");
  }
  const TempFolder folder;
  write_text(folder / "plans", good);
  EXPECT_EQ(PlanCache(folder / "plans").find("b"), "2");
}

TEST(PlanCache, AFileThatIsTooLargeIsIgnored) {
  const TempFolder folder;
  write_text(folder / "plans", "dlcuda plans 1\na\t" + std::string(PlanCache::kLargestFile, 'x') + "\n");
  EXPECT_EQ(PlanCache(folder / "plans").find("a"), std::nullopt);
  PlanCache cache(folder / "others");
  cache.store("a", std::string(PlanCache::kLargestFile, 'x'));  // kept in memory, not written
  EXPECT_TRUE(cache.find("a").has_value());
  EXPECT_FALSE(std::filesystem::exists(folder / "others"));
}

TEST(PlanCache, WorksWithoutAPlaceToWrite) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "plans");
  write_text(folder / "file", "");
  for (const auto& path : {std::filesystem::path(), folder / "plans", folder / "file" / "plans"}) {
    SCOPED_TRACE(path.string());
    PlanCache cache(path);
    cache.store("a", "1");
    EXPECT_EQ(cache.find("a"), "1");
    EXPECT_EQ(PlanCache(path).find("a"), std::nullopt);
  }
}

TEST(PlanCache, SeveralThreads) {
  const TempFolder folder;
  PlanCache cache(folder / "plans");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (int i = 0; i < 8; ++i) {
        const std::string key = std::to_string(t) + "/" + std::to_string(i);
        cache.store(key, key);
        EXPECT_EQ(cache.find(key), key);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  PlanCache next(folder / "plans");
  for (int t = 0; t < 4; ++t) EXPECT_EQ(next.find(std::to_string(t) + "/7"), std::to_string(t) + "/7");
}

/// Sets environment variables (null removes one), and puts them back.
class Environment {
 public:
  explicit Environment(std::vector<std::pair<const char*, const char*>> values) {
    for (const auto& [name, value] : values) {
      const char* before = std::getenv(name);
      before_.emplace_back(name, before ? std::optional<std::string>(before) : std::nullopt);
      value ? ::setenv(name, value, 1) : ::unsetenv(name);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

std::filesystem::path folder_with(const char* ours, const char* xdg, const char* home) {
  const Environment environment({{"DLCUDA_CACHE_DIR", ours}, {"XDG_CACHE_HOME", xdg}, {"HOME", home}});
  return cache_folder();
}

TEST(PlanCache, CacheFolder) {
  EXPECT_EQ(folder_with("/ours", "/xdg", "/home/me"), "/ours");
  EXPECT_EQ(folder_with("here", "/xdg", "/home/me"), "here");
  EXPECT_EQ(folder_with(nullptr, "/xdg", "/home/me"), "/xdg/dlcuda");
  EXPECT_EQ(folder_with("", "relative", "/home/me"), "/home/me/.cache/dlcuda");
  EXPECT_EQ(folder_with(nullptr, nullptr, "/home/me"), "/home/me/.cache/dlcuda");
  EXPECT_EQ(folder_with(nullptr, "", nullptr), "");
}

}  // namespace
}  // namespace dlcuda::kernels
