#!/usr/bin/env python3
"""How fast PyTorch trains or runs a model: what `dlcuda bench` measures, with the same flags and the same keys in its JSON.

Each configuration that may be the fastest is measured for a moment: memory formats, kinds of Adam, torch.compile, CUDA graphs,
autocast and pure bf16 or f16. The best one counts. What PyTorch cannot do here (no compiler, no Triton) is listed with its reason. The
packages are those of tests/requirements.txt.
"""
import argparse
import gc
import json
import math
import os
import statistics
import sys
import time
import warnings

try:
    import torch
except ImportError as error:
    sys.exit(f"{sys.executable}: {error}; pip install -r tests/requirements.txt (in a virtual environment)")

from configurations import EXECUTIONS, Work, configurations, make_step
from models import MODELS


class Benchmark:
    """Rounds of so many steps that a round takes about `seconds`; the device is waited for at their ends only."""

    def __init__(self, device, step, seconds):
        self.device, self.step, self.calls = device, step, 1
        for _ in range(3):
            self.run(1)
        calls, milliseconds = 1, self.run(1)
        while milliseconds * calls < 250 * seconds:
            calls *= 2
            milliseconds = self.run(calls)
        self.calls = max(1, math.ceil(1000 * seconds / milliseconds))

    def run(self, calls):
        start = time.perf_counter()
        for _ in range(calls):
            self.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return 1000 * (time.perf_counter() - start) / calls

    def round(self):
        return self.run(self.calls)


def spread_of(values):
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {"median": statistics.median(values), "least": min(values), "lower_quartile": quartiles[0],
            "upper_quartile": quartiles[2], "most": max(values)}


def reason_of(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def best_of(work, executions, seconds, channels_last):
    """The fastest configuration with its step, milliseconds of all, and the reasons of those that failed."""
    best, best_step, tried, failed, parameters = None, None, {}, {}, 0
    for configuration in configurations(work, executions, channels_last):
        try:
            step, model = make_step(work, configuration)
            benchmark = Benchmark(work.device, step, seconds)
            tried[str(configuration)] = min(benchmark.round() for _ in range(2))
            if best is None or tried[str(configuration)] < tried[str(best)]:
                best, best_step = configuration, step
                parameters = sum(p.numel() for p in model.parameters()) if configuration.execution != "folded" else 0
        except Exception as error:  # whatever PyTorch and its compilers throw
            failed[str(configuration)] = reason_of(error)
        step = model = benchmark = None
        gc.collect()
        if "compile" in configuration.execution:
            torch._dynamo.reset()
        if work.device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"  {configuration}: " + (f"{tried[str(configuration)]:.4g} ms" if str(configuration) in tried
                                        else failed[str(configuration)]), file=sys.stderr, flush=True)
    if best is None:
        sys.exit("no configuration of PyTorch worked: " + "; ".join(f"{name}: {why}" for name, why in failed.items()))
    return best, best_step, tried, failed, parameters


def machine():
    facts = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "torch": torch.__version__, "python": sys.version.split()[0],
             "threads": str(torch.get_num_threads()), "load": f"{os.getloadavg()[0]:.2f}"}
    if torch.cuda.is_available():
        facts |= {"device": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
    return facts | {name: os.environ[name] for name in ("OMP_WAIT_POLICY", "OMP_PROC_BIND", "GOMP_SPINCOUNT") if name in os.environ}


def positive(kind):
    def parse(text):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
        return value
    return parse


def parse_input(text):
    try:
        extents = tuple(int(part) for part in text.split("x"))
    except ValueError:
        extents = ()
    if len(extents) != 3 or min(extents) < 1:
        raise argparse.ArgumentTypeError(f"expected CxHxW, as in 3x224x224, got {text}")
    return extents


def parse_executions(text):
    names = EXECUTIONS if text == "all" else text.split(",")
    for name in names:
        if name not in EXECUTIONS:
            raise argparse.ArgumentTypeError(f"unknown configuration {name}; there are all, {', '.join(EXECUTIONS)}")
    return names


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL", help="a model's name, as `dlcuda info` lists them")
    parser.add_argument("--batch-size", type=positive(int), default=32)
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16", "fp16"], default="fp32")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--train", action="store_true", help="the default")
    mode.add_argument("--infer", action="store_true")
    parser.add_argument("--input", type=parse_input, metavar="CxHxW")
    parser.add_argument("--classes", type=positive(int))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<index>")
    parser.add_argument("--format", choices=["auto", "channels-last", "contiguous"], default="auto", help="auto: both are tried")
    parser.add_argument("--threads", type=positive(int), default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=positive(float), default=1.0, help="about so long is a round")
    parser.add_argument("--rounds", type=positive(int), default=7)
    parser.add_argument("--configs", type=parse_executions, default="all", metavar="NAME,...",
                        help=f"all, or some of {', '.join(EXECUTIONS)}")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--serve", action="store_true", help="a round for each line 'round' on standard input; for scripts/compare")
    options = parser.parse_args()
    if options.model not in MODELS:
        parser.error(f"no model '{options.model}' here; there are {', '.join(sorted(MODELS))}")
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        options.device = torch.device(options.device)
        torch.empty(1, device=options.device)
    except (RuntimeError, AssertionError) as error:
        parser.error(f"--device: {reason_of(error)}")
    return options


def main():
    options = parse_arguments()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.precision == "tf32"
    if options.device.type == "cuda":
        torch.cuda.set_device(options.device)

    model = MODELS[options.model]
    work = Work(model, not options.infer, options.batch_size, options.input or model.input, options.classes or model.classes,
                options.precision, options.device)
    formats = {"auto": (False, True), "channels-last": (True,), "contiguous": (False,)}[options.format]
    best, step, tried, failed, parameters = best_of(work, options.configs, min(options.seconds, 0.5), formats)
    if options.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    benchmark = Benchmark(options.device, step, options.seconds)
    report = {"benchmark": "model", "library": "pytorch", "model": options.model, "mode": "train" if work.train else "infer",
              "device": str(options.device), "batch_size": work.batch_size, "input": list(work.input), "classes": work.classes,
              "precision": options.precision, "format": "channels-last" if best.channels_last else "contiguous",
              "threads": torch.get_num_threads(), "configuration": str(best), "parameters": parameters,
              "steps_per_round": benchmark.calls, "tried": tried, "failed": failed, "machine": machine()}
    if options.serve:
        print(json.dumps(report), flush=True)
        for line in sys.stdin:
            if line.strip() != "round":
                sys.exit(f"--serve: expected lines that say 'round', got {line.strip()!r}")
            print(json.dumps({"ms_per_step": benchmark.round()}), flush=True)
        return
    spread = spread_of([benchmark.round() for _ in range(options.rounds)])
    report |= {"rounds": options.rounds, "ms_per_step": spread, "images_per_second": 1000 * work.batch_size / spread["median"]}
    if options.device.type == "cuda":
        report["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
        report["reserved_memory_bytes"] = torch.cuda.max_memory_reserved()
    if options.json:
        print(json.dumps(report))
        return
    print(f"{options.model}: {report['mode']} in {options.precision}, batches of {work.batch_size}, {best}: "
          f"{spread['median']:.4g} ms per step (quartiles {spread['lower_quartile']:.4g} to {spread['upper_quartile']:.4g}), "
          f"{report['images_per_second']:.5g} images per second")


if __name__ == "__main__":
    main()
