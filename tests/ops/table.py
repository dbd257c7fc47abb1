"""The table of operations: what each is in PyTorch, and the cases that it is tested on.

A family is a module beside this one. It describes each operation once:

    op("add", run=lambda x, p: [x[0] + x[1]], cases=[case([tensor(2, 3), tensor(3)]), ...], draw=draw_add)

`run` takes the list of inputs and the dictionary of parameters and returns the list of outputs; it is called with f64
tensors. `draw(rng)` (a random.Random) returns a random case for the live comparison. Inputs are described, not stored:
the C++ side (generate.cpp) makes the same numbers from the same description.
"""
import dataclasses
import math
import zlib

import numpy as np
import torch

DTYPES = ("f64", "f32", "bf16", "f16")
FEWEST_CASES = 8
_U64 = np.uint64


def tensor(*shape, low=-16, high=16, step=1 / 8, grad=True, exact=False, dtype="float"):
    """Multiples of `step` from low * step to high * step: with |low|, |high| <= 256 and a power of two as the step, every
    floating-point dtype holds them exactly, so that one reference serves all. `exact`: the numeric gradient check must
    not shift them between the multiples. dtype: "float" (that of the variant) or "stat" (f64 in the f64 variant, else
    f32, as parameters and statistics of normalisation have it)."""
    return {"shape": list(shape), "low": low, "high": high, "step": step, "grad": grad, "exact": exact, "dtype": dtype}


def image(n, c, h, w, **options):
    """A tensor (N, C, H, W) that takes the memory format of the variant."""
    return {**tensor(n, c, h, w, **options), "image": True}


def index(*shape, high, low=0, dtype="i64"):
    """Integers from low to high, both included. dtype: i64, i32, u8 or bool."""
    return {"shape": list(shape), "low": low, "high": high, "step": 1, "grad": False, "exact": True, "dtype": dtype}


def values(numbers, *shape, dtype="float", grad=True, exact=False, image=False):
    """These numbers, in logical order; "nan", "inf" and "-inf" among them."""
    shape = list(shape) or [len(numbers)]
    return {"shape": shape, "values": list(numbers), "step": 0, "grad": grad and dtype in ("float", "stat"),
            "exact": exact, "dtype": dtype, **({"image": True} if image else {})}


NONE = None  # an optional input that is left out


def case(inputs, **params):
    """A case | {"numeric": False} is left out of the check by differences: its values are too large for them."""
    return {"inputs": inputs, "params": params}


@dataclasses.dataclass
class Op:
    name: str
    run: callable
    cases: list
    draw: callable
    dtypes: tuple
    slack: float
    numeric: bool


OPS = {}


def op(name, run, cases, draw, dtypes=DTYPES, slack=0, because="", numeric=True):
    """slack: the tolerance grows by slack * (relative tolerance of the dtype) * (largest value of the output, or of all
    gradients: a sum that cancels is as exact as its terms), for
    `because`: an operation that rounds partial results, or whose terms cancel. numeric: whether its gradient is also
    checked by differences (not where it has none, or is not smooth)."""
    assert name not in OPS, f"{name} is described twice"
    assert len(cases) >= FEWEST_CASES, f"{name} has {len(cases)} cases, fewer than {FEWEST_CASES}"
    assert (slack == 0) == (because == ""), f"{name}: a slack needs its reason, and only then"
    for number, one in enumerate(cases):
        seed(one, zlib.crc32(name.encode()) % 100_000 * 100 + number)
    OPS[name] = Op(name, run, cases, draw, tuple(dtypes), slack, numeric)


def seed(one, base):
    """Gives each input of a case numbers of its own."""
    one["inputs"] = [None if spec is None else {**spec, "seed": base * 16 + i} for i, spec in enumerate(one["inputs"])]
    return one


def _hash(seed, count):
    """splitmix64's finaliser over a counter; generate.cpp has the same."""
    with np.errstate(over="ignore"):
        z = (_U64(seed) << _U64(32)) + np.arange(1, count + 1, dtype=_U64)
        z = z * _U64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> _U64(27))) * _U64(0x94D049BB133111EB)
        return z ^ (z >> _U64(31))


_TORCH = {"float": torch.float64, "stat": torch.float64, "i64": torch.int64, "i32": torch.int32, "u8": torch.uint8,
          "bool": torch.bool}


def generate(spec):
    """The tensor that a description stands for."""
    if spec is None:
        return None
    shape, count = spec["shape"], math.prod(spec["shape"])
    if "values" in spec:
        numbers = torch.tensor([float(v) for v in spec["values"]], dtype=torch.float64)
    else:
        span = spec["high"] - spec["low"] + 1
        numbers = torch.from_numpy((_hash(spec["seed"], count) % _U64(span)).astype(np.int64) + spec["low"]) * spec["step"]
    return numbers.to(_TORCH[spec["dtype"]]).reshape(shape)


def upstream(shape, j):
    """The gradient that reaches output j."""
    return generate(tensor(*shape) | {"seed": 1000 + j})


def evaluate(operation, one):
    """Outputs, and the gradients of the inputs that have one (a dictionary by position), in f64."""
    inputs = [generate(spec) for spec in one["inputs"]]
    return evaluate_on(operation, one, inputs)


def evaluate_on(operation, one, inputs):
    for spec, x in zip(one["inputs"], inputs):
        if spec is not None and spec["grad"] and x.is_floating_point():
            x.requires_grad_(True)
    outputs = list(operation.run(inputs, one["params"]))
    differentiable = [j for j, y in enumerate(outputs) if y.requires_grad]
    wanted = [i for i, x in enumerate(inputs) if x is not None and x.requires_grad]
    gradients = {}
    if differentiable:
        ys = [outputs[j] for j in differentiable]
        found = torch.autograd.grad(ys, [inputs[i] for i in wanted],
                                    [upstream(y.shape, j).to(y.dtype) for j, y in zip(differentiable, ys)], allow_unused=True)
        gradients = {i: g for i, g in zip(wanted, found) if g is not None}
    return [y.detach() for y in outputs], gradients, differentiable


def describe(operation, one, outputs, gradients, differentiable):
    """The part of a case that both sides read: a dictionary for JSON."""
    return {"op": operation.name, **one, "dtypes": operation.dtypes, "slack": operation.slack,
            "numeric": operation.numeric and one.get("numeric", True), "gradients": sorted(gradients),
            "outputs": [{"shape": list(y.shape), "upstream": j in differentiable} for j, y in enumerate(outputs)]}


def families():
    """Imports all families; returns {family: [names of its operations]}."""
    import importlib
    import pathlib
    found = {}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        if path.stem in ("table", "make_values"):
            continue
        before = set(OPS)
        importlib.import_module(path.stem)
        found[path.stem] = [name for name in OPS if name not in before]
    return found
