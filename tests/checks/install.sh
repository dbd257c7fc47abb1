#!/usr/bin/env bash
# install.sh BUILD PREFIX: installs a build somewhere, then moves it to PREFIX: what is tested there was not installed
# there. No file of the package may name the tree, the build, or the first folder.
set -euo pipefail

build=$1 prefix=$2
source_tree=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt")
first=$prefix-as-installed
rm -rf "$prefix" "$first"
cmake --install "$build" --prefix "$first" >/dev/null
mv "$first" "$prefix"

status=0
while IFS= read -r -d '' file; do
  if grep -nF -e "$source_tree/" -e "$build/" -e "$first" "$file"; then
    printf '%s names a folder of the machine it was built on\n' "$file"
    status=1
  fi
done < <(find "$prefix" \( -name '*.cmake' -o -name '*.pc' -o -name '*.h' \) -print0)
exit "$status"
