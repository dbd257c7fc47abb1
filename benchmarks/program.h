// How the measuring programs read their command lines.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "dlcuda/core/check.h"
#include "dlcuda/train/command_line.h"

namespace dlcuda {

/// False after --help. Throws ArgumentError, which makes a program exit with 2.
inline bool parse_command_line(CLI::App& app, int argc, const char* const* argv) {
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return false;
  } catch (const CLI::ParseError& error) {
    throw ArgumentError(fmt::format("{} (--help lists all flags)", error.what()));
  }
  command_line::refuse_leftovers(app);
  return true;
}

/// The words of a command line, for whoever wants to repeat it.
inline std::string command_of(const char* program, int argc, const char* const* argv) {
  std::string command = program;
  for (int i = 1; i < argc; ++i) command.append(" ").append(argv[i]);
  return command;
}

inline double parse_positive(const char* flag, const std::string& text) {
  constexpr const char* kExpected = "a number above 0";
  const auto value = command_line::parse_number<double>(flag, text, kExpected);
  DLCUDA_CHECK(std::isfinite(value) && value > 0, ArgumentError, "{}: expected {}, got '{}'", flag, kExpected,
               text);
  return value;
}

/// Makes the folders that are missing. Throws IoError.
inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::error_code ignored;  // what is wrong with the folder is wrong with the file, too
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  std::ofstream file(path);
  file << text;
  file.close();
  DLCUDA_CHECK(file.good(), IoError, "{} could not be written", path.string());
}

}  // namespace dlcuda
