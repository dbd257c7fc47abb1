#!/usr/bin/env python3
"""Do the tests notice a broken kernel? Changes one operator, bound, constant or barrier at a time in the device code of
each .cu and .cuh file, and runs the host shim's tests with it.

usage: mutate.py BUILD [--file NAME ...] [--each 12] [--seed 1] [--jobs 2] [--bar 90] [--report FILE]

BUILD is a configured and built tree, build/asan for the verdict that counts (its sanitizers see what the shim's guards
do not). A mutant is compiled and linked in front of the library; nothing in the tree is changed. It is caught when a test
fails, crashes or hangs; mutants that do not compile are not counted. Some survivors compute the same as the original:
equivalent.txt names those that a reader has judged so, and they are not counted either. Exits 1 below the bar.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_S = 200
# Tests of kernels outside the table of operations.
OTHER_TESTS = ":".join(f"{suite}*" for suite in (
    "Arithmetic", "Confusion", "Conv2d", "ConvTranspose2d", "Copy", "CrossEntropy", "CudaLaunchers", "Dropout", "IndexOnCuda", "Layout",
    "Random", "Update"))
INCLUDERS = 8  # files that are compiled with a changed .cuh

# What is looked for, and what replaces it. The sources are formatted, so binary operators stand between spaces and
# template brackets do not.
RULES = [
    (r" < ", [" <= ", " > "]), (r" <= ", [" < "]), (r" > ", [" >= ", " < "]), (r" >= ", [" > "]),
    (r" == ", [" != "]), (r" != ", [" == "]), (r" && ", [" || "]), (r" \|\| ", [" && "]),
    (r" \+ ", [" - "]), (r" - ", [" + "]), (r" \* ", [" + "]), (r" / ", [" * "]), (r" % ", [" / "]),
    (r" \+= ", [" -= ", " = "]), (r"\+\+", ["--"]), (r" / 2", [" / 4"]),
    (r"__syncthreads\(\);", [";"]), (r"__syncwarp\(\);", [";"]),
    (r"\b0\b(?!\.)", ["1"]), (r"\b1\b(?!\.)", ["2"]), (r"\b0\.0f", ["1.0f"]), (r"\b1\.0f", ["2.0f"]),
]


def device_lines(text):
    """The numbers of the lines inside functions and structs marked __global__ or __device__ (or shared functors)."""
    lines, marked, depth, inside, pending = text.split("\n"), set(), 0, None, False
    for number, line in enumerate(lines):
        code = line.split("//")[0]
        if inside is None and re.search(r"__global__|__device__|DLCUDA_HD", code):
            pending = True
        if pending or inside is not None:
            marked.add(number)
        for c in code:
            if c == "{":
                if pending and inside is None:
                    inside, pending = depth, False
                depth += 1
            elif c == "}":
                depth -= 1
                if inside is not None and depth == inside:
                    inside = None
            elif c == ";" and pending and inside is None:
                pending = False
    return marked


def mutants(path, each, rng):
    text = path.read_text()
    lines, found = text.split("\n"), []
    for number in sorted(device_lines(text)):
        line = lines[number]
        code = line.split("//")[0]
        if re.search(r"^\s*(#|template|static_assert|using )|__launch_bounds__|__align__", code):
            continue
        for pattern, replacements in RULES:
            for match in re.finditer(pattern, code):
                for replacement in replacements:
                    found.append((number, line[:match.start()] + replacement + line[match.end():]))
    # Barriers are few and matter most: all of them, then a draw of the rest.
    barriers = [m for m in found if "__sync" in lines[m[0]] and "__sync" not in m[1]]
    others = [m for m in found if m not in barriers]
    rng.shuffle(barriers)
    barriers = barriers[: max(1, each // 2)]
    rng.shuffle(others)
    chosen = barriers + others
    return [(number, lines[number], changed, "\n".join(lines[:number] + [changed] + lines[number + 1:]))
            for number, changed in chosen]


class Tree:
    def __init__(self, build):
        self.build = build
        self.commands = {}
        for entry in json.loads((build / "compile_commands.json").read_text()):
            if "dlcuda_hostcuda.dir" in entry["command"] and entry["file"].endswith((".cu", ".cpp")):
                self.commands[pathlib.Path(entry["file"]).resolve()] = entry["command"]
        self.links = {p: self.link_line(p) for p in ("bin/dlcuda_ops_hostcuda", "bin/dlcuda_tests_hostcuda")}

    def link_line(self, program):
        out = subprocess.run(["ninja", "-t", "commands", program], cwd=self.build, check=True, capture_output=True, text=True)
        return out.stdout.strip().split("\n")[-1]

    def compile(self, source, text, header, folder):
        """The object of `source` (whose text is `text`, or which includes the changed `header`), or None."""
        command = shlex.split(self.commands[source])
        if command[0].endswith("ccache"):
            command = command[1:]
        at = command.index("-o")
        target = folder / (source.stem + ".o")
        command[at + 1] = str(target)
        if header is None:
            changed = folder / source.name
            changed.write_text(text)
            command[command.index("-c") + 1] = str(changed)
        extra = ["-w", "-x", "c++"]
        if header is not None:
            overlay = folder / "overlay" / "dlcuda" / header.relative_to(ROOT)
            overlay.parent.mkdir(parents=True, exist_ok=True)
            overlay.write_text(text)
            extra.append(f"-I{folder / 'overlay'}")
        command = [c for c in command if not c.startswith(("-M", "-Werror"))]
        clean, skip = [], False
        for c in command:  # -MF and -MT have taken their argument along
            if skip:
                skip = False
            elif c.endswith((".d",)) or (c.endswith(".o") and c != str(target)):
                continue
            else:
                clean.append(c)
        clean[1:1] = extra
        clean.append("-O1")
        done = subprocess.run(clean, cwd=self.build, capture_output=True)
        return target if done.returncode == 0 else None

    def link(self, program, objects, folder):
        line = self.links[program].replace(f"-o {program} ", f"-o {folder}/program {' '.join(map(str, objects))} ")
        line = line.removeprefix(": && ").split(" && ")[0]  # what follows finds the program's tests
        subprocess.run(shlex.split(line), cwd=self.build, check=True, capture_output=True)
        return folder / "program"


def fails(program, filter_, folder, seed, family=None):
    environment = dict(os.environ, DLCUDA_SHIM_SEED=str(seed), DLCUDA_NO_CACHE="1", OMP_WAIT_POLICY="passive",
                       ASAN_OPTIONS="detect_leaks=0")
    if family:
        environment["DLCUDA_OPS_FAMILY"] = family
    try:
        done = subprocess.run([program, f"--gtest_filter={filter_}", "--gtest_brief=1", "--gtest_fail_fast"], cwd=folder,
                              env=environment, capture_output=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def cases_of(path):
    """The stored cases that use these kernels: {family: names of operations}; all of them for an unknown file."""
    hints = json.loads((ROOT / "tests/mutation/families.json").read_text())
    return hints.get(path.name, {p.stem: ["*"] for p in sorted((ROOT / "tests/ops/values").glob("*.safetensors"))})


def filter_for(kind, operations):
    """GoogleTest's filter for Values or SameBits of these operations: their cases are named NAME_NUMBER."""
    return ":".join(f"*{kind}/{name}_*" for name in operations)


def caught(tree, path, mutant):
    """True, False, or None where the mutant does not compile."""
    number, before, after, text = mutant
    header = path if path.suffix == ".cuh" else None
    sources = [path] if header is None else includers(path)
    with tempfile.TemporaryDirectory(prefix="mutant") as name:
        folder = pathlib.Path(name)
        objects = [tree.compile(source.resolve(), text, header, folder) for source in sources]
        if None in objects:
            return None
        program = tree.link("bin/dlcuda_ops_hostcuda", objects, folder)
        for family, operations in cases_of(path).items():
            for seed in (1, 2):
                if fails(program, filter_for("Values", operations), folder, seed, family):
                    return True
            if fails(program, filter_for("SameBits", operations), folder, 3, family):
                return True
        program = tree.link("bin/dlcuda_tests_hostcuda", objects, folder)
        return fails(program, OTHER_TESTS, folder, 1)


def includers(header):
    found = [p for p in sorted((ROOT / "kernels/cuda").glob("*.cu")) if f"{header.name}\"" in p.read_text()]
    if not found:
        found = [p for p in sorted((ROOT / "kernels/cuda").glob("*.cu"))]
    return found[:INCLUDERS]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--file", nargs="*")
    parser.add_argument("--each", type=int, default=12, help="mutants of a file that compile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--bar", type=float, default=90)
    parser.add_argument("--report", type=pathlib.Path)
    options = parser.parse_args()

    tree = Tree(options.build.resolve())
    equivalent = {line.strip() for line in (ROOT / "tests/mutation/equivalent.txt").read_text().split("\n")
                  if line.strip() and not line.startswith("#")}
    files = sorted([*(ROOT / "kernels/cuda").rglob("*.cu"), *(ROOT / "kernels/cuda").rglob("*.cuh")])
    total = killed = 0
    report = []

    def work(path):
        rng = random.Random(f"{options.seed} {path.name}")
        results = []
        for mutant in mutants(path, options.each, rng):
            if len(results) >= options.each:
                break
            key = f"{path.name}: {mutant[1].strip()} -> {mutant[2].strip()}"
            if key in equivalent:
                continue
            verdict = caught(tree, path, mutant)
            if verdict is not None:
                results.append((verdict, f"{path.relative_to(ROOT)}:{mutant[0] + 1}", key))
        return path, results

    chosen = [p for p in files if not options.file or p.name in options.file]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for path, results in pool.map(work, chosen):
            if not results:
                continue
            here = sum(verdict for verdict, _, _ in results)
            total, killed = total + len(results), killed + here
            report.append(f"{path.relative_to(ROOT)}: {here} of {len(results)} caught")
            report += [f"    survived: {place}  {key}" for verdict, place, key in results if not verdict]
            print("\n".join(report[-1 - (len(results) - here):]), flush=True)
    share = 100 * killed / total if total else 0
    report.append(f"{killed} of {total} mutants caught, {share:.1f} %; {len(equivalent)} set aside as equivalent")
    print(report[-1])
    if options.report:
        options.report.write_text("\n".join(report) + "\n")
    sys.exit(0 if share >= options.bar else 1)


main()
