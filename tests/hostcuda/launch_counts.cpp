// launch_counts: how many kernels, copies, fills and library calls a step of each model of the zoo consists
// of. The table of them is kept beside this file; without other flags it fails where a count has changed.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "dlcuda/core/check.h"
#include "dlcuda/tests/hostcuda/step_work.h"
#include "dlcuda/train/main.h"

namespace dlcuda::hostcuda {
namespace {

using Json = nlohmann::ordered_json;

struct Row {
  const char* model;
  std::int64_t batch_size;
};
// At the size of a real training: reductions over more elements take more passes.
constexpr Row kRows[] = {{"lenet5", 64},        {"vgg16", 256}, {"resnet18", 256}, {"resnet50", 256},
                         {"mobilenet_v2", 256}, {"yolov2", 64}, {"unet_bn", 32}};

struct Variant {
  const char* name;
  DType dtype;
  bool training;
};
constexpr Variant kVariants[] = {{"training f32", DType::F32, true},
                                 {"training bf16", DType::BF16, true},
                                 {"training fp16", DType::F16, true},
                                 {"inference f32", DType::F32, false},
                                 {"inference bf16", DType::BF16, false}};

StepWork count(const Row& row, const Variant& variant) {
  return count_step(find_model(row.model),
                    {.batch_size = row.batch_size, .dtype = variant.dtype, .training = variant.training});
}

Json table_of(const Row& row) {
  Json table;
  table["batch_size"] = row.batch_size;
  for (const Variant& variant : kVariants) {
    const StepWork work = count(row, variant);
    Json& entry = table[variant.name];
    entry["launches"] = count_all(work.recorded);
    entry["outside"] = count_all(work.outside);
    entry["by name"] = count_by_name(work.recorded);
  }
  return table;
}

/// A line for each count that differs from the table's.
std::string differences(const std::string& where, const Json& known, const Json& found) {
  std::string lines;
  const auto compare = [&](const std::string& name, std::int64_t before, std::int64_t now) {
    if (now != before) lines += fmt::format("{}: {}: {}, in the table {}\n", where, name, now, before);
  };
  for (const char* sum : {"launches", "outside"}) compare(sum, known.at(sum), found.at(sum));
  const Json &before = known.at("by name"), &now = found.at("by name");
  for (const auto& [name, n] : now.items()) compare(name, before.value(name, std::int64_t(0)), n);
  for (const auto& [name, n] : before.items()) {
    if (!now.contains(name)) compare(name, n, 0);
  }
  return lines;
}

/// Fails where any count of the model has risen or fallen.
void check(const Row& row, const Json& known) {
  DLCUDA_CHECK(known.contains(row.model), Error, "the table has no model {}", row.model);
  const Json found = table_of(row);
  std::string lines;
  bool more = false;
  for (const Variant& variant : kVariants) {
    const Json &before = known.at(row.model).at(variant.name), &now = found.at(variant.name);
    lines += differences(fmt::format("{} {}", row.model, variant.name), before, now);
    for (const char* sum : {"launches", "outside"}) {
      more = more || now.at(sum).get<std::int64_t>() > before.at(sum).get<std::int64_t>();
    }
  }
  DLCUDA_CHECK(
      lines.empty(), Error, "{}{}", lines,
      more ? "A step takes more launches than it did. Where that cannot be helped, write the table anew "
             "(--write) and say why."
           : "No step takes more launches than it did: lower the table (--write), so that they stay "
             "fewer.");
}

void list(const Row& row) {
  for (const Variant& variant : kVariants) {
    const StepWork work = count(row, variant);
    fmt::print("{} {}, batch of {}: {} launches, and {} before each step\n", row.model, variant.name,
               row.batch_size, count_all(work.recorded), count_all(work.outside));
    for (const auto* part : {&work.outside, &work.recorded}) {
      for (const Operation& operation : *part) {
        std::string names;
        for (const Work& one : operation.work) names += (names.empty() ? "" : ", ") + one.name;
        fmt::print("  {:<32} {:<28} {:>10.3f} MB {:>10.3f} GFLOP  {}\n", operation.name, operation.layer,
                   operation.bytes / 1e6, operation.flops / 1e9, names);
      }
    }
  }
}

/// Every operation with its work, for predictions.
Json describe(const std::vector<Operation>& operations) {
  Json all = Json::array();
  for (const Operation& operation : operations) {
    std::int64_t library = 0;
    for (const Work& work : operation.work) library += work.kind == Work::Kind::Library ? 1 : 0;
    all.push_back({{"name", operation.name},
                   {"flops", operation.flops},
                   {"bytes", operation.bytes},
                   {"launches", operation.work.size()},
                   {"library", library}});
  }
  return all;
}

/// Every convolution that training in f16 and inference ask of cuDNN, each once: a line of JSON with its
/// pass, and the models that have it.
std::string convolutions(const std::vector<Row>& rows) {
  std::map<std::string, std::set<std::string>> models;
  for (const Row& row : rows) {
    for (const bool training : {true, false}) {
      const StepWork step = count_step(
          find_model(row.model), {.batch_size = row.batch_size, .dtype = DType::F16, .training = training});
      for (const Operation& operation : step.recorded) {
        for (const Work& work : operation.work) {
          if (work.detail.empty()) continue;
          Json one = Json::parse(work.detail);
          one["pass"] = work.name;
          models[one.dump()].insert(row.model);
        }
      }
    }
  }
  std::string lines;
  for (const auto& [convolution, of] : models) {
    Json one = Json::parse(convolution);
    one["models"] = of;
    lines += (lines.empty() ? "" : ",\n") + one.dump();
  }
  return "[\n" + lines + "\n]\n";
}

std::vector<Row> chosen(const std::string& model) {
  std::vector<Row> rows;
  for (const Row& row : kRows) {
    if (model.empty() || model == row.model) rows.push_back(row);
  }
  DLCUDA_CHECK(!rows.empty(), ArgumentError, "no counts are kept for a model '{}'", model);
  return rows;
}

struct Flags {
  std::string table, model;
  std::string convolutions;
  bool write = false, list = false, operations = false;
};

int run(const Flags& flags) {
  const std::vector<Row> rows = chosen(flags.model);
  if (flags.list) {
    for (const Row& row : rows) list(row);
    return 0;
  }
  if (!flags.convolutions.empty()) {
    std::ifstream file(flags.convolutions);
    const std::string known{std::istreambuf_iterator<char>(file), {}}, found = convolutions(rows);
    if (flags.write) {
      std::ofstream(flags.convolutions) << found;
      return 0;
    }
    DLCUDA_CHECK(known == found, Error, "{} is not what the models ask for: write it anew (--write)",
                 flags.convolutions);
    return 0;
  }
  Json out;
  if (flags.operations) {
    for (const Row& row : rows) {
      out[row.model]["batch_size"] = row.batch_size;
      for (const Variant& variant : kVariants) {
        out[row.model][variant.name] = describe(count(row, variant).recorded);
      }
    }
    std::puts(out.dump().c_str());
    return 0;
  }
  if (flags.write) {
    for (const Row& row : rows) out[row.model] = table_of(row);
    std::ofstream file(flags.table);
    file << out.dump(1) << "\n";
    DLCUDA_CHECK(file.good(), IoError, "{} could not be written", flags.table);
    return 0;
  }
  std::ifstream file(flags.table);
  DLCUDA_CHECK(file.good(), IoError, "{} could not be read", flags.table);
  const Json known = Json::parse(file);
  for (const Row& row : rows) {
    check(row, known);
    fmt::print("{}: as in the table\n", row.model);
  }
  return 0;
}

}  // namespace
}  // namespace dlcuda::hostcuda

int main(int argc, char** argv) {
  CLI::App app("Counts what a step of each model asks of a GPU, without one");
  dlcuda::hostcuda::Flags flags;
  flags.table = DLCUDA_SOURCE_DIR "/tests/hostcuda/launches.json";
  app.add_option("MODEL", flags.model, "one of the table's models (default: all)");
  app.add_option("--table", flags.table, "the table of counts (default: the repository's)");
  app.add_flag("--write", flags.write, "write the table, of all models");
  app.add_option("--convolutions", flags.convolutions,
                 "check this file of all models' convolutions instead (or --write it)");
  app.add_flag("--list", flags.list, "print the operations of a step, and the work of each");
  app.add_flag("--operations", flags.operations, "print the same as JSON");
  CLI11_PARSE(app, argc, argv);
  return dlcuda::run_program([&] { return dlcuda::hostcuda::run(flags); });
}
