// Values that PyTorch computed: tests/reference/*.json, each beside the script that wrote it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dlcuda/kernels/copy.h"

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
  const bool exact = got.dtype() == DType::F64;
  const double rtol = exact ? 1e-7 : 1.3e-6, atol = exact ? 1e-7 : 1e-5;
  const auto values = kernels::cast(got, DType::F64).values<double>();
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], atol + rtol * std::abs(expected[i])) << what << ", element " << i;
  }
}

}  // namespace dlcuda
