# Sourced by the scripts beside it: messages, the tree, what this machine has. Everything that is said goes to
# standard error; standard output belongs to the programs that are run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s\n' "$*" >&2; }

# die STATUS MESSAGE...
die() {
  local status=$1
  shift
  say "$(basename "$0"): $*"
  exit "$status"
}

# The comment at the top of a script is its help.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" >&2; }

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The places of cmake/DlcudaDependencies.cmake. Prints nothing where there is no CUDA compiler.
find_nvcc() {
  local place
  for place in "${CUDACXX:-}" "$(command -v nvcc || true)" "${CUDA_HOME:-/none}/bin/nvcc" "${CUDA_PATH:-/none}/bin/nvcc" \
    /usr/local/cuda/bin/nvcc; do
    if [ -n "$place" ] && [ -x "$place" ]; then
      printf '%s\n' "$place"
      return
    fi
  done
}

# A clang that links fuzzers with sanitizers, the newest by name. Prints nothing where there is none.
find_fuzzing_clang() {
  local clang
  for clang in clang++ clang++-{20..14}; do
    if command -v "$clang" >/dev/null && "$clang" -x c++ -fsanitize=fuzzer,address -o /dev/null - 2>/dev/null \
      <<<'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'; then
      printf '%s\n' "$clang"
      return
    fi
  done
}

# query_gpus FIELD: one line for each NVIDIA GPU; nothing where there is none, or no driver.
query_gpus() {
  command -v nvidia-smi >/dev/null || return 0
  timeout 30 nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null </dev/null | grep -v -i 'no devices' || true
}

# What CMAKE_CUDA_ARCHITECTURES gets when one machine's build has to be quick: DLCUDA_ARCHS if set, else those of the
# GPUs here, else one that every current compiler knows. A released build takes CMake's default, which is longer.
cuda_architectures() {
  if [ -n "${DLCUDA_ARCHS:-}" ]; then
    printf '%s\n' "$DLCUDA_ARCHS"
    return
  fi
  local found
  found=$(query_gpus compute_cap | sed -n 's/^\([0-9]*\)\.\([0-9]*\)$/\1\2-real/p' | sort -u | paste -sd ';' -)
  printf '%s\n' "${found:-90-real}"
}

# CUDA libraries that scripts/setup unpacked are found by the programs that are started here.
if [ -d "$root/.deps/lib" ]; then
  export DLCUDA_LIBRARY_PATH="${DLCUDA_LIBRARY_PATH:+$DLCUDA_LIBRARY_PATH:}$root/.deps/lib"
fi

# Object files of one preset serve another where the flags are the same.
export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$root}"

# configure PRESET [CMAKE ARGUMENT...]: says only what was decided about CUDA; everything on failure.
configure() {
  local preset=$1
  local dir=$root/build/$preset
  shift
  mkdir -p "$dir"
  if ! cmake -S "$root" --preset "$preset" "$@" >"$dir/configure.log" 2>&1 </dev/null; then
    cat "$dir/configure.log" >&2
    say "configuring the preset $preset failed"
    return 1
  fi
  say "configured $preset;$(sed -n 's/^-- *\(CUDA backend\)/ \1/p' "$dir/configure.log")"
}

# Turns ninja's output into one moving line on a terminal, a few plain lines elsewhere.
show_progress() {
  local line shown=0 tenth
  while IFS= read -r line; do
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\ (.*) ]] || continue
    if [ -t 2 ]; then
      printf '\r\033[K%s' "${line:0:100}" >&2
    else
      tenth=$((10 * BASH_REMATCH[1] / BASH_REMATCH[2]))
      if [ "$tenth" -ne "$shown" ]; then say "  [${BASH_REMATCH[1]}/${BASH_REMATCH[2]}]"; fi
      shown=$tenth
    fi
  done
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

# build_tree DIR [TARGET...]: the whole log goes to DIR/build.log, and its end is shown on failure.
build_tree() {
  local dir=$1 started=$SECONDS targets=()
  shift
  if [ $# -gt 0 ]; then targets=(--target "$@"); fi
  say "building ${*:-everything} in $dir (log: build.log there)"
  if ! NINJA_STATUS='[%f/%t] ' cmake --build "$dir" -j "$(nproc)" "${targets[@]}" 2>&1 </dev/null |
    tee "$dir/build.log" | show_progress; then
    sed -n '/^FAILED/,$p' "$dir/build.log" | head -n 80 >&2
    say "the build failed; the whole log is $dir/build.log"
    return 1
  fi
  say "built in $((SECONDS - started)) s"
}
