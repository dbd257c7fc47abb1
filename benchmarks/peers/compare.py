"""This library against PyTorch, round by round in turn. Called by scripts/compare, which has the help and finds the programs."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

from bench import parse_executions, parse_input, positive, spread_of

# The models of `all`: batch size, and what the ratio must reach on the CPU in training; in inference it is INFERENCE_BAR for each.
BARS = {"lenet5": 3.0, "resnet18": 1.1, "mobilenet_v2": 1.2, "unet16": 1.2}
INFERENCE_BAR = 1.2
BATCH_SIZES, OTHER_BATCH_SIZE = {"lenet5": 64}, 8
FAILED = 1


class Failure(Exception):
    pass


class Side:
    """A program that measures one round whenever it is told to; it stays warm in between."""

    def __init__(self, name, command, environment):
        self.name, self.command = name, command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.setup = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{self.name} ended (exit status {self.process.wait()}): {' '.join(map(str, self.command))}")
        return json.loads(line)

    def round(self):
        self.process.stdin.write("round\n")
        self.process.stdin.flush()
        return self.read()["ms_per_step"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(options, model, mode):
    batch_size = options.batch_size or BATCH_SIZES.get(model, OTHER_BATCH_SIZE)
    flags = [model, f"--{mode}", "--batch-size", str(batch_size), "--precision", options.precision, "--device", options.device,
             "--threads", str(options.threads), "--seconds", str(options.seconds), "--serve"]
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    load = os.getloadavg()[0]
    sides = []
    try:
        more = ["--input", "x".join(map(str, options.input))] if options.input else []
        if options.steps_per_launch:
            more += ["--steps-per-launch", str(options.steps_per_launch)]
        ours = Side("dlcuda bench", [options.dlcuda, "bench"] + flags + more, environment)
        sides.append(ours)
        # PyTorch gets the pictures, classes and device that the library has taken.
        more = ["--input", "x".join(map(str, ours.setup["input"])), "--classes", str(ours.setup["classes"]), "--configs",
                ",".join(options.configs or (["eager"] if ours.setup["device"] == "cpu" else parse_executions("all")))]
        flags[flags.index("--device") + 1] = ours.setup["device"]
        theirs = Side("the peer", [sys.executable, pathlib.Path(__file__).with_name("bench.py")] + flags + more, environment)
        sides.append(theirs)
        if theirs.setup["parameters"] not in (0, ours.setup["parameters"]):
            raise Failure(f"{model} is not the same model: {ours.setup['parameters']} parameters here, "
                          f"{theirs.setup['parameters']} in PyTorch")
        mine, other = [], []
        for _ in range(options.rounds):
            mine.append(ours.round())
            other.append(theirs.round())
    finally:
        for side in sides:
            side.close()
    per_second = {name: 1000 * batch_size / spread_of(values)["median"] for name, values in (("dlcuda", mine), ("pytorch", other))}
    result = {"model": model, "mode": mode, "batch_size": batch_size, "input": ours.setup["input"], "precision": options.precision,
              "device": ours.setup["device"], "threads": options.threads, "rounds": options.rounds,
              "images_per_second": round(per_second["dlcuda"], 2), "peer_images_per_second": round(per_second["pytorch"], 2),
              "ratio": {name: round(value, 3) for name, value in spread_of([b / a for a, b in zip(mine, other)]).items()},
              "format": ours.setup["format"], "recorded": ours.setup["recorded"], "steps_per_launch": ours.setup.get("steps_per_launch", 1),
              "configuration": theirs.setup["configuration"],
              "load_before": load, "load_after": os.getloadavg()[0], "ms_per_step": spread_of(mine), "peer_ms_per_step": spread_of(other),
              "tried": theirs.setup["tried"], "failed": theirs.setup["failed"], "machine": ours.setup["machine"],
              "peer_machine": theirs.setup["machine"]}
    if ours.setup["device"] == "cpu" and options.precision == "fp32" and model in BARS:
        result["bar"] = BARS[model] if mode == "train" else INFERENCE_BAR
    return result


def table(results):
    rows = [["model", "", "batch", "dlcuda img/s", "PyTorch img/s", "ratio", "quartiles", "bar", "PyTorch's best"]]
    for r in results:
        ratio, bar = r["ratio"], r.get("bar")
        rows.append([r["model"], r["mode"], str(r["batch_size"]), f"{r['images_per_second']:.5g}", f"{r['peer_images_per_second']:.5g}",
                     f"{ratio['median']:.2f}", f"{ratio['lower_quartile']:.2f} to {ratio['upper_quartile']:.2f}",
                     "" if bar is None else f"{bar:.1f} {'held' if ratio['median'] >= bar else 'MISSED'}", r["configuration"]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def main():
    parser = argparse.ArgumentParser(prog="scripts/compare")
    parser.add_argument("model")
    parser.add_argument("--dlcuda", required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=positive(int))
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16", "fp16"], default="fp32")
    parser.add_argument("--input", type=parse_input)
    parser.add_argument("--threads", type=positive(int), default=len(os.sched_getaffinity(0)))
    parser.add_argument("--configs", type=parse_executions)
    parser.add_argument("--steps-per-launch", type=positive(int))
    parser.add_argument("--seconds", type=positive(float), default=1.0)
    parser.add_argument("--rounds", type=positive(int), default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", type=pathlib.Path)
    mode = parser.add_mutually_exclusive_group()
    for name in ("train", "infer", "both"):
        mode.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    modes = ["train"] if options.train else ["infer"] if options.infer else ["train", "infer"]

    results, status = [], 0
    for model in BARS if options.model == "all" else [options.model]:
        for mode in modes:
            print(f"{model}, {mode}: PyTorch's configurations", file=sys.stderr)
            try:
                results.append(compare(options, model, mode))
            except Failure as failure:
                print(f"{model}, {mode}: {failure}", file=sys.stderr)
                status = FAILED
    if not results:
        return status
    if options.save:
        command = "scripts/compare " + " ".join(argument for argument in sys.argv[1:] if argument not in ("--dlcuda", options.dlcuda))
        options.save.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"command": command, "date": time.strftime("%Y-%m-%d", time.gmtime()), "results": results}, indent=1)
        options.save.write_text(text + "\n")
    print("\n".join(json.dumps(result) for result in results) if options.json else table(results))
    load = results[0]["load_before"]  # what comes later sees the programs measured before it
    if load > 0.5:
        print(f"other programs were running before (load {load:.1f}): the ratio is not to be trusted", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
