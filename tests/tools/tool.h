// Runs the built `dlcuda` as a user would.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "dlcuda/tests/support/file_text.h"
#include "dlcuda/tests/support/temp_folder.h"

namespace dlcuda::testing {

struct ToolRun {
  int code = -1;
  std::string out, err;
};

/// As one word of a shell's command line.
inline std::string shell_word(std::string_view word) {
  std::string text = "'";
  for (const char c : word) {
    if (c == '\'') text.append("'\\'");
    text.push_back(c);
  }
  text.push_back('\'');
  return text;
}

/// The built command; $DLCUDA_TOOL names another one.
inline std::string tool_path() {
  const char* other = std::getenv("DLCUDA_TOOL");
  return other != nullptr ? other : DLCUDA_TOOL;
}

/// What the command said itself: AddressSanitizer warns of the fibers that the host shim runs on.
inline std::string without_sanitizer_notes(const std::string& text) {
  std::string own;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string line = text.substr(at, end - at);
    if (line.find("ASan doesn't fully support makecontext/swapcontext") == std::string::npos) own += line;
    at = end;
  }
  return own;
}

/// `input`: what is on standard input.
inline ToolRun run_tool(const std::vector<std::string>& arguments, std::string_view input = {}) {
  const TempFolder folder;
  std::ofstream(folder / "in") << input;
  std::string command = shell_word(tool_path());
  for (const std::string& argument : arguments) command.append(" ").append(shell_word(argument));
  command.append(" >").append(shell_word((folder / "out").string()));
  command.append(" 2>").append(shell_word((folder / "err").string()));
  command.append(" <").append(shell_word((folder / "in").string()));
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(folder / "out"),
          without_sanitizer_notes(read_text(folder / "err"))};
}

/// Standard output of a run that must succeed.
inline std::string output_of(const std::vector<std::string>& arguments) {
  const ToolRun run = run_tool(arguments);
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  return run.out;
}

/// The exit code, nothing on standard output, and all of the words in the one line on standard error (or
/// more, where it lists what does not fit).
inline void expect_refusal(int code, const std::vector<std::string>& arguments,
                           const std::vector<std::string>& words) {
  const ToolRun run = run_tool(arguments);
  EXPECT_EQ(run.code, code) << run.err;
  EXPECT_EQ(run.out, "");
  EXPECT_TRUE(run.err.starts_with("error: ")) << run.err;
  for (const std::string& word : words)
    EXPECT_NE(run.err.find(word), std::string::npos) << word << "\n" << run.err;
}

}  // namespace dlcuda::testing
