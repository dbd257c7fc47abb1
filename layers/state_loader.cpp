#include "dlcuda/layers/state_loader.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "dlcuda/core/autograd.h"
#include "dlcuda/core/check.h"
#include "dlcuda/core/text.h"
#include "dlcuda/kernels/copy.h"

namespace dlcuda {
namespace {

/// Beyond so many differences of one kind it is another model, and every name would be compared with every
/// other.
constexpr std::size_t kMostSuggestions = 40;

/// A difference in precision only.
bool converts(DType from, DType to) {
  const auto is_weight = [](DType dtype) {
    return dtype == DType::F32 || dtype == DType::BF16 || dtype == DType::F16;
  };
  return from == to || (is_weight(from) && is_weight(to));
}

std::string describe(DType dtype, const Shape& shape) {
  return fmt::format("{} {}", to_string(dtype), to_string(shape));
}

void add_nearest(std::vector<LoadReport::Difference>& differences,
                 const std::vector<std::string>& candidates) {
  const std::size_t count = std::min(differences.size(), kMostSuggestions);
  for (std::size_t i = 0; i < count; ++i) {
    differences[i].nearest = nearest_name(differences[i].name, candidates).value_or("");
  }
}

/// A value on its way into a tensor of the module.
struct Assignment {
  std::size_t own, given;
};

class Comparison {
 public:
  Comparison(const NamedTensors& own, const StateSource& source, const LoadOptions& options)
      : own_(own), source_(source), options_(options) {
    for (const auto& [name, tensor] : own_) own_names_.push_back(name);
    for (std::size_t i = 0; i < source_.entries.size(); ++i) {
      const std::string& name = source_.entries[i].name;
      given_names_.push_back(name);
      if (!given_.emplace(name, i).second) twice_ += fmt::format("\n  given twice: {}", name);
    }
    check_patterns();
    compare();
  }

  /// Throws unless the differences are allowed.
  void check(const std::string& module) const {
    if (twice_.empty() && (options_.partial || report.complete())) return;
    const std::string differences = describe_differences(report) + twice_;
    constexpr std::string_view kHelp =
        "\nTo load what fits set LoadOptions::partial, to leave parts of the model as they are name them in "
        "LoadOptions::exclude.";
    DLCUDA_CHECK(!source_.path.empty(), ArgumentError,
                 "load_state_dict: the state does not fit {}; nothing was loaded{}{}", module, differences,
                 kHelp);
    DLCUDA_THROW(FormatError, "{}: the weights do not fit {}; nothing was loaded{}{}", source_.path, module,
                 differences, kHelp);
  }

  LoadReport report;
  std::vector<Assignment> assignments;

 private:
  bool is_excluded(const std::string& name) const {
    return std::any_of(options_.exclude.begin(), options_.exclude.end(),
                       [&](const std::string& pattern) { return matches_pattern(name, pattern); });
  }

  void check_patterns() const {
    for (const std::string& pattern : options_.exclude) {
      const auto matches = [&](const std::string& name) { return matches_pattern(name, pattern); };
      DLCUDA_CHECK(std::any_of(own_names_.begin(), own_names_.end(), matches) ||
                       std::any_of(given_names_.begin(), given_names_.end(), matches),
                   ArgumentError, "LoadOptions::exclude: '{}' matches no name of the model or the state{}",
                   pattern, did_you_mean_pattern(pattern, own_names_));
    }
  }

  void compare() {
    for (std::size_t i = 0; i < own_.size(); ++i) {
      const auto& [name, tensor] = own_[i];
      if (is_excluded(name)) {
        report.excluded.push_back(name);
        continue;
      }
      const auto found = given_.find(name);
      if (found == given_.end()) {
        report.missing.push_back({name, to_string(tensor.shape()), ""});
        continue;
      }
      const StateSource::Entry& entry = source_.entries[found->second];
      if (!entry.defined || entry.shape != tensor.shape() || !converts(entry.dtype, tensor.dtype())) {
        report.mismatched.push_back(
            {name,
             fmt::format("expected {}, got {}", describe(tensor.dtype(), tensor.shape()),
                         entry.defined ? describe(entry.dtype, entry.shape) : "an undefined tensor"),
             ""});
        continue;
      }
      report.loaded.push_back(name);
      if (entry.dtype != tensor.dtype()) report.converted.push_back({name, entry.dtype, tensor.dtype()});
      assignments.push_back({i, found->second});
    }
    const std::set<std::string_view> known(own_names_.begin(), own_names_.end());
    for (const std::string& name : given_names_) {
      if (!known.contains(name) && !is_excluded(name)) report.unexpected.push_back({name, "", ""});
    }
    add_nearest(report.missing, given_names_);
    add_nearest(report.unexpected, own_names_);
  }

  const NamedTensors& own_;
  const StateSource& source_;
  const LoadOptions& options_;
  std::vector<std::string> own_names_, given_names_;
  std::unordered_map<std::string_view, std::size_t> given_;
  std::string twice_;
};

}  // namespace

LoadReport load_state(const Module& module, const StateSource& source, const LoadOptions& options) {
  const NamedTensors own = module.state_dict();
  Comparison comparison(own, source, options);
  comparison.check(module.describe());

  // All that can fail for lack of memory, or in reading, comes before the first value is changed.
  const autograd::NoGrad no_grad;
  std::vector<Tensor> values;
  values.reserve(comparison.assignments.size());
  for (const auto& [to, from] : comparison.assignments) {
    const Tensor& target = own[to].second;
    values.push_back(kernels::to_format(kernels::cast(source.read(from), target.dtype()), target.format()));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    Tensor target = own[comparison.assignments[i].own].second;
    target.copy_from(values[i]);
  }
  return std::move(comparison.report);
}

}  // namespace dlcuda
