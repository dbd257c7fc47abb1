// dlcuda convert: files of weights, looked into and turned into others.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "dlcuda/core/memory/stats.h"
#include "dlcuda/core/safetensors.h"
#include "dlcuda/kernels/copy.h"
#include "dlcuda/layers/blocks.h"
#include "dlcuda/layers/weights.h"
#include "dlcuda/tools/command.h"
#include "dlcuda/tools/loaded_model.h"
#include "dlcuda/train/command_line.h"
#include "dlcuda/train/console.h"

namespace dlcuda::tool {
namespace {

struct ListFlags {
  std::string file;
  bool json = false;
};

void list(const ListFlags& flags) {
  const SafetensorsFile file(flags.file);
  std::int64_t elements = 0;
  std::size_t bytes = 0;
  std::vector<std::vector<std::string>> rows;
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const std::string& name : file.names()) {
    const Shape& shape = file.shape(name);
    const DType dtype = file.dtype(name);
    elements += shape.numel();
    bytes += std::size_t(shape.numel()) * size_of(dtype);
    rows.push_back({name, to_string(dtype), to_string(shape)});
    auto extents = nlohmann::ordered_json::array();
    for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
    tensors.push_back({{"name", name}, {"dtype", to_string(dtype)}, {"shape", std::move(extents)}});
  }
  if (flags.json) {
    const nlohmann::ordered_json line{
        {"file", flags.file}, {"metadata", file.metadata()}, {"tensors", std::move(tensors)}};
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  std::fputs(format_columns(rows, "<<<").c_str(), stdout);
  for (const auto& [key, value] : file.metadata()) fmt::print("{}: {}\n", key, value);
  fmt::print("{} tensors, {} elements, {}\n", rows.size(), with_commas(elements), format_bytes(bytes));
}

struct CastFlags {
  std::string file, out, to;
};

void cast(const CastFlags& flags) {
  command_line::check_name("--to", flags.to, {"bf16", "f16", "f32"});
  const DType to = parse_dtype(flags.to);
  const SafetensorsFile file(flags.file);
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::size_t before = 0, after = 0;
  for (const std::string& name : file.names()) {
    Tensor tensor = file.tensor(name);
    before += tensor.nbytes();
    // Counts and masks stay what they are.
    if (is_floating_point(tensor.dtype())) tensor = kernels::cast(tensor, to);
    after += tensor.nbytes();
    tensors.emplace_back(name, std::move(tensor));
  }
  save_safetensors(flags.out, tensors, file.metadata());
  fmt::print("{}: {} tensors, {}; was {}\n", flags.out, tensors.size(), format_bytes(after),
             format_bytes(before));
}

struct FoldFlags {
  std::string model, file, out;
};

void fold(const FoldFlags& flags) {
  LoadedModel loaded = load_model(find_model(flags.model), flags.file);
  const std::int64_t folded = fold_batch_norm(*loaded.module);
  DLCUDA_CHECK(folded > 0, FormatError, "{}: there is no batch norm to fold", flags.file);
  save_weights(*loaded.module, flags.out, loaded.metadata);
  fmt::print("{}: {} batch norms are part of their convolutions now\n", flags.out, folded);
}

Command add_list(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("list", "names, dtypes and shapes in a safetensors file");
  const auto flags = std::make_shared<ListFlags>();
  app->add_option("FILE", flags->file, "safetensors file")->type_name("")->required();
  app->add_flag("--json", flags->json, "one line of JSON");
  return {app, [flags] { list(*flags); }};
}

Command add_cast(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("cast", "the same weights with another precision");
  const auto flags = std::make_shared<CastFlags>();
  app->add_option("FILE", flags->file, "safetensors file")->type_name("")->required();
  app->add_option("OUT", flags->out, "the file to write")->type_name("")->required();
  app->add_option("--to", flags->to, "bf16, f16 or f32")->type_name("DTYPE")->required();
  return {app, [flags] { cast(*flags); }};
}

Command add_fold(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("fold", "batch norms made part of their convolutions, for inference");
  const auto flags = std::make_shared<FoldFlags>();
  app->add_option("MODEL", flags->model, "a model's name; `dlcuda info` lists them")
      ->type_name("")
      ->required();
  app->add_option("FILE", flags->file, "safetensors file")->type_name("")->required();
  app->add_option("OUT", flags->out, "the file to write")->type_name("")->required();
  return {app, [flags] { fold(*flags); }};
}

}  // namespace

std::vector<Command> add_convert(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("convert", "looks into files of weights and converts them");
  return {add_list(*app), add_cast(*app), add_fold(*app)};
}

}  // namespace dlcuda::tool
