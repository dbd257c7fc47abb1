// The `dlcuda` command: what is here, what models are made of and need, how fast they are, what they see in
// pictures, and files of weights.
#include <cstdio>
#include <string>
#include <vector>

#include "dlcuda/core/build.h"
#include "dlcuda/tools/command.h"
#include "dlcuda/train/command_line.h"
#include "dlcuda/train/main.h"

namespace dlcuda::tool {
namespace {

/// The command that was chosen below `app`; null where a word is missing or unknown.
CLI::App* chosen(const CLI::App& app) {
  const auto& all = app.get_subcommands();
  return all.empty() ? nullptr : all.front();
}

/// Throws ArgumentError: `app` has commands, and none of them was named.
[[noreturn]] void refuse_command(CLI::App& app) {
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    known.push_back(command->get_name());
  }
  const std::vector<std::string> words = app.remaining();
  if (words.empty()) {
    DLCUDA_THROW(ArgumentError, "name a command: {} (--help explains them)", fmt::join(known, ", "));
  }
  if (words.front().starts_with("-")) command_line::refuse_leftovers(app);
  DLCUDA_THROW(ArgumentError, "unknown command '{}'{}; there are {}", words.front(),
               did_you_mean(words.front(), known), fmt::join(known, ", "));
}

void prepare(CLI::App& app) {
  app.allow_extras();
  app.get_formatter()->column_width(30);
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) prepare(*command);
}

void run(int argc, const char* const* argv) {
  CLI::App app{"Tools of libdlcuda, a deep-learning runtime", "dlcuda"};
  bool show_version = false;
  app.add_flag("--version", show_version, "print the version and exit");
  std::vector<Command> commands{add_info(app), add_summary(app), add_memory(app), add_predict(app),
                                add_bench(app)};
  for (Command& command : add_convert(app)) commands.push_back(std::move(command));
  prepare(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return;
  } catch (const CLI::ParseError& error) {
    throw ArgumentError(fmt::format("{} (--help lists all flags)", error.what()));
  }
  if (show_version) {
    std::printf("dlcuda %s\n", build_info().version.c_str());
    return;
  }
  CLI::App* last = &app;
  while (CLI::App* const next = chosen(*last)) last = next;
  for (const Command& command : commands) {
    if (command.app != last) continue;
    command_line::refuse_leftovers(*last);
    command.action();
    return;
  }
  refuse_command(*last);
}

}  // namespace
}  // namespace dlcuda::tool

int main(int argc, char** argv) {
  return dlcuda::run_program([&] {
    dlcuda::tool::run(argc, argv);
    return 0;
  });
}
