#!/usr/bin/env python3
"""Holds a lossy pipeline over a folder of models against onnxruntime: what comes out loads, runs, and is no larger.

    lossy.py BINARY PIPELINE MODEL ... [--snr DB] [--share PERCENT] [-v]      BINARY is what `cargo build` made

Of each model that onnx.checker takes: the result must be taken too, be no larger, and run in onnxruntime where the model runs; its
outputs must be of the same types and shapes. With --snr, each float output must be so many decibels from the model's, or the
report must have left something alone and say why; with --share the result's constants of floats must take at most that share of the
bytes that the model's take, wherever they are: names and nodes take what they take. A pipeline that finds nothing to do must say so by exit code 1. What falls short is printed, a line each. Exit code 0 if
nothing did, 1 if something did.
"""

import argparse
import collections
import concurrent.futures
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx

from run import PATIENCE, accepted, feed, session


def decibels(expected, actual):
    """Signal to noise; none where there is nothing to compare."""
    if expected.dtype.kind != "f" or expected.size == 0:
        return None
    a, b = expected.astype(np.float64), actual.astype(np.float64)
    fine = np.isfinite(a)
    if not fine.any():
        return None
    if not np.isfinite(b[fine]).all():
        return -math.inf
    noise, signal = np.sum((a[fine] - b[fine]) ** 2), np.sum(a[fine] ** 2)
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def size(path):
    model = onnx.load(path, load_external_data=False)
    beside = {entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"}
    return path.stat().st_size + sum((path.parent / name).stat().st_size for name in beside if (path.parent / name).exists())


def constants(graph):
    """All tensors of a graph and of what is inside of its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            for body in [attribute.g, *attribute.graphs]:
                yield from constants(body)


def floats(path):
    """Bytes of constants of floats."""
    model = onnx.load(path, load_external_data=False)
    kinds = {onnx.TensorProto.DOUBLE: 8, onnx.TensorProto.FLOAT: 4, onnx.TensorProto.FLOAT16: 2, onnx.TensorProto.BFLOAT16: 2}
    return sum(kinds.get(tensor.data_type, 0) * math.prod(tensor.dims) for tensor in constants(model.graph))


def examine(job):
    """What fell short, how the model came out, and the least signal to noise."""
    binary, pipeline, path, floor, share = job
    with tempfile.TemporaryDirectory() as folder:
        out, report = pathlib.Path(folder) / path.name, pathlib.Path(folder) / "report.json"
        if not accepted(path):
            return [], "not valid", None, None
        command = [binary, "opt", path, "-o", out, "-p", pipeline, "--check", "structure", "--report", report]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return [f"{path.name}: not done in {PATIENCE} s"], "slow", None, None
        words = (done.stderr.strip().splitlines() or ["no word"])
        if done.returncode == 1 and any("nothing in the model was changed" in word for word in words):
            return [], "nothing to do", None, None
        if done.returncode:
            return [f"{path.name}: exit code {done.returncode}: {words[0]}"], "failed", None, None
        lines = []
        said = json.loads(report.read_text())
        left = [reason for step in said["passes"] for reason in step["declined"]]
        part = size(out) / max(size(path), 1)
        if part > 1:
            lines.append(f"{path.name}: larger, {part:.1%}")
        if share is not None and floats(path) > 10_000:
            held = floats(out) / floats(path)
            if 100 * held > share:
                lines.append(f"{path.name}: {held:.1%} of the bytes of floats; left alone: {left[:3]}")
        if not accepted(out):
            try:
                onnx.checker.check_model(os.fspath(out), full_check=True)
            except Exception as error:
                lines.append(f"{path.name}: onnx.checker: {str(error).strip().splitlines()[0]}")
        try:
            runner = session(path)
            inputs = feed(runner, path.with_suffix(".npz"))
            expected = runner.run(None, inputs)
        except Exception:
            return lines, "original does not run", part, None
        names = [output.name for output in runner.get_outputs()]
        try:
            actual = session(out).run(None, inputs)
        except Exception as error:
            return [*lines, f"{path.name}: onnxruntime: {str(error).strip().splitlines()[0][:200]}"], "does not run", part, None
        least = math.inf
        for name, a, b in zip(names, expected, actual):
            if not isinstance(a, np.ndarray):
                continue
            if a.dtype != b.dtype or a.shape != b.shape and floor is not None:
                lines.append(f"{path.name}: output {name} is {b.dtype}{list(b.shape)}, not {a.dtype}{list(a.shape)}")
                continue
            found = decibels(a, b) if a.shape == b.shape else None
            if found is None:
                continue
            least = min(least, found)
            if floor is not None and found < floor:
                lines.append(f"{path.name}: output {name} at {found:.1f} dB; left alone: {left[:3]}")
        return lines, "runs", part, least


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("pipeline")
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--snr", type=float)
    parser.add_argument("--share", type=float)
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    jobs = [(arguments.binary, arguments.pipeline, path, arguments.snr, arguments.share) for path in arguments.models]
    how, short = collections.Counter(), 0
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for (_, _, path, _, _), (lines, end, part, least) in zip(jobs, pool.map(examine, jobs)):
            how[end] += 1
            short += bool(lines)
            for line in lines:
                print(line, flush=True)
            if arguments.verbose and part is not None:
                print(f"    {path.name}: {end}, {part:.1%} of the bytes, {least if least is not None else float('nan'):.1f} dB")
    print(", ".join(f"{end}: {count}" for end, count in how.most_common()) + f"; {short} fall short")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
