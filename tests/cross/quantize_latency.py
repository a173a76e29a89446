#!/usr/bin/env python3
"""Runs models in eight bits beside onnxruntime's own quantization of them and the float model, in turns in one process.

    quantize_latency.py BINARY FOLDER [MODEL ...] [--only NAME ...] [--threads N] [--seconds S] [--json FILE] [--write]

BINARY is what `cargo build --release` made, FOLDER is as in quantize.py: of its labelled models those of --only, with the samples that
belong to them. A MODEL is a file without samples: both tools get seeded inputs then. What onnxruntime makes is `quantize_static` behind
its `quant_pre_process`, ranges by MinMax, a scale for each channel. The three run alternately on one sample, so that a machine that
does other things decides nothing; times are medians, how many times as fast is the median over the turns. Exit code 1 where a result
is slower than onnxruntime's by more than --slack, or slower than float where onnxruntime's is not. --write puts the table into
docs/quantization.md.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter

from prune_accuracy import loaded
from quantize import PAPER, labelled, preprocess
from run import PATIENCE

MARKS = ("<!-- latency -->\n", "<!-- end of latency -->\n")
PER_CHANNEL = 13  # The first version of the standard in which DequantizeLinear has an axis.
UNMEASURED = 3  # Turns before the first that counts.
LEAST = 20  # Turns, whatever they take.


class Reader:
    """Samples, one at a time, as onnxruntime's quantizer asks for them."""

    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def opened(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def seeded(path):
    """A sample made up: extents that are open are 1."""
    random = np.random.default_rng(0)
    extents = lambda value: [extent if isinstance(extent, int) and extent > 0 else 1 for extent in value.shape]
    return {value.name: random.standard_normal(extents(value)).astype("float32") for value in opened(path, 1).get_inputs()}


def feeds(path, samples, count):
    """Samples by input, one at a time; as many as a batch has, where its size is fixed."""
    inputs = opened(path, 1).get_inputs()
    given = {value.name: samples.get(value.name, samples.get(None)) for value in inputs}
    fixed = inputs[0].shape[0]
    step = fixed if isinstance(fixed, int) and fixed > 0 else 1
    return [{name: np.ascontiguousarray(array[at:at + step]) for name, array in given.items()} for at in range(0, count - step + 1, step)]


def peer(path, out, samples):
    """onnxruntime's own, from a model in a version of the standard that has scales for channels."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready = out.with_suffix(".ready.onnx")
    model = onnx.load(path)
    if next(known.version for known in model.opset_import if known.domain in ("", "ai.onnx")) < PER_CHANNEL:
        model.ir_version = max(model.ir_version, 4)
        constants = {tensor.name for tensor in model.graph.initializer}
        model = version_converter.convert_version(model, PER_CHANNEL)
        given = [value for value in model.graph.input if value.name not in constants]
        del model.graph.input[:]
        model.graph.input.extend(given)
    onnx.save(model, ready)
    try:
        quant_pre_process(str(ready), str(ready))
    except Exception:
        quant_pre_process(str(ready), str(ready), skip_symbolic_shape=True)
    kind = quantization.QuantType
    quantization.quantize_static(
        str(ready), str(out), Reader(samples), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
        activation_type=kind.QUInt8, weight_type=kind.QInt8, calibrate_method=quantization.CalibrationMethod.MinMax)


def alternately(paths, feed, threads, seconds):
    """Seconds of each turn, a column for each model."""
    sessions = [opened(path, threads) for path in paths]
    turns, began = [], time.perf_counter()
    while len(turns) < UNMEASURED + LEAST or time.perf_counter() - began < seconds:
        turn = []
        for session in sessions:
            clock = time.perf_counter()
            session.run(None, feed)
            turn.append(time.perf_counter() - clock)
        turns.append(turn)
    return np.array(turns[UNMEASURED:])


def examine(asked, name, path, data, scratch):
    """What was measured of one model. `data`: --calib and its like, the first samples."""
    ours, theirs = scratch / "ours.onnx", scratch / "theirs.onnx"
    words, samples = data
    command = [asked.binary, "opt", path, "-o", ours, "-p", asked.pipeline, "--check", "structure", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE)
    if done.returncode:
        return {"name": name, "reason": (done.stderr.strip().splitlines() or [""])[-1]}
    peer(path, theirs, samples)
    took = alternately([path, theirs, ours], samples[0], asked.threads, asked.seconds)
    ms = 1000 * np.median(took, axis=0)
    return {
        "name": name, "ms": dict(zip(["float", "theirs", "ours"], ms.tolist())), "turns": len(took),
        "theirs": float(np.median(took[:, 0] / took[:, 1])), "ours": float(np.median(took[:, 0] / took[:, 2])),
        "beside": float(np.median(took[:, 1] / took[:, 2])),
    }


def chosen(asked, scratch):
    """Name, file, options and samples of each model."""
    if asked.only or not asked.models:
        for name, path, entry in labelled(asked.folder, asked.only, scratch):
            calib = asked.folder / "data" / entry["calib"]
            calib = calib if calib.is_dir() else calib.with_suffix(".npz")
            samples, _ = loaded(asked.folder, {**entry, "data": entry["calib"]})
            count = 100 if calib.is_dir() or entry["preprocess"]["kind"] != "image" else 200
            words = ["--calib", calib, "--samples", str(count), *preprocess(entry["preprocess"])]
            yield name, path, (words, feeds(path, samples, count))
    for path in asked.models:
        yield path.stem, path, ([], [seeded(path)])


def table(results):
    text = ["| model | float, ms | onnxruntime's, ms | `quantize`, ms | onnxruntime's to float | `quantize` to float | `quantize` to onnxruntime's |", "|---|---|---|---|---|---|---|"]
    for it in results:
        if "reason" in it:
            text.append(f"| `{it['name']}` | {it['reason']} | | | | | |")
            continue
        ms = it["ms"]
        text.append(f"| `{it['name']}` | {ms['float']:.2f} | {ms['theirs']:.2f} | {ms['ours']:.2f} | {it['theirs']:.2f} | {it['ours']:.2f} | {it['beside']:.2f} |")
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("-p", "--pipeline", default="simplify,quantize")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a model's turns together")
    parser.add_argument("--slack", type=float, default=0.05)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--from", dest="kept", nargs="*", type=pathlib.Path, default=[], help="what --json kept, in the place of measuring")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    results = [one for path in asked.kept for one in json.loads(path.read_text())]
    with tempfile.TemporaryDirectory() as folder:
        for name, path, data in [] if asked.kept else chosen(asked, pathlib.Path(folder)):
            results.append(examine(asked, name, path, data, pathlib.Path(folder)))
            print(table(results[-1:]).splitlines()[-1], flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))
    if asked.write:
        before, _, rest = PAPER.read_text().partition(MARKS[0])
        PAPER.write_text(before + MARKS[0] + table(results) + MARKS[1] + rest.partition(MARKS[1])[2])
    slow = lambda it: it["beside"] < 1 - asked.slack or it["ours"] < 1 - asked.slack <= it["theirs"]
    return 1 if any("reason" in it or slow(it) for it in results) else 0


if __name__ == "__main__":
    sys.exit(main())
