# What can be switched, and the flags that hold for all of our own code.

set(DLCUDA_CUDA "AUTO" CACHE STRING "Build the CUDA backend: AUTO (if everything is found), ON, OFF")
set_property(CACHE DLCUDA_CUDA PROPERTY STRINGS AUTO ON OFF)
option(DLCUDA_TESTS "Build the tests, the host shim among them" ${PROJECT_IS_TOP_LEVEL})
option(DLCUDA_BENCHMARKS "Build the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(DLCUDA_WERROR "Treat warnings in our own code as errors" ${PROJECT_IS_TOP_LEVEL})
set(DLCUDA_SANITIZE "" CACHE STRING "Sanitizers for everything that is built, e.g. address,undefined")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

# Programs find the shared library beside them when the installed tree is moved.
include(GNUInstallDirs)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo, Debug" FORCE)
endif()

find_program(DLCUDA_CCACHE ccache)
if(DLCUDA_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${DLCUDA_CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${DLCUDA_CCACHE}")
endif()

# Headers are included as "dlcuda/core/tensor.h", in the tree as after installation.
file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/include")
file(CREATE_LINK "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/include/dlcuda" SYMBOLIC)

# Warnings are errors in our own code; headers of others come in as SYSTEM.
add_library(dlcuda_flags INTERFACE)
target_include_directories(dlcuda_flags INTERFACE "${PROJECT_BINARY_DIR}/include")
target_compile_options(
  dlcuda_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic $<$<BOOL:${DLCUDA_WERROR}>:-Werror> -Wno-unknown-pragmas
                         -ffp-contract=off>)
if(DLCUDA_SANITIZE)
  set(sanitize -fsanitize=${DLCUDA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  # Checks before each access, which double the time to compile. AddressSanitizer finds what most of them find; the
  # kernels, whose vector loads must be aligned, get that one back (tests/hostcuda).
  if(DLCUDA_SANITIZE MATCHES "undefined")
    list(APPEND sanitize -fno-sanitize=alignment,null,object-size,pointer-overflow,vptr)
  endif()
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${sanitize}>")
  add_link_options(${sanitize})
endif()

# The builds of the CPU loops, from the same sources. Sanitizers, which ask what these do and not how fast, get one (for a
# processor with AVX2); kernels/dispatch.h then looks for no other.
set(DLCUDA_LOOP_LEVELS v2 v3 v4)
if(DLCUDA_SANITIZE)
  set(DLCUDA_LOOP_LEVELS v3)
  add_compile_definitions(DLCUDA_ONE_LEVEL=v3)
endif()
