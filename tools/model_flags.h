// Flags that say which model, for pictures of which size.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "dlcuda/data/dataset.h"
#include "dlcuda/models/zoo.h"

namespace dlcuda::tool {

/// "CxHxW": "3x224x224". Throws ArgumentError.
ImageShape parse_input(const std::string& text);

/// What a model is asked about with.
struct ModelChoice {
  const ZooModel& model;
  ImageShape input;
  std::int64_t classes;

  std::unique_ptr<Module> make() const { return model.make(classes, input.channels); }
};

struct ModelFlags {
  std::string model, input, classes, batch_size;

  /// MODEL, --input, --classes, --batch-size.
  void add_to(CLI::App& app, const char* default_batch);
  /// Throws ArgumentError for an unknown model, with the nearest name, and for bad sizes.
  ModelChoice choose() const;
  std::int64_t parsed_batch_size() const;
};

}  // namespace dlcuda::tool
