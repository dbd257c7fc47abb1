#!/usr/bin/env bash
# installed_headers.sh PREFIX [COMPILER]: every installed header compiles on its own, without warnings, with nothing
# but the standard library; none includes a library that is not part of the interface.
set -euo pipefail

include=$1/include compiler=${2:-c++}
if [ -z "$(find "$include/dlcuda" -name '*.h' -print -quit)" ]; then
  printf 'no header was installed below %s/dlcuda\n' "$include"
  exit 1
fi
if grep -rnE '# *include *[<"](fmt|nlohmann|CLI|dnnl|oneapi|omp|cuda|cudnn|cublas|zlib|jpeg|png|gtest)[^>"]*[>"]' "$include"; then
  printf 'these includes belong into sources, or the headers into DLCUDA_INTERNAL_HEADERS (cmake/DlcudaInstall.cmake)\n'
  exit 1
fi
if grep -rnE '^//.*\<Internal\>' "$include"; then
  printf 'these headers say that they are internal: list them in DLCUDA_INTERNAL_HEADERS (cmake/DlcudaInstall.cmake)\n'
  exit 1
fi
(cd "$include" && find dlcuda -name '*.h' -print0) |
  xargs -0 -I '{}' -P "$(nproc)" "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Werror \
    -I "$include" -include '{}' -x c++ /dev/null
