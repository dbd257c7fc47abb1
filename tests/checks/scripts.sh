#!/usr/bin/env bash
# scripts.sh: the scripts are clean, refuse what they do not know, say what is missing, and ask nothing.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! command -v shellcheck >/dev/null; then
  printf 'skipped: shellcheck is not here; scripts/setup --dev installs it\n'
  exit 77
fi
mapfile -t scripts < <(grep -d skip -lE '^#!/usr/bin/env bash' scripts/* benchmarks/* tests/checks/* tests/consumer/* .ci/run)
shellcheck -x scripts/lib.sh "${scripts[@]}"
for script in "${scripts[@]}"; do
  [ -x "$script" ] || { printf '%s is not executable\n' "$script" && exit 1; }
done

# expect STATUS PATTERN COMMAND...
expect() {
  local want=$1 pattern=$2 status=0 output
  shift 2
  output=$("$@" 2>&1 </dev/null) || status=$?
  if [ "$status" != "$want" ] || ! grep -qE "$pattern" <<<"$output"; then
    printf '%s\nexpected exit %s and /%s/, got exit %s:\n%s\n' "$*" "$want" "$pattern" "$status" "$output"
    exit 1
  fi
}
fake=$(mktemp -d) bare=$(mktemp -d)
trap 'rm -rf "$fake" "$bare"' EXIT
mkdir "$fake/bin" && ln -s "$(type -P true)" "$fake/bin/dlcuda"
expect 2 'unknown flag --nonsense' scripts/setup --nonsense
expect 2 'unknown argument nonsense' scripts/test nonsense
expect 2 'takes a number of seconds' scripts/test --start-within soon
expect 2 'unknown flag --nonsense' scripts/format --nonsense
expect 2 'unknown target nonsense; there are: darknet safetensors' scripts/fuzz nonsense
expect 2 'runs takes a number' scripts/fuzz --runs many
expect 2 'name a model first' scripts/train
expect 2 'unknown model "lanet5".*nearest first: lenet5' scripts/train lanet5
expect 2 'name a model first, or "all"' scripts/compare
expect 77 'no PyTorch in .*pip install -r tests/requirements.txt' env DLCUDA_PYTHON=false DLCUDA_BUILD="$fake" scripts/compare lenet5
expect 1 'bin/dlcuda is not in .*cmake --build' env DLCUDA_BUILD=/none scripts/compare lenet5
expect 2 'unknown flag --nonsense' benchmarks/startup --nonsense
expect 2 'runs takes a number' benchmarks/startup --runs many
expect 0 'scripts/train MODEL' scripts/train --help

# A machine without anything: only what the scripts themselves use.
for tool in bash env dirname basename id uname readlink sed sort head cat printf; do ln -s "$(command -v $tool)" "$bare/"; done
expect 77 'skipped: there is no clang' env PATH="$bare" scripts/fuzz
expect 1 'missing, and not installed because --no-install was given' env PATH="$bare" scripts/setup --no-install --no-cuda
expect 1 'cmake .*configures the build' env PATH="$bare" scripts/setup --no-install --no-cuda
expect 1 'there is no apt-get' env PATH="$bare" scripts/setup --no-cuda
