#include "dlcuda/train/weight_metadata.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "dlcuda/core/check.h"

namespace dlcuda {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& path, const char* key, const char* expected,
                         const std::string& text) {
  constexpr std::size_t kShown = 80;
  DLCUDA_THROW(FormatError, "{}: metadata: '{}': expected {}, got '{}'", path, key, expected,
               text.size() > kShown ? text.substr(0, kShown) + "..." : text);
}

ImageShape read_shape(const std::string& text, const std::string& path) {
  constexpr std::int64_t kMostExtent = 1 << 16;
  ImageShape shape;
  int end = 0;
  // Up to six digits each: nothing overflows.
  long extents[3] = {};
  const int got = std::sscanf(text.c_str(), "%6ldx%6ldx%6ld%n", &extents[0], &extents[1], &extents[2], &end);
  bool good = got == 3 && std::size_t(end) == text.size();
  for (const long extent : extents) good = good && extent >= 1 && extent <= kMostExtent;
  if (!good) refuse(path, "input", "channels, height and width as in 3x224x224", text);
  return {extents[0], extents[1], extents[2]};
}

std::vector<std::string> read_classes(const std::string& text, const std::string& path) {
  const json list = json::parse(text, nullptr, false);
  std::vector<std::string> classes;
  if (!list.is_array() || list.empty()) refuse(path, "classes", "a JSON list of texts", text);
  for (const json& name : list) {
    if (!name.is_string()) refuse(path, "classes", "a JSON list of texts", text);
    classes.push_back(name.get<std::string>());
  }
  return classes;
}

Normalization read_normalization(const std::string& text, const std::string& path) {
  const json object = json::parse(text, nullptr, false);
  constexpr const char* kExpected = R"(JSON like {"mean": [0.5], "std": [0.25]}, finite, deviations above 0)";
  const auto numbers = [&](const char* key) {
    if (!object.is_object() || !object.contains(key) || !object[key].is_array() || object[key].empty()) {
      refuse(path, "normalization", kExpected, text);
    }
    std::vector<float> values;
    for (const json& number : object[key]) {
      const double value = number.is_number() ? number.get<double>() : std::nan("");
      if (!std::isfinite(float(value))) refuse(path, "normalization", kExpected, text);
      values.push_back(float(value));
    }
    return values;
  };
  Normalization result{numbers("mean"), numbers("std")};
  for (const float deviation : result.std) {
    if (deviation <= 0) refuse(path, "normalization", kExpected, text);
  }
  return result;
}

}  // namespace

std::map<std::string, std::string> to_metadata(const WeightMetadata& metadata) {
  std::map<std::string, std::string> result;
  if (metadata.input) result["input"] = to_string(*metadata.input);
  if (!metadata.classes.empty()) result["classes"] = json(metadata.classes).dump();
  if (metadata.normalization) {
    const Normalization& normalization = *metadata.normalization;
    result["normalization"] = json{{"mean", normalization.mean}, {"std", normalization.std}}.dump();
  }
  return result;
}

WeightMetadata read_metadata(const std::map<std::string, std::string>& metadata, const std::string& path) {
  WeightMetadata result;
  const auto on = [&](const char* key, const auto& use) {
    if (const auto found = metadata.find(key); found != metadata.end()) use(found->second);
  };
  on("input", [&](const std::string& text) { result.input = read_shape(text, path); });
  on("classes", [&](const std::string& text) { result.classes = read_classes(text, path); });
  on("normalization",
     [&](const std::string& text) { result.normalization = read_normalization(text, path); });
  return result;
}

}  // namespace dlcuda
