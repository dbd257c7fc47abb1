# The stages of scripts/gpu-check, each run in a process of its own with a time limit. "note: ..." and
# "figure: NAME = NUMBER" lines go into the summary. Exit status 77: skipped.
# shellcheck shell=bash
# From scripts/gpu-check: the tree, the build folder, the results folder, whether there is no GPU.
: "${root:=}" "${build:=}" "${out:=}" "${rehearse:=0}"

# What runs our kernels (convolution and matrix products are NVIDIA's): the values of the table of operations, and the
# tests of what it cannot say. compute-sanitizer slows them down 10 to 100 times.
kernel_ops='*Values/*:-*Values/conv2d_*:*Values/linear_*:*Values/*matmul*'
kernel_tests='*Cuda*'
# Tests, the table of operations, and training: on what this machine has, and on the host shim.
tests=bin/dlcuda_tests
shim_tests=bin/dlcuda_tests_hostcuda
ops=bin/dlcuda_ops
shim_ops=bin/dlcuda_ops_hostcuda
train=bin/train_lenet5
bench=bin/dlcuda
shim_train=bin/train_lenet5_hostcuda

note() { printf 'note: %s\n' "$*"; }
skip() {
  note "$@"
  exit 77
}

stage_device() {
  if [ "$rehearse" = 1 ]; then skip 'not rehearsed: there is no GPU to describe'; fi
  nvidia-smi -L
  nvidia-smi -q >"$out/nvidia-smi.txt"
  note "$(query_gpus name | paste -sd ',' -)"
}

# A build folder that was made for another place holds programs, but cannot be built further.
finished_elsewhere() { [ -d "$build/bin" ] && ! grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$build/CMakeCache.txt"; }

stage_configure() {
  local cuda=ON
  if finished_elsewhere; then skip "$build was built elsewhere, and is used as it is"; fi
  if [ "$rehearse" = 1 ]; then cuda=AUTO; fi
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DDLCUDA_CUDA=$cuda \
    "-DCMAKE_CUDA_ARCHITECTURES=$(cuda_architectures)"
  note "$(sed -n 's/^-- *\(CUDA backend.*\)/\1/p' "$out/configure.log")"
}

stage_build() {
  if finished_elsewhere; then skip 'the same'; fi
  NINJA_STATUS='[%f/%t] ' cmake --build "$build" -j "$(nproc)"
}

# run_suites BINARY NAME: each test suite in a process of its own, because after a bad memory access on the GPU every
# later call of that process fails.
run_suites() {
  local binary=$build/$1 folder=$out/$2 suites status=0
  rm -rf "$folder" && mkdir -p "$folder"
  mapfile -t suites < <("$binary" --gtest_list_tests | sed -n 's/^\([^ ].*\)\.\( *#.*\)\{0,1\}$/\1/p')
  if [ "${#suites[@]}" = 0 ]; then
    printf '%s lists no tests\n' "$binary"
    return 1
  fi
  if [ "$rehearse" = 1 ]; then
    # CTest runs all of them here; what is rehearsed is this script.
    local all=${#suites[@]}
    mapfile -t suites < <(printf '%s\n' "${suites[@]}" | awk 'NR % 8 == 1')
    note "$2: rehearsed with ${#suites[@]} of $all suites"
  fi
  export binary folder
  # shellcheck disable=SC2016  # expanded by the inner shell
  printf '%s\n' "${suites[@]}" | xargs -d '\n' -I '{}' -P 4 "$BASH" -c '
    name=${1//[^A-Za-z0-9_]/-}
    status=0
    timeout 180 "$binary" --gtest_filter="$1.*" --gtest_output="xml:$folder/$name.xml" >"$folder/$name.log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then
      printf "FAILED %s (exit %s)\n" "$1" "$status"
      grep -E "^\[  FAILED  \]|Failure$|rror" "$folder/$name.log" | head -n 20
      if [ ! -s "$folder/$name.xml" ]; then tail -n 5 "$folder/$name.log"; fi
      exit 1
    fi' suite '{}' || status=1

  # A suite that crashed has left no XML.
  local reports total failures skips
  reports=$(find "$folder" -name '*.xml' | wc -l)
  read -r total failures skips < <(find "$folder" -name '*.xml' -exec cat '{}' + | awk '
    /<testcase / { total++; fresh = 1 }
    /<testcase .*result="skipped"/ { skips++ }
    /<failure / && fresh { failures++; fresh = 0 }
    END { print total + 0, failures + 0, skips + 0 }')
  note "$2: $((total - failures - skips)) passed, $failures failed, $skips skipped," \
    "$((${#suites[@]} - reports)) of ${#suites[@]} suites crashed or hung"
  # The logs of what passed say nothing that the counts do not.
  if [ "$status" = 0 ]; then rm -f "$folder"/*.log; fi
  return "$status"
}
stage_tests() {
  local status=0
  run_suites "$tests" tests || status=1
  if [ "$rehearse" = 1 ]; then
    if [ -x "$build/$shim_tests" ]; then
      run_suites "$shim_tests" shim || status=1
    else
      note "not rehearsed on the host shim: $shim_tests was not built"
    fi
    note 'not rehearsed: the tests on a GPU'
  fi
  return "$status"
}

# The table of operations, a family at a time; each run says how many op x dtype x shape cases it had.
run_families() {
  local binary=$build/$1 counts=$out/$2 status=0 family
  rm -rf "$counts" && mkdir -p "$counts"
  export binary counts
  # shellcheck disable=SC2016  # expanded by the inner shell
  for family in "$root"/tests/ops/values/*.safetensors; do basename "$family" .safetensors; done |
    awk -v step="$([ "$rehearse" = 1 ] && echo 6 || echo 1)" '(NR - 1) % step == 0' |
    xargs -I '{}' -P 4 "$BASH" -c '
      DLCUDA_OPS_FAMILY=$1 DLCUDA_OPS_COUNT=$counts/$1.count timeout 400 "$binary" --gtest_brief=1 >"$counts/$1.log" 2>&1 ||
        { printf "FAILED %s\n" "$1"; grep -E "^\[  FAILED  \]|Failure$|rror" "$counts/$1.log" | head -n 20; exit 1; }' \
      family '{}' || status=1
  note "$2: $(cat "$counts"/*.count 2>/dev/null | awk '{ n += $1 } END { print n + 0 }') op x dtype x shape cases ran"
  return "$status"
}
stage_ops() {
  if [ "$rehearse" = 0 ]; then
    run_families "$ops" ops
  elif [ -x "$build/$shim_ops" ]; then
    run_families "$shim_ops" ops-shim
    note 'not rehearsed: the operations on a GPU'
  else
    skip "not rehearsed on the host shim: $shim_ops was not built"
  fi
}

sanitize() {
  local tool=$1 binaries=("$build/$ops" "$build/$tests") filters=("$kernel_ops" "$kernel_tests") i counts=()
  if [ "$rehearse" = 1 ]; then binaries=("$build/$shim_ops" "$build/$shim_tests"); fi
  for i in 0 1; do
    if [ ! -x "${binaries[i]}" ]; then skip "not rehearsed: ${binaries[i]##*/} was not built"; fi
    counts[i]=$("${binaries[i]}" --gtest_list_tests --gtest_filter="${filters[i]}" | grep -c '^  ' || true)
    if [ "${counts[i]}" = 0 ]; then
      note "no test of ${binaries[i]##*/} is named like ${filters[i]}"
      return 1
    fi
  done
  if [ "$rehearse" = 1 ]; then
    skip "rehearsed: the filters name ${counts[0]} and ${counts[1]} tests; not rehearsed: compute-sanitizer itself"
  fi
  local sanitizer
  sanitizer=$(command -v compute-sanitizer || true)
  if [ -z "$sanitizer" ]; then sanitizer=$(dirname "$(find_nvcc)")/compute-sanitizer; fi
  if [ ! -x "$sanitizer" ]; then skip 'compute-sanitizer is not here'; fi
  # Without the cache every buffer is an allocation of its own, so that its end is known.
  local status=0
  for i in 0 1; do
    DLCUDA_NO_CACHE=1 "$sanitizer" --tool "$tool" --error-exitcode 86 "${binaries[i]}" --gtest_filter="${filters[i]}" ||
      status=$?
  done
  note "${counts[0]} cases of the table of operations, ${counts[1]} tests"
  return "$status"
}
stage_memcheck() { sanitize memcheck; }
stage_racecheck() { sanitize racecheck; }
stage_initcheck() { sanitize initcheck; }
stage_synccheck() { sanitize synccheck; }

# train_once NAME PROGRAM FLAG...: prints the last value of "test_accuracy", and the figures.
train_once() {
  local name=$1 program=$2
  shift 2
  rm -rf "$out/runs/$name"
  (cd "$out" && "$program" --seed 1 --json --out "$out/runs/$name" "$@") >"$out/train-$name.jsonl"
  accuracy=$(sed -n 's/.*"test_accuracy": *\([0-9.]*\).*/\1/p' "$out/train-$name.jsonl" | tail -n 1)
  rate=$(sed -n 's/.*"images_per_second": *\([0-9.]*\).*/\1/p' "$out/train-$name.jsonl" | tail -n 1)
  printf 'figure: lenet5 test accuracy, %s = %s\n' "$name" "${accuracy:-0}"
  printf 'figure: lenet5 images per second, %s = %s\n' "$name" "${rate:-0}"
}

stage_train() {
  local program=$build/$train on_cpu
  if [ ! -x "$program" ]; then
    note "$train was not built"
    return 1
  fi
  train_once cpu "$program" --device cpu --epochs 3
  on_cpu=$accuracy
  if [ "$rehearse" = 1 ]; then
    note 'rehearsed on the CPU; not rehearsed: training on a GPU'
    if [ -x "$build/$shim_train" ]; then
      train_once shim "$build/$shim_train" --device cuda --epochs 1 --limit 256
      note 'rehearsed on the host shim: 256 digits'
    else
      note "not rehearsed on the host shim: $shim_train was not built"
    fi
    awk -v a="$on_cpu" 'BEGIN { exit !(a >= 0.98) }'
    return
  fi
  train_once gpu "$program" --device cuda --require-gpu --epochs 3
  note "test accuracy: GPU $accuracy, CPU $on_cpu; both must reach 0.98 and lie within 0.01"
  awk -v a="$accuracy" -v b="$on_cpu" 'BEGIN { d = a - b; exit !(a >= 0.98 && b >= 0.98 && d < 0.01 && d > -0.01) }'
}

# bench_model NAME FLAG...: what `dlcuda bench` says as a line of JSON goes into a file, the rate into the figures.
bench_model() {
  local name=$1 rate
  shift
  "$build/$bench" bench "$@" --json >"$out/bench-$name.json"
  rate=$(sed -n 's/.*"images_per_second": *\([0-9.]*\).*/\1/p' "$out/bench-$name.json")
  printf 'figure: %s, images per second = %s\n' "$name" "${rate:-0}"
  sed -n 's/.*"recorded_to_eager":{"median":\([0-9.]*\).*/figure: lenet5, recorded to eager = \1/p' "$out/bench-$name.json"
}

stage_bench() {
  local device=cuda rounds=5 precision=bf16 models model batch status=0
  local kernel_flags=() cost_flags=()
  # Batches that fill an H200.
  models=(lenet5:64 resnet18:256 resnet50:256 mobilenet_v2:256 vgg16:128 yolov2:64 unet_bn:32)
  if [ ! -x "$build/$bench" ]; then skip 'dlcuda was not built'; fi
  if [ "$rehearse" = 1 ]; then
    device=cpu rounds=2 precision=fp32 models=(lenet5:64 unet_small:2)
    kernel_flags=(--scales 1 --seconds 0.001 --rounds 1) cost_flags=(--gflop 0.5 --seconds 0.01 --rounds 1)
  fi
  bench_model lenet5-and-eager lenet5 --batch-size 64 --device "$device" --compare-eager --rounds "$rounds" || status=1
  bench_model lenet5-eight-steps-a-launch lenet5 --batch-size 64 --device "$device" --precision "$precision" --steps-per-launch 8 \
    --rounds "$rounds" --seconds 0.5 || status=1
  for model in "${models[@]}"; do
    batch=${model#*:} model=${model%:*}
    for mode in train infer; do
      bench_model "$model-$mode-$precision" "$model" "--$mode" --batch-size "$batch" --device "$device" \
        --precision "$precision" --rounds "$rounds" --seconds 0.5 || { note "$model $mode failed" && status=1; }
    done
  done
  if [ "$rehearse" = 0 ]; then  # what it gains that convolutions absorb batch norms
    for model in resnet18 resnet50 unet_bn; do
      bench_model "$model-train-fp16" "$model" --device "$device" --precision fp16 --rounds "$rounds" --seconds 0.5 || status=1
      bench_model "$model-train-fp16-separate-norms" "$model" --device "$device" --precision fp16 --separate-norms \
        --rounds "$rounds" --seconds 0.5 || status=1
    done
  fi
  if [ -x "$build/bin/kernel_bench" ]; then
    "$build/bin/kernel_bench" --device "$device" "${kernel_flags[@]}" --save "$out/kernels.json" || status=1
  fi
  if [ -x "$build/bin/cost_table" ]; then
    "$build/bin/cost_table" --device "$device" "${cost_flags[@]}" --save "$out/cost.json" --picture "$out/cost.svg" \
      >"$out/cost.md" || status=1
  fi
  if [ -x "$build/bin/allocator_bench" ]; then
    "$build/bin/allocator_bench" --benchmark_out="$out/allocator.json" --benchmark_out_format=json
  fi
  if [ -x "$build/bin/first_step" ]; then "$root/benchmarks/startup" --build "$build" --device "$device" --runs 5 || status=1; fi
  # The whole comparison takes longer, because PyTorch compiles: scripts/compare MODEL --device cuda.
  if DLCUDA_BUILD="$build" "$root/scripts/compare" lenet5 --train --device "$device" --configs eager,graph --steps-per-launch 8 \
    --rounds "$rounds" --save "$out/compare-lenet5.json"; then
    note 'compared with PyTorch: LeNet-5, eager and as a graph'
  else
    note 'no comparison with PyTorch; scripts/compare says why in the log'
  fi
  if [ "$rehearse" = 1 ]; then
    note 'rehearsed on the CPU; not rehearsed: the benchmarks on a GPU'
  elif [ -x "$build/bin/dump_cudnn_properties" ]; then
    # With this file cuDNN can plan convolutions for this GPU on a machine that has none.
    "$build/bin/dump_cudnn_properties" "$out/cudnn-properties.json"
  fi
  return "$status"
}
