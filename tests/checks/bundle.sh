#!/usr/bin/env bash
# bundle.sh WORK: the archive of scripts/bundle-deps, unpacked anywhere, is what a configure run finds its packages in.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if ! command -v dpkg-query >/dev/null || [ -n "${CMAKE_PREFIX_PATH:-}" ]; then
  printf 'skipped: the packages here are not those of Debian or Ubuntu\n'
  exit 77
fi
rm -rf "$1" && mkdir -p "$1"
work=$(cd "$1" && pwd)
"$root/scripts/bundle-deps" "$work/deps.tar.gz"
tar -C "$work" -xzf "$work/deps.tar.gz"
deps=$work/dlcuda-deps

cmake -S "$root" -B "$work/build" -G Ninja -DDLCUDA_CUDA=OFF -DCMAKE_PREFIX_PATH="$deps" >"$work/configure.log"
packages='GTest_DIR|fmt_DIR|nlohmann_json_DIR|CLI11_DIR|benchmark_DIR|(ZLIB|JPEG|PNG_PNG)_INCLUDE_DIR'
packages+='|(ZLIB|JPEG|PNG)_LIBRARY_RELEASE|DNNL_[A-Z_]*'
found=$(sed -nE "s/^($packages):[A-Z]*=/\\1 /p" "$work/build/CMakeCache.txt")
printf '%s\n' "$found"
if grep -vF " $deps/" <<<"$found"; then
  printf 'these were found outside of %s\n' "$deps"
  exit 1
fi
for name in GTest_DIR fmt_DIR nlohmann_json_DIR CLI11_DIR ZLIB_LIBRARY_RELEASE JPEG_LIBRARY_RELEASE \
  PNG_LIBRARY_RELEASE DNNL_LIBRARY DNNL_INCLUDE_DIR; do
  grep -q "^$name " <<<"$found" || { printf '%s is not in the cache\n' "$name" && exit 1; }
done

# No link leads out of it.
while IFS= read -r -d '' link; do
  if [[ $(readlink -e "$link") != "$deps"/* ]]; then
    printf '%s leads to %s\n' "$link" "$(readlink "$link")"
    exit 1
  fi
done < <(find "$deps" -type l -print0)

# Every library in it finds the others there.
for library in "$deps"/lib/*/*.so "$deps"/lib/*/*.so.*; do
  needs=$(LD_LIBRARY_PATH=$(dirname "$library") ldd "$library")
  if grep 'not found' <<<"$needs"; then
    printf '%s lacks these\n' "$library"
    exit 1
  fi
  if grep -E 'lib(dnnl|fmt|OpenCL|z|jpeg|png16|benchmark)\.' <<<"$needs" | grep -vF "$deps/"; then
    printf '%s takes these from elsewhere\n' "$library"
    exit 1
  fi
done
