#!/usr/bin/env bash
# Runs the built train_lenet5 on good and bad input, as a user would: command_line_test.sh PATH/train_lenet5
set -uo pipefail
train=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
  echo "FAILED: $1"
  echo "--- standard output"; cat out
  echo "--- standard error"; cat err
  failures=$((failures + 1))
}

# expect CODE "WORDS" FLAGS...: the exit code, and the words in standard error.
expect() {
  local code=$1 words=$2 got
  shift 2
  timeout 120 "$train" "$@" >out 2>err
  got=$?
  if [ "$got" != "$code" ]; then fail "$* exits with $got, expected $code"; fi
  if [ -n "$words" ] && ! grep -qF -- "$words" err; then fail "$*: expected '$words' on standard error"; fi
}

# Usage.
expect 2 "did you mean '--epochs'" --epoch 3
expect 2 "did you mean 'mnist'" --data minst
expect 2 "did you mean 'adam'" --optimizer adm
expect 2 "--batch-size" --batch-size 0
expect 2 "fp16" --precision fp8
expect 2 "expected auto, cpu, cuda" --device gpu
expect 2 "cuda:x" --device cuda:x
DLCUDA_DATA_DIR='' expect 2 "--data-dir" --data mnist

# Bad data: path and reason.
expect 3 "$work/missing" --data mnist --data-dir "$work/missing"
mkdir bad
printf '\0\0\10\3' >bad/train-images-idx3-ubyte
printf '\0\0\10\1' >bad/train-labels-idx1-ubyte
printf '\0\0\10\3' >bad/t10k-images-idx3-ubyte
printf '\0\0\10\1' >bad/t10k-labels-idx1-ubyte
expect 3 "bad/train-images-idx3-ubyte" --data mnist --data-dir bad
printf '\0\0\10\7\0\0\0\1' >bad/train-images-idx3-ubyte
expect 3 "magic" --data mnist --data-dir bad
printf '\0\0\10\3\377\377\377\377\0\0\0\34\0\0\0\34' >bad/train-images-idx3-ubyte
expect 3 "bad/train-images-idx3-ubyte" --data mnist --data-dir bad

# A profile that cannot be written, or would be empty.
expect 3 "$work/missing/trace.json" --profile "$work/missing/trace.json" --device cpu
expect 2 "begins at step 3" --profile trace.json --device cpu --limit 64 --epochs 1

# A GPU where there is none: says what was looked for.
CUDA_VISIBLE_DEVICES='' expect 5 "looked for" --device cuda
CUDA_VISIBLE_DEVICES='' expect 5 "looked for" --require-gpu

# Nothing of all that left a run folder behind.
if [ -e runs ]; then fail "a refused run left runs/ behind"; fi

# Diverging.
expect 6 "diverged" --limit 256 --epochs 20 --optimizer sgd --lr 1e300 --device cpu
expect 6 "diverged" --limit 128 --epochs 1 --optimizer sgd --lr 1e38 --device cpu # by the epoch's last update

# Good runs: numbered folders, the same bytes for the same seed.
expect 0 "" --limit 256 --epochs 1 --seed 1 --device cpu --out "$work/a"
expect 0 "" --limit 256 --epochs 1 --seed 1 --device cpu --out "$work/b" --workers 0
expect 0 "" --limit 256 --epochs 1 --seed 2 --device cpu --out "$work/c"
if ! cmp -s a/weights/last.safetensors b/weights/last.safetensors; then fail "one seed gave two results"; fi
if cmp -s a/weights/last.safetensors c/weights/last.safetensors; then fail "two seeds gave one result"; fi
expect 2 "not empty" --limit 256 --out "$work/a"

expect 0 "" --limit 1024 --epochs 1 --device cpu --out "$work/d" --profile trace.json
if ! grep -q conv2d_pool_backward trace.json; then fail "the profile lacks an operation"; fi
if ! grep -q "steps 3 to 12" out; then fail "the profile was not printed"; fi

# Ctrl-C and termination: the weights are there.
for signal in INT TERM; do
  # A background job of a script ignores SIGINT unless it is given its default action again.
  timeout --preserve-status --foreground -s "$signal" 3 \
    "$train" --epochs 100000 --device cpu --out "$work/stop-$signal" >out 2>err
  got=$?
  case $signal in INT) want=130 ;; *) want=143 ;; esac
  if [ "$got" != "$want" ]; then fail "SIG$signal exits with $got, expected $want"; fi
  if [ ! -s "stop-$signal/weights/last.safetensors" ]; then fail "SIG$signal: no weights were saved"; fi
done

[ "$failures" = 0 ] && echo "all passed"
exit "$((failures > 0))"
