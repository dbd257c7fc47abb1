# dlcuda_add_commit(target): the target's sources may include "dlcuda_commit.h", which defines DLCUDA_COMMIT: the commit
# that is built, with "-dirty" where the tree differs from it; "unknown" outside of git, or what DLCUDA_COMMIT in the
# environment says. It is looked up at every build, and the file written only when it has changed.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(DLCUDA_COMMIT_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")
  function(dlcuda_add_commit target)
    if(NOT TARGET dlcuda_commit)
      set(folder "${PROJECT_BINARY_DIR}/commit")
      add_custom_target(
        dlcuda_commit
        COMMAND "${CMAKE_COMMAND}" -D "SOURCE=${PROJECT_SOURCE_DIR}" -D "FOLDER=${folder}" -P "${DLCUDA_COMMIT_SCRIPT}"
        BYPRODUCTS "${folder}/dlcuda_commit.h")
      add_library(dlcuda_commit_header INTERFACE)
      target_include_directories(dlcuda_commit_header INTERFACE "${folder}")
    endif()
    add_dependencies(${target} dlcuda_commit)
    target_link_libraries(${target} PRIVATE dlcuda_commit_header)
  endfunction()
  return()
endif()

cmake_minimum_required(VERSION 3.25)
set(commit "")
find_program(git git)
if(git)
  execute_process(COMMAND "${git}" -C "${SOURCE}" describe --always --dirty --abbrev=12 --exclude=* OUTPUT_VARIABLE commit
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT commit)
  set(commit "$ENV{DLCUDA_COMMIT}")
endif()
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT "${FOLDER}/dlcuda_commit.h" CONTENT "#define DLCUDA_COMMIT \"${commit}\"\n")
