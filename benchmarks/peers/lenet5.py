#!/usr/bin/env python3
"""LeNet-5 training at batch 64: this library against PyTorch, alternating in one run.

    python benchmarks/peers/lenet5.py [--build build/cpu] [--device cpu] [--threads 2] [--rounds 7]

The packages are those of tests/requirements.txt.
Both train the same network (tanh, average pooling, Adam, f32) on data that stays in memory. PyTorch runs eagerly in each
of its set-ups that may be fastest (contiguous and channels-last; Adam plain, multi-tensor and fused); the best one counts.
Prints a table, and one JSON line with the ratio and its spread.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

BATCH = 64


def build_peer(device, channels_last, adam):
    import torch
    from torch import nn

    torch.manual_seed(1)

    class LeNet5(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
            self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
            self.pool = nn.AvgPool2d(2)

        def forward(self, x):
            x = self.pool(torch.tanh(self.conv1(x)))
            x = self.pool(torch.tanh(self.conv2(x)))
            x = torch.tanh(self.fc1(x.flatten(1)))
            return self.fc3(torch.tanh(self.fc2(x)))

    model, images = LeNet5().to(device), torch.rand(BATCH, 1, 32, 32, device=device) * 2 - 1
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH, device=device) * 7 % 10
    optimizer = torch.optim.Adam(model.parameters(), **adam)

    def run(seconds):
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            steps += 1
            # A GPU works behind the host: now and then the host waits, so that the time is that of the work.
            if device != "cpu" and steps % 50 == 0:
                torch.cuda.synchronize()
        if device != "cpu":
            torch.cuda.synchronize()
        return steps * BATCH / (time.perf_counter() - start)

    return run


def serve_peer(device, threads):
    """The peer's process: reads a number of seconds a line, answers with images per second of its best set-up."""
    import torch

    torch.set_num_threads(threads)
    setups = {}
    for channels_last in (False, True):
        for adam in ({}, {"foreach": True}, {"fused": True}):
            name = f"{'channels-last' if channels_last else 'contiguous'}, Adam {', '.join(adam) or 'plain'}"
            run = build_peer(device, channels_last, adam)
            run(0.5)
            setups[name] = (run(1.5), run)
    name = max(setups, key=lambda key: setups[key][0])
    print(json.dumps({"torch": torch.__version__, "setup": name,
                      "tried": {key: round(value[0]) for key, value in setups.items()}}), flush=True)
    for line in sys.stdin:
        print(setups[name][1](float(line)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/cpu", help="build folder with bin/train_lenet5_bench")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve-peer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve_peer:
        return serve_peer(args.device, args.threads)

    bench = pathlib.Path(args.build) / "bin" / "train_lenet5_bench"
    if not bench.exists():
        sys.exit(f"{bench} is missing: cmake --build {args.build} --target train_lenet5_bench")
    # The peer lives in a process of its own, so that neither side's waiting threads run while the other is measured.
    environment = dict(os.environ, OMP_NUM_THREADS=str(args.threads))
    peer = subprocess.Popen([sys.executable, __file__, "--serve-peer", "--device", args.device, "--threads",
                             str(args.threads)], text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env=environment)
    about = json.loads(peer.stdout.readline())
    print(f"PyTorch {about['torch']}, eager; set-ups tried, images/s: {about['tried']}", file=sys.stderr)

    ours, theirs = [], []
    for _ in range(args.rounds):
        out = subprocess.run([bench, "--device", args.device, "--threads", str(args.threads), "--batch-size", str(BATCH),
                              "--rounds", "5"], capture_output=True, text=True, check=True, env=environment).stdout
        ours.append(json.loads(out)["images_per_second"])
        peer.stdin.write("1.0\n")
        peer.stdin.flush()
        theirs.append(float(peer.stdout.readline()))
        print(f"  this library {ours[-1]:10,.0f} img/s   PyTorch {theirs[-1]:10,.0f} img/s   "
              f"ratio {ours[-1] / theirs[-1]:.2f}", file=sys.stderr)
    peer.stdin.close()
    peer.wait()

    ratios = [a / b for a, b in zip(ours, theirs)]
    print(json.dumps({"benchmark": "train_lenet5 b64 f32", "device": args.device, "threads": args.threads,
                      "torch": about["torch"],
                      "peer_setup": about["setup"], "images_per_second": round(statistics.median(ours)),
                      "peer_images_per_second": round(statistics.median(theirs)),
                      "ratio": round(statistics.median(ratios), 2), "ratio_lowest": round(min(ratios), 2),
                      "ratio_highest": round(max(ratios), 2)}))


if __name__ == "__main__":
    main()
