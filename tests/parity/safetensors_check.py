"""Files of libdlcuda read by Python's safetensors, and the other way round.

usage: safetensors_check.py PATH_OF_safetensors_exchange

The tensors are those of safetensors_exchange.cpp. Exits 77 where torch or safetensors is not installed.
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(f"skipped: {sys.executable}: {error}; see tests/requirements.txt")
    sys.exit(77)

METADATA = {"format": "pt", "note": 'ü "\n'}
SHAPES = {
    "f32": (torch.float32, (2, 3)),
    "bool": (torch.bool, (7,)),
    "f16": (torch.float16, (3, 5)),
    "bf16": (torch.bfloat16, (3, 1)),
    "f64": (torch.float64, (4,)),
    "i32": (torch.int32, (2, 2, 2)),
    "i64": (torch.int64, (5,)),
    "u8": (torch.uint8, (3,)),
    "scalar": (torch.float32, ()),
    "empty": (torch.float32, (2, 0, 3)),
    "channels_last": (torch.float32, (2, 3, 4, 5)),
    'ü "quoted"\n': (torch.float32, (1,)),
}


def pattern(dtype, shape):
    """Element i in logical order, exact in every dtype."""
    n = (torch.arange(torch.Size(shape).numel()) * 7 + 3) % 11
    if dtype == torch.bool:
        n = n % 3 == 0
    elif dtype == torch.uint8:
        n = n * 20
    elif dtype in (torch.int32, torch.int64):
        n = (n - 5) * 100_000_000
    else:
        n = (n - 5).double() / 4 + (2.0**-50 if dtype == torch.float64 else 0)
    return n.to(dtype).reshape(shape)


def require(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def check_known(path):
    tensors = load_file(path)
    require(set(tensors) == set(SHAPES), f"{path}: names {sorted(tensors)}")
    for name, (dtype, shape) in SHAPES.items():
        tensor, expected = tensors[name], pattern(dtype, shape)
        require(tensor.dtype == dtype, f"{path}: {name}: dtype {tensor.dtype}")
        require(tensor.shape == expected.shape, f"{path}: {name}: shape {tensor.shape}")
        require(torch.equal(tensor, expected), f"{path}: {name}: values {tensor}")
    with safe_open(path, framework="pt") as file:
        require(file.metadata() == METADATA, f"{path}: metadata {file.metadata()}")


def main():
    exchange = sys.argv[1]

    def check_fails(path, word):
        done = subprocess.run([exchange, "check", path], capture_output=True, text=True)
        require(done.returncode == 1 and word in done.stderr, f"{path}: expected '{word}', got: {done.stderr}")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours, theirs = folder / "ours.safetensors", folder / "theirs.safetensors"

        subprocess.run([exchange, "write", ours], check=True)
        check_known(ours)

        tensors = {name: pattern(*about) for name, about in SHAPES.items()}
        save_file(tensors, theirs, metadata=METADATA)
        subprocess.run([exchange, "check", theirs], check=True)

        # The comparison itself must see a difference of one element, and of a dtype that we lack.
        other = dict(tensors, f64=tensors["f64"] + 2.0**-50)
        save_file(other, theirs, metadata=METADATA)
        check_fails(theirs, "f64: values")
        save_file(dict(tensors, u8=tensors["u8"].to(torch.int16)), theirs, metadata=METADATA)
        check_fails(theirs, '"I16" is not supported')

        # Both refuse the same damage.
        whole = ours.read_bytes()
        for damaged in (whole[:-1], whole + b"\0", whole[:40], b"", whole.replace(b'"F32"', b'"F31"')):
            theirs.write_bytes(damaged)
            check_fails(theirs, str(theirs))
            try:
                load_file(theirs)
                sys.exit(f"FAILED: Python reads {len(damaged)} damaged bytes")
            except SafetensorError:
                pass
    print("ok: 12 tensors each way, and the same refusals")


if __name__ == "__main__":
    main()
