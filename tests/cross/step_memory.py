#!/usr/bin/env python3
"""Writes the table of docs/distillation.md that says what training steps hold: `differentiate{memory=…}` of resnet56_cifar10, with 64 samples.

    step_memory.py BINARY FOLDER       BINARY is what `cargo build --release` made, FOLDER that of prune_accuracy.py

Counted is what the pass says. Of onnxruntime it is by how much a process grows at most when it runs the step once, one thread, as it optimizes by
itself; of tract what a process with the model and nothing else holds at most. Gradients must be those of the step that keeps all, to 1e-5 of the
largest: exit code 1 where they are not. Times are the processor's.
"""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx

from run import ROOT, session

PAPER = ROOT / "docs" / "distillation.md"
MARKS = ("<!-- memory -->\n", "<!-- end of memory -->\n")
MODEL, BATCH, SHARES = "resnet56_cifar10", 64, [1, 0.6, 0.3]
NEAR = 1e-5


def in_onnxruntime(step, given, out):
    """Runs a step, and prints by how many bytes the process grew and how many seconds of the processor it took. Meant for a process of its own."""
    runner, inputs = session(step), dict(np.load(given))
    held = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before, began = held(), time.process_time()
    outputs = runner.run(None, inputs)
    print(json.dumps([held() - before, time.process_time() - began]))
    np.savez(out, **{value.name: array for value, array in zip(runner.get_outputs(), outputs)})


def in_tract(binary, step, given, out):
    """What a process that runs a step holds at most, and its seconds of the processor."""
    process = subprocess.Popen([binary, "run", step, "--inputs", given, "-o", out, "--runner", "tract", "--threads", "1"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{step}: tract cannot run it")
    return 1024 * used.ru_maxrss, used.ru_utime


def inputs_of(step):
    """Numbers for all inputs that have no default."""
    graph, random = onnx.load(step).graph, np.random.default_rng(0)
    defaults = {tensor.name for tensor in graph.initializer}
    extents = lambda value: [dim.dim_value or BATCH for dim in value.type.tensor_type.shape.dim]
    return {value.name: random.standard_normal(extents(value)).astype("float32") for value in graph.input if value.name not in defaults}


def main():
    if sys.argv[1] == "--one":
        in_onnxruntime(*sys.argv[2:])
        return 0
    binary, folder = pathlib.Path(sys.argv[1]).resolve(strict=True), pathlib.Path(sys.argv[2])
    rows, first, short = [], {}, 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        given = scratch / "given.npz"
        for share in SHARES:
            step, out = scratch / "step.onnx", scratch / "out.npz"
            command = [binary, "opt", folder / "labelled" / f"{MODEL}.onnx", "-o", step, "-p", f"differentiate{{loss=mse, memory={share}}}", "--check", "off", "--json"]
            report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            counted = next((re.search(r"(\d+) %", said).group(0) for said in report["notices"] if said.startswith("a step holds")), "100 %")
            if not given.exists():
                np.savez(given, **inputs_of(step))
            cells = [f"`memory={share}`", counted]
            for runner in ("onnxruntime", "tract"):
                if runner == "tract":
                    held, seconds = in_tract(binary, step, given, out)
                else:
                    done = subprocess.run([sys.executable, __file__, "--one", step, given, out], check=True, capture_output=True, text=True)
                    held, seconds = json.loads(done.stdout)
                cells += [f"{held / 1e6:.0f} MB", f"{seconds:.1f} s"]
                found = dict(np.load(out))
                expected = first.setdefault(runner, found)
                for name, array in found.items():
                    if np.abs(array - expected[name]).max() > NEAR * np.abs(expected[name]).max():
                        short += 1
                        print(f"{share} in {runner}: another {name}")
            rows.append("| " + " | ".join(cells) + " |")
            print(rows[-1], flush=True)
    head = ["| step | counted | onnxruntime grows by | time | tract holds | time |", "|---|---|---|---|---|---|"]
    before, _, rest = PAPER.read_text().partition(MARKS[0])
    PAPER.write_text(before + MARKS[0] + "\n".join(head + rows) + "\n" + MARKS[1] + rest.partition(MARKS[1])[2])
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
