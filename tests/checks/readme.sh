#!/usr/bin/env bash
# readme.sh: the one C++ example in README.md is tests/consumer/readme_example.cpp, which the consumer compiles.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ "$(grep -c '^```cpp$' README.md)" != 1 ]; then
  printf 'README.md must hold one block of C++\n'
  exit 1
fi
# shellcheck disable=SC2016  # these are backticks of Markdown
diff <(sed -n '/^```cpp$/,/^```$/{/^```/d;p}' README.md) tests/consumer/readme_example.cpp
