"""Random configurations of every operation of the table (tests/ops) against the installed PyTorch, gradients included.

usage: ops_check.py PATH_OF_ops_exchange [--count 500] [--seed 1] [--device cpu] [--op NAME ...] [--keep FOLDER]

Operations take turns, so that each is drawn equally often. Inputs are drawn as tests/ops/FAMILY.py says, f64 and f32 ones
shifted by random fractions, rounded to a random dtype of the operation, and handed over in a safetensors file; PyTorch computes
in f64 from the same rounded inputs. The tolerances are those of the table. Exits 77 where torch or safetensors is not
installed.
"""
import argparse
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file, safe_open, save_file
    import numpy  # used by the table
except ImportError as error:
    print(f"skipped: {sys.executable}: {error}; see tests/requirements.txt")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "ops"))
import table

TOLERANCES = {"f64": (1e-7, 1e-7), "f32": (1.3e-6, 1e-5), "bf16": (1.6e-2, 1e-5), "f16": (1e-3, 1e-5)}
DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def rounded_inputs(one, dtype, generator):
    """What the C++ side gets."""
    inputs = []
    for spec in one["inputs"]:
        x = table.generate(spec)
        if x is not None and x.is_floating_point():
            # 16-bit inputs stay multiples of their step: an operation made of several would round in between.
            if not spec["exact"] and "values" not in spec and dtype in ("f64", "f32"):
                x = x + spec["step"] * 0.8 * (torch.rand(x.shape, dtype=torch.float64, generator=generator) - 0.5)
            stat = spec["dtype"] == "stat"
            x = x.to(DTYPES[dtype] if dtype == "f64" or not stat else torch.float32)
        inputs.append(x)
    return inputs


def largest(x):
    finite = x[x.isfinite()].abs()
    return finite.max().item() if finite.numel() else 0.0


def wrong(actual, expected, dtype, slack, scale):
    """The reason why two tensors differ, or None. scale: the largest value that slack counts from."""
    if list(actual.shape) != list(expected.shape):
        return f"shape {list(actual.shape)}, expected {list(expected.shape)}"
    actual, expected = actual.double(), expected.double()
    if expected.numel() == 0:
        return None
    relative, absolute = TOLERANCES[dtype]
    allowed = absolute + relative * (expected.abs() + slack * scale)
    same = (actual == expected) | (actual.isnan() & expected.isnan()) | ((actual - expected).abs() <= allowed)
    if same.all():
        return None
    at = (~same).reshape(-1).nonzero()[0].item()
    return (f"{(~same).sum().item()} of {same.numel()} elements differ; the first, {at}: got "
            f"{actual.reshape(-1)[at].item()!r}, expected {expected.reshape(-1)[at].item()!r} (largest {scale:.3g})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("exchange")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--op", nargs="*")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the files of the exchange here")
    options = parser.parse_args()

    torch.set_num_threads(1)
    rng, generator = random.Random(options.seed), torch.Generator().manual_seed(options.seed)
    table.families()
    names = options.op or sorted(table.OPS)
    tensors, metadata, expected = {}, {}, {}
    for number in range(options.count):
        operation = table.OPS[names[number % len(names)]]
        dtype = rng.choice([d for d in operation.dtypes if options.device == "cpu" or d != "f64"])
        one = table.seed(operation.draw(rng), rng.randrange(1 << 20))
        inputs = rounded_inputs(one, dtype, generator)
        wide = [x.double().clone() if x is not None and x.is_floating_point() else x for x in inputs]
        outputs, gradients, differentiable = table.evaluate_on(operation, one, wide)
        key = f"{number}"
        one |= {"channels_last": rng.random() < 0.5}
        metadata[key] = json.dumps(table.describe(operation, one, outputs, gradients, differentiable))
        tensors |= {f"{key}/in{i}": x.contiguous().clone() for i, x in enumerate(inputs) if x is not None}
        expected[key] = (operation, dtype, one,
                         {f"out{j}": y for j, y in enumerate(outputs)} | {f"grad{i}": g for i, g in gradients.items()})

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "in.safetensors", metadata)
        subprocess.run([options.exchange, folder / "in.safetensors", folder / "out.safetensors", options.device], check=True)
        results = load_file(folder / "out.safetensors")
        with safe_open(folder / "out.safetensors", framework="pt") as opened:
            errors = opened.metadata() or {}

    failed = 0
    for key, (operation, dtype, one, values) in expected.items():
        reasons = [errors[key]] if key in errors else []
        of_gradients = max((largest(v) for n, v in values.items() if n.startswith("grad")), default=0.0)
        for name, value in values.items():
            if reasons:
                break
            if f"{key}/{name}" not in results:
                reasons.append(f"{name} is missing")
                continue
            # Gradients and outputs of statistics are f32 beside 16-bit data: held to the data's tolerance as well.
            exact = not value.is_floating_point()
            reason = wrong(results[f"{key}/{name}"], value, dtype, 0 if exact else operation.slack,
                           of_gradients if name.startswith("grad") else largest(value.double()))
            if reason:
                reasons.append(f"{name}: {reason}")
        if reasons:
            failed += 1
            if failed > 30:
                continue  # enough to read
            shapes = [spec and spec["shape"] for spec in one["inputs"]]
            layout = "channels-last" if one["channels_last"] else "contiguous"
            print(f"{operation.name} {dtype} {layout} {shapes} {one['params']}:\n    " + "\n    ".join(reasons))
    print(f"{len(expected)} configurations of {len(names)} operations on {options.device}, {failed} failed")
    sys.exit(1 if failed else 0)


main()
