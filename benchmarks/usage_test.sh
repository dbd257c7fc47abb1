#!/usr/bin/env bash
# usage_test.sh KERNEL_BENCH COST_TABLE: wrong arguments end with 2 and a message that names them.
set -euo pipefail
kernels=$1 costs=$2

# refuses WORDS COMMAND...
refuses() {
  local words=$1 status=0 said
  shift
  said=$("$@" 2>&1 >/dev/null) || status=$?
  if [ "$status" != 2 ] || [[ $said != *"$words"* ]]; then
    printf '%s: exit %s, said: %s\n' "$*" "$status" "$said"
    exit 1
  fi
}

refuses "'no such'" "$kernels" 'no such' --list
refuses "did you mean '--rounds'" "$kernels" --round 3
refuses --scales "$kernels" --scales 1,x
refuses --below "$kernels" --below 50 --no-peaks
refuses --seconds "$costs" --seconds 0
refuses --gflop "$costs" --gflop much
refuses "'no such'" "$costs" --model 'no such'
refuses --precision "$costs" --precision fp61
