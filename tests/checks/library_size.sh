#!/usr/bin/env bash
# library_size.sh LIBDLCUDA.so: without its symbols, the CPU library stays below 15 MB.
set -euo pipefail

limit=15000000
if ! command -v strip >/dev/null; then
  printf 'skipped: strip is not here\n'
  exit 77
fi
file=$(mktemp)
trap 'rm -f "$file"' EXIT
strip -o "$file" "$1"
size=$(stat -c %s "$file")
printf 'libdlcuda without symbols: %s bytes of at most %s\n' "$size" "$limit"
[ "$size" -lt "$limit" ]
