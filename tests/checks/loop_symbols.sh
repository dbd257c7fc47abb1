#!/usr/bin/env bash
# loop_symbols.sh LEVEL OBJECT...: objects compiled for x86-64-LEVEL define no weak symbol outside their own namespace.
# The linker keeps one copy of a weak function for the whole program; if that is the copy built for AVX-512, a
# processor without it stops with an illegal instruction.
set -euo pipefail

level=$1
shift
for object in "$@"; do
  shared=$(nm -C --defined-only "$object" | awk '$2 ~ /^[WVu]$/' | cut -c 20- |
    grep -vE "(^|[^a-zA-Z0-9_])$level::|\(anonymous namespace\)|^DW\.ref\." || true)
  if [ -n "$shared" ]; then
    printf '%s defines, for every level alike:\n%s\n' "$object" "$shared"
    failed=1
  fi
done
if [ -n "${failed:-}" ]; then
  printf 'Make them DLCUDA_INLINE, or move them into namespace %s.\n' "$level"
  exit 1
fi
printf '%s objects for %s share nothing\n' "$#" "$level"
