// kernel_traffic: the bytes that the memory-bound operations move, against those that they must move, and how
// well their warps' accesses lie together; counted on the shim (traffic.h). Fails where an operation moves
// more than it may.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "dlcuda/core/check.h"
#include "dlcuda/tests/hostcuda/traffic.h"
#include "dlcuda/tests/support/kernel_cases.h"
#include "dlcuda/train/main.h"

namespace dlcuda::hostcuda {
namespace {

using Json = nlohmann::ordered_json;
using testing::KernelCase;

struct Measured {
  KernelCase of;
  Traffic traffic;

  double ratio() const { return double(traffic.moved_bytes()) / of.necessary; }
  double distinct_ratio() const { return double(traffic.distinct_bytes()) / of.necessary; }
  double coalescing() const { return double(traffic.requested) / double(traffic.ideal); }
};

Measured measure(const KernelCase& one) {
  TrafficCounter counter;
  one.run();
  return {one, counter.take()};
}

std::string to_line(const Measured& m) {
  return fmt::format("| {} | {} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.2f} | {} |", m.of.name,
                     m.traffic.launches, m.of.necessary / 1e6, double(m.traffic.moved_bytes()) / 1e6,
                     m.ratio(), m.distinct_ratio(), m.coalescing(), m.of.reason);
}

Json to_json(const Measured& m) {
  return {{"name", m.of.name},
          {"operation", m.of.operation},
          {"launches", m.traffic.launches},
          {"necessary_bytes", m.of.necessary},
          {"moved_bytes", m.traffic.moved_bytes()},
          {"ratio", m.ratio()},
          {"distinct_ratio", m.distinct_ratio()},
          {"requested_to_ideal", m.coalescing()},
          {"limit", m.of.limit},
          {"reason", m.of.reason}};
}

struct Flags {
  std::string filter;
  bool json = false, report_only = false;
};

std::string complaints(const Measured& m) {
  std::string lines;
  const auto complain = [&](bool wrong, double ratio, const std::string& what) {
    if (wrong) lines += fmt::format("{} moves {:.3f} times its necessary bytes{}\n", m.of.name, ratio, what);
  };
  complain(m.ratio() < m.of.least, m.ratio(), ": what is necessary is wrong, or not all is counted");
  complain(m.ratio() > m.of.limit, m.ratio(), fmt::format("; {:.2f} are allowed", m.of.limit));
  complain(m.distinct_ratio() > m.of.distinct_limit, m.distinct_ratio(),
           fmt::format(", each once a launch; {:.2f} are allowed", m.of.distinct_limit));
  return lines;
}

int run(const Flags& flags) {
  Json all = Json::array();
  std::string wrong;
  if (!flags.json) {
    std::puts(
        "| operation | launches | necessary MB | moved MB | ratio | distinct | requested / ideal | reason |");
    std::puts("|---|---:|---:|---:|---:|---:|---:|---|");
  }
  int found = 0;
  for (const testing::KernelFamily& family : testing::kernel_families(Device::cuda(), 1)) {
    for (const KernelCase& one : family.make()) {
      if (one.name.find(flags.filter) == std::string::npos) continue;
      ++found;
      const Measured measured = measure(one);
      if (flags.json) {
        all.push_back(to_json(measured));
      } else {
        std::puts(to_line(measured).c_str());
        std::fflush(stdout);
      }
      wrong += complaints(measured);
    }
  }
  DLCUDA_CHECK(found > 0, ArgumentError, "no operation's name contains '{}'", flags.filter);
  if (flags.json) std::puts(all.dump(1).c_str());
  DLCUDA_CHECK(wrong.empty() || flags.report_only, Error, "{}", wrong);
  return 0;
}

}  // namespace
}  // namespace dlcuda::hostcuda

int main(int argc, char** argv) {
  CLI::App app("Counts the bytes that kernels move, on the host shim");
  dlcuda::hostcuda::Flags flags;
  app.add_option("FILTER", flags.filter, "a part of the operations' names (default: all)");
  app.add_flag("--json", flags.json, "a list in JSON instead of a table in Markdown");
  app.add_flag("--report-only", flags.report_only, "exit 0 even where an operation moves more than it may");
  CLI11_PARSE(app, argc, argv);
  return dlcuda::run_program([&] { return dlcuda::hostcuda::run(flags); });
}
