#!/usr/bin/env bash
# same_losses.sh CPU_PROGRAM SHIM_PROGRAM TOLERANCE: two training steps give the same losses on the CPU and through the
# CUDA backend on the host shim, within a part of them. Sums run in another order there, which norms over few values
# magnify. Not with Adam, whose first steps are as large for a gradient that rounding has made as for any other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
flags=(--epochs 1 --limit 4 --batch-size 2 --workers 0 --optimizer momentum --lr 1e-3)
"$1" --device cpu "${flags[@]}" --out "$folder/cpu" >/dev/null
"$2" --device cuda --require-gpu "${flags[@]}" --out "$folder/cuda" >/dev/null
paste -d, "$folder/cpu/results.csv" "$folder/cuda/results.csv" | awk -F, -v tolerance="$3" '
  NR == 1 {
    columns = NF / 2
    for (i = 1; i <= columns; ++i) if ($i ~ /loss$/) losses[i] = $i
    next
  }
  {
    for (i in losses) {
      difference = $i - $(i + columns)
      if (difference < 0) difference = -difference
      printf "epoch %s, %s: %s on the CPU, %s through the shim\n", $1, losses[i], $i, $(i + columns)
      if ($i == "" || difference > tolerance * $i) wrong = 1
      ++compared
    }
  }
  END { exit wrong || compared < 2 }'
