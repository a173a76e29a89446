#!/usr/bin/env python3
"""Writes the table of docs/distillation.md: what `distil` wins back of what a compressor lost.

    distillation.py BINARY FOLDER [--only WORD ...] [--rows WORD ...] [--json FILE] [--from FILE]

BINARY is what `cargo build --release` made; FOLDER is that of prune_accuracy.py. For each line of ROWS the model is compressed with and
without `distil` behind, given the samples of the entry's `calib`, which have no labels; both are then asked about all labelled
samples in onnxruntime. --only takes models, --rows compressors by a word of theirs. --json keeps what was measured, --from takes it from there: rows that are measured anew replace their old ones.
"""

import argparse
import json
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from prune_accuracy import accuracy, labelled, loaded
from run import ROOT, session

PAPER = ROOT / "docs" / "distillation.md"
MARKS = ("<!-- accuracy -->\n", "<!-- end of accuracy -->\n")
# Model, compressor, options of `distil`, and how many points may be lost.
ROWS = [
    ("mnist_seed_cnn", "prune-channels{ratio=0.5}", "", 0.3),
    ("mnist_lenet5", "prune-channels{ratio=0.5}", "", 0.3),
    ("mnist_lenet300", "factorize{target=params, remove=0.4},quantize-weights{bits=4, block=32}", "", 0.1),
    ("mnist_zoo", "prune-channels{target=macs, remove=0.5, criterion=hessian}", "epochs=10, lr=2%", 0.2),
    ("mnist_zoo", "prune-channels{ratio=0.5, criterion=hessian}", "epochs=30, lr=2%", 0.2),
    ("mnist_zoo", "prune-channels{ratio=0.3, criterion=hessian, scope=global},distil{epochs=12, lr=3%},prune-channels{ratio=0.286, criterion=hessian, scope=global}", "epochs=30, lr=3%, batch=8, held-out=0.1", 0.2),
    ("resnet20_cifar10", "prune-channels{target=macs, remove=0.5, criterion=hessian}", "epochs=30, lr=2%, augment=[flip]", 2),
    ("resnet20_cifar10", "prune-channels{target=macs, remove=0.3, criterion=hessian},distil{epochs=12, lr=3%, augment=[flip]},prune-channels{target=macs, remove=0.2857, criterion=hessian}", "epochs=25, lr=3%, augment=[flip]", 2),
    ("resnet20_cifar10", "factorize{target=macs, remove=0.5}", "epochs=20, augment=[flip]", 2),
    ("resnet56_cifar10", "factorize{target=macs, remove=0.5}", "epochs=4, lr=0.3%, augment=[flip]", 1.2),
    ("resnet56_cifar10", "factorize{target=macs, remove=0.7}", "epochs=8, lr=1%, augment=[flip]", 5),
    ("minilm_sst2", "factorize{target=params, remove=0.6}", "epochs=3, lr=0.5%", 1.5),
]
PATIENCE = 1800  # Seconds for one row.


def compressed(binary, path, samples, pipeline, out):
    """The report of a run, with the seconds that it took and those of the processor."""
    command = [binary, "opt", path, "-o", out, "-p", pipeline, "--calib", samples, "--check", "off", "--json"]
    began, spent = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{pipeline} on {path.name}: {done.stderr.strip()}")
    taken = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - spent
    return json.loads(done.stdout), *taken


def examine(binary, folder, path, entry, compressor, options, allowed):
    samples, labels = loaded(folder, entry)
    with tempfile.TemporaryDirectory() as scratch:
        out, calib = pathlib.Path(scratch) / "out.onnx", pathlib.Path(scratch) / "calib.npz"
        given, _ = loaded(folder, {**entry, "data": entry["calib"]})
        first = session(path).get_inputs()[0].name
        np.savez(calib, **{key or first: array for key, array in given.items()})
        report, _, _ = compressed(binary, path, calib, compressor, out)
        found = {"model": entry["name"], "compressor": compressor, "options": options, "allowed": allowed}
        found["whole"] = accuracy(path, samples, labels)
        for share in ("macs", "bytes"):
            found[share] = report["output"][share] / max(1, report["input"][share])
        found["compressed"] = accuracy(out, samples, labels)
        report, seconds, processor = compressed(binary, path, calib, f"{compressor},distil{{{options}}}", out)
        found["distilled"] = accuracy(out, samples, labels)
        found["seconds"], found["processor"] = seconds, processor
        said = lambda beginning: [notice for notice in report["notices"] if notice.startswith(beginning)][-1]
        found["said"], found["memory"] = said("agreement with the teacher"), said("memory of the process")
    return found


def table(results):
    text = ["| model | compressor | MACs left | bytes left | whole | compressed | distilled | lost | allowed | time | memory said, held | held-out loss |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    percent = lambda share: f"{100 * share:.2f} %"
    for one in results:
        curve = one["said"].rpartition("(")[2].rstrip(")")
        memory = ", ".join(re.findall(r"\d+ MB", one.get("memory", ""))) or "—"  # An older build said something else.
        distil = f"`{one['compressor']}`" + (f", `distil{{{one['options']}}}`" if one["options"] else "")
        cells = [f"`{one['model']}`", distil, percent(one["macs"]), percent(one["bytes"]), percent(one["whole"]), percent(one["compressed"]),
                 percent(one["distilled"]), f"{100 * (one['whole'] - one['distilled']):.2f}", f"{one['allowed']}", f"{one['processor']:.0f} s", memory, curve]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--from", dest="kept", type=pathlib.Path)
    asked = parser.parse_args()
    results = json.loads(asked.kept.read_text()) if asked.kept else []
    key = lambda row: (row["model"], row["compressor"])
    if asked.only or not asked.kept:
        binary = asked.binary.resolve(strict=True)
        with tempfile.TemporaryDirectory() as scratch:
            for name, path, entry in labelled(asked.folder, asked.only, pathlib.Path(scratch)):
                for row in ROWS:
                    if row[0] != name or not all(word in row[1] for word in asked.rows):
                        continue
                    one = examine(binary, asked.folder, path, entry, *row[1:])
                    results = [other for other in results if key(other) != key(one)] + [one]
                    print(one, flush=True)
                    if asked.json:
                        asked.json.write_text(json.dumps(results, indent=1))
    order = [row[:2] for row in ROWS]
    results.sort(key=lambda row: order.index(key(row)) if key(row) in order else len(order))
    before, _, rest = PAPER.read_text().partition(MARKS[0])
    PAPER.write_text(before + MARKS[0] + table(results) + MARKS[1] + rest.partition(MARKS[1])[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
