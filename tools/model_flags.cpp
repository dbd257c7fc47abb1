#include "dlcuda/tools/model_flags.h"

#include <array>
#include <cstddef>

#include "dlcuda/train/command_line.h"

namespace dlcuda::tool {
namespace {

constexpr std::int64_t kMostExtent = 1 << 16, kMostClasses = 1'000'000, kMostBatch = 1'000'000'000;

}  // namespace

ImageShape parse_input(const std::string& text) {
  std::array<std::int64_t, 3> extents{};
  std::size_t at = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t end = i < 2 ? text.find('x', at) : text.size();
    DLCUDA_CHECK(end != std::string::npos, ArgumentError,
                 "--input: expected CxHxW, as in 3x224x224, got '{}'", text);
    extents[i] = command_line::parse_count("--input", text.substr(at, end - at), 1, kMostExtent);
    at = end + 1;
  }
  return {extents[0], extents[1], extents[2]};
}

void ModelFlags::add_to(CLI::App& app, const char* default_batch) {
  batch_size = default_batch;
  app.add_option("MODEL", model, "a model's name; `dlcuda info` lists them")->type_name("")->required();
  app.add_option("--input", input, "channels, height, width (default: the model's own)")->type_name("CxHxW");
  app.add_option("--classes", classes, "of the model's head (default: the published weights')")
      ->type_name("N");
  app.add_option("--batch-size", batch_size, fmt::format("pictures (default: {})", default_batch))
      ->type_name("N");
}

ModelChoice ModelFlags::choose() const {
  const ZooModel& found = find_model(model);
  return {found, input.empty() ? found.input : parse_input(input),
          classes.empty() ? found.classes : command_line::parse_count("--classes", classes, 1, kMostClasses)};
}

std::int64_t ModelFlags::parsed_batch_size() const {
  return command_line::parse_count("--batch-size", batch_size, 1, kMostBatch);
}

}  // namespace dlcuda::tool
