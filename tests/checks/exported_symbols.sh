#!/usr/bin/env bash
# exported_symbols.sh LIBDLCUDA.SO: everything that the shared library exports is a public name of dlcuda, so that it
# meets no other library's symbols in one process; and it is complete.
set -euo pipefail

symbols=$(nm -D --defined-only "$1" | awk '{ print $NF }')
readable=$(c++filt <<<"$symbols")

# Names of others, and of the parts that are nobody's business outside.
foreign=$(grep -vE '^_Z[A-Z]*N?[A-Z0-9_]*6dlcuda|^dlcuda_' <<<"$symbols" | c++filt || true)
inner=$(grep -E 'dlcuda::(cpu|cuda|v[234]|detail|kernels::(cpu|cuda|v[234])|\(anonymous namespace\))::' <<<"$readable" |
  grep -vE '^(typeinfo|vtable)' || true)
if [ -n "$foreign$inner" ]; then
  printf 'exported, but not public names of dlcuda:\n%s\n%s\n' "$foreign" "$inner"
  exit 1
fi
# Nothing that it calls is missing.
undefined=$(ldd -r "$1" 2>&1 | grep 'undefined symbol' | c++filt || true)
if [ -n "$undefined" ]; then
  printf 'called, but defined nowhere:\n%s\n' "$undefined"
  exit 1
fi
# An empty list would prove nothing.
for name in 'dlcuda::choose_device(' 'typeinfo for dlcuda::Error' 'dlcuda::Shape::Shape('; do
  if ! grep -qF "$name" <<<"$readable"; then
    printf 'not exported, but public: %s\n' "$name"
    exit 1
  fi
done
printf '%s symbols, all of dlcuda\n' "$(wc -l <<<"$symbols")"
