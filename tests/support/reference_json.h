// Values that PyTorch computed: tests/reference/*.json, each beside the script that wrote it.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dlcuda/kernels/copy.h"
#include "dlcuda/tests/support/compare.h"

namespace dlcuda {

/// tests/reference/NAME.json
inline nlohmann::json reference(const std::string& name) {
  std::ifstream file(DLCUDA_SOURCE_DIR "/tests/reference/" + name + ".json");
  EXPECT_TRUE(file.is_open()) << name;
  return nlohmann::json::parse(file);
}

/// {"shape": [...], "values": [...]}
inline Tensor reference_tensor(const nlohmann::json& described, DType dtype) {
  const auto shape = described["shape"].get<std::vector<std::int64_t>>();
  const auto values = described["values"].get<std::vector<double>>();
  return kernels::cast(Tensor::from_values(values, Shape(std::span(shape))), dtype);
}

/// Element by element, with the tolerances of the dtype.
inline void expect_near(const Tensor& got, const std::vector<double>& expected, const std::string& what) {
  SCOPED_TRACE(what);
  testing::expect_close(got, Tensor::from_values(expected, got.shape()));
}

}  // namespace dlcuda
