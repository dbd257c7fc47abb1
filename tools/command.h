// The subcommands of `dlcuda`: each adds its flags to the command line and gives what runs where it is
// called.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace dlcuda::tool {

/// Throws what went wrong.
using Action = std::function<void()>;

struct Command {
  CLI::App* app = nullptr;
  Action action;
};

Command add_bench(CLI::App& parent);
Command add_info(CLI::App& parent);
Command add_summary(CLI::App& parent);
Command add_memory(CLI::App& parent);
Command add_predict(CLI::App& parent);
/// With subcommands of its own; one of them must be named.
std::vector<Command> add_convert(CLI::App& parent);

}  // namespace dlcuda::tool
