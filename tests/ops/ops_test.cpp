// The table at work: every case on every device, dtype and format against PyTorch's values and the f64
// implementation, its gradients against differences, its bits against those of another run, and its errors
// against their messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>

#include "dlcuda/core/error.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/optim/gradient_check.h"
#include "dlcuda/tests/ops/op_case.h"
#include "dlcuda/tests/support/compare.h"
#include "dlcuda/tests/support/deterministic_mode.h"

namespace dlcuda::hostcuda {
/// Of the host shim (tests/hostcuda/shim.h), where it is linked in.
[[gnu::weak]] void set_seed(std::uint64_t seed);
}  // namespace dlcuda::hostcuda

namespace dlcuda::testing {
namespace {

std::string test_name(const ::testing::TestParamInfo<OpCase>& info) {
  std::string name = info.param.name();
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

std::vector<Variant> variants_of(const OpCase& c) {
  std::vector<Variant> result;
  const bool shim = hostcuda::set_seed != nullptr;  // the CPU has had its turn in the other program
  for (const Variant& v : variants(c.has_images())) {
    if (c.supports(v.dtype) && !(shim && v.device.is_cpu())) result.push_back(v);
  }
  return result;
}

/// op, dtype and case (a case has one set of shapes) that ran, for the count at the end.
std::set<std::string>& cases_that_ran() {
  static std::set<std::string> all;
  return all;
}

double largest_of(const std::vector<double>& x) {
  double largest = 0;
  for (const double e : x) {
    if (std::isfinite(e)) largest = std::max(largest, std::abs(e));
  }
  return largest;
}

/// largest: the value that slack counts from.
void expect_near(const std::string& what, const std::vector<double>& actual,
                 const std::vector<double>& expected, DType dtype, double slack, double largest) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double a = actual[i], e = expected[i];
    const bool same = a == e || (std::isnan(a) && std::isnan(e)) ||
                      std::abs(a - e) <= allowed_error(dtype, slack, e, largest);
    if (!same && wrong++ == 0) first = i;
  }
  EXPECT_EQ(wrong, 0u) << what << ": " << wrong << " of " << actual.size() << " elements differ; the first, "
                       << first << ": got " << actual[first] << ", expected " << expected[first]
                       << " (largest " << largest << ")";
}

std::vector<std::pair<std::string, Tensor>> named(const Evaluation& evaluation) {
  std::vector<std::pair<std::string, Tensor>> all;
  for (std::size_t j = 0; j < evaluation.outputs.size(); ++j)
    all.emplace_back("out" + std::to_string(j), evaluation.outputs[j]);
  for (std::size_t i = 0; i < evaluation.gradients.size(); ++i) {
    if (evaluation.gradients[i].defined())
      all.emplace_back("grad" + std::to_string(i), evaluation.gradients[i]);
  }
  return all;
}

class Ops : public ::testing::TestWithParam<OpCase> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Ops);

TEST_P(Ops, Values) {
  const OpCase& c = GetParam();
  std::map<std::string, std::vector<double>> whole;  // of long tensors, in f64
  if (c.supports(DType::F64)) {
    const Variant reference{Device::cpu(), DType::F64, MemoryFormat::Contiguous};
    for (const auto& [key, x] : named(c.evaluate(c.inputs(reference)))) whole[key] = as_doubles(x);
  }
  double of_gradients = 0;  // all of them: a sum that cancels is as exact as its terms
  for (const int i : c.gradient_inputs()) {
    of_gradients =
        std::max(of_gradients, largest_of(as_doubles(stored_values(c, "grad" + std::to_string(i)))));
  }
  for (const Variant& v : variants_of(c)) {
    SCOPED_TRACE(to_string(v));
    const Inputs inputs = c.inputs(v);
    const Evaluation evaluation = c.evaluate(inputs);
    ASSERT_EQ(evaluation.outputs.size(), c.outputs());
    std::size_t gradients = 0;
    for (const auto& [key, x] : named(evaluation)) {
      const std::vector<double> elements = as_doubles(x);
      const std::vector<double> expected = as_doubles(stored_values(c, key));
      const double largest = key.starts_with("grad") ? of_gradients : largest_of(expected);
      expect_near(key, stored_elements(elements), expected, x.dtype(), c.slack(), largest);
      if (const auto f64 = whole.find(key); f64 != whole.end()) {
        expect_near(key + " against f64", elements, f64->second, x.dtype(), c.slack(), largest);
      }
      if (key.starts_with("grad")) {
        const Tensor& input = inputs[static_cast<std::size_t>(std::stoi(key.substr(4)))];
        ++gradients;
        EXPECT_EQ(x.shape(), input.shape()) << key;
        EXPECT_EQ(x.dtype(), input.dtype()) << key;
        EXPECT_EQ(x.format(), input.format()) << key;
      }
    }
    EXPECT_EQ(gradients, c.gradient_inputs().size());
    if (v.device.is_cuda() || !cuda_for_test().available) {
      cases_that_ran().insert(c.name() + " " + to_string(v.dtype));
    }
  }
}

// Differences cost two runs for each element: what is longer is covered by the case's smaller siblings.
constexpr std::int64_t kLongestNumeric = 600;

bool is_finite(const Tensor& x) {
  if (!x.defined()) return true;
  const std::vector<double> elements = as_doubles(x);
  return std::all_of(elements.begin(), elements.end(), [](double e) { return std::isfinite(e); });
}

TEST_P(Ops, NumericGradient) {
  const OpCase& c = GetParam();
  if (!c.checks_numeric_gradient()) return;
  for (const MemoryFormat format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
    if (format == MemoryFormat::ChannelsLast && !c.has_images()) continue;
    const Inputs all = c.inputs({Device::cpu(), DType::F64, format}, Fill::Smooth);
    if (!std::all_of(all.begin(), all.end(), is_finite)) return;  // no differences across NaN and infinity
    for (const int i : c.gradient_inputs()) {
      const auto at = static_cast<std::size_t>(i);
      if (all[at].numel() == 0 || all[at].numel() > kLongestNumeric) continue;
      for (std::size_t j = 0; j < c.outputs(); ++j) {
        Inputs inputs = all;
        const auto f = [&](const Inputs& one) {
          inputs[at] = one[0];
          return c.run(inputs)[j];
        };
        const Tensor y = f({all[at]});
        // Among many outputs one lies so near a kink that a difference crosses it.
        if (!c.upstream(j, y).defined() || y.numel() == 0 || y.numel() > 4 * kLongestNumeric) continue;
        SCOPED_TRACE(to_string(format) + ", input " + std::to_string(i) + ", output " + std::to_string(j));
        const GradientCheck check = check_gradients(f, {all[at]});
        EXPECT_TRUE(check.ok) << check.describe();
      }
    }
  }
}

std::vector<char> bytes_of(const Tensor& x) {
  std::vector<char> bytes(x.nbytes());
  x.copy_to_host(bytes.data());
  return bytes;
}

// On the host shim every run has another order of blocks and threads. The engines of libraries promise the
// same bits in deterministic mode only.
TEST_P(Ops, SameBitsEveryRun) {
  const OpCase& c = GetParam();
  const DeterministicMode mode;
  for (const Variant& v : variants_of(c)) {
    SCOPED_TRACE(to_string(v));
    const Inputs inputs = c.inputs(v);
    std::int64_t elements = 0;
    for (const Tensor& x : inputs) elements += x.defined() ? x.numel() : 0;
    const int runs = elements <= 4096 ? 20 : 3;
    std::vector<std::vector<char>> first;
    for (int run = 0; run < runs; ++run) {
      if (hostcuda::set_seed) hostcuda::set_seed(static_cast<std::uint64_t>(run) + 1);
      std::vector<std::vector<char>> bits;
      for (const auto& [key, x] : named(c.evaluate(inputs))) bits.push_back(bytes_of(x));
      if (run == 0) first = bits;
      ASSERT_EQ(bits, first) << "run " << run;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, Ops, ::testing::ValuesIn(stored_cases()), test_name);

TEST(OpTable, EveryOperationHasCasesAndErrors) {
  std::map<std::string, int> cases;
  for (const OpCase& c : stored_cases()) {
    EXPECT_TRUE(all_ops().contains(c.op())) << c.op() << " has stored values, but is not in the C++ table";
    ++cases[c.op()];
  }
  for (const auto& [op, count] : cases) {
    EXPECT_GE(count, 8) << op;
    const auto found = all_errors().find(op);
    ASSERT_NE(found, all_errors().end()) << op << " has no error cases";
    std::set<Aspect> aspects;
    for (const ErrorCase& e : found->second) aspects.insert(e.aspect);
    for (const Aspect aspect : {Aspect::Rank, Aspect::Shape, Aspect::DType, Aspect::Device}) {
      EXPECT_TRUE(aspects.contains(aspect)) << op << " has no error case of " << to_string(aspect);
    }
  }
  if (!std::getenv("DLCUDA_OPS_FAMILY")) {
    for (const auto& [op, run] : all_ops()) EXPECT_TRUE(cases.contains(op)) << op << " has no stored values";
  }
}

TEST(OpTable, Errors) {
  std::set<std::string> ops;  // of this run's families
  for (const OpCase& c : stored_cases()) ops.insert(c.op());
  for (const auto& [op, cases] : all_errors()) {
    EXPECT_TRUE(all_ops().contains(op)) << op;
    if (!ops.contains(op)) continue;
    for (const ErrorCase& e : cases) {
      if (!e.call) continue;
      for (const Device device : test_devices()) {
        if (e.aspect == Aspect::Device && !device.is_cuda()) continue;
        SCOPED_TRACE(op + ", wrong " + to_string(e.aspect) + ", " + to_string(device));
        try {
          e.call(device);
          ADD_FAILURE() << "nothing was thrown; expected: " << e.message;
        } catch (const Error& error) {
          EXPECT_EQ(std::string(error.what()), e.message);
        }
      }
    }
  }
}

/// At the end: how many op x dtype x shape cases ran, for ctest to print (count.cmake).
class Count : public ::testing::Environment {
 public:
  void TearDown() override {
    const char* path = std::getenv("DLCUDA_OPS_COUNT");
    if (path) std::ofstream(path) << cases_that_ran().size() << "\n";
  }
};
const auto* const kCount = ::testing::AddGlobalTestEnvironment(new Count);

}  // namespace
}  // namespace dlcuda::testing
