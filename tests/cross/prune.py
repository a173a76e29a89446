#!/usr/bin/env python3
"""Holds `prune-channels` against onnxruntime, model by model: is what comes out the model without the removed channels, and nothing else?

    prune.py BINARY FOLDER [--filled FOLDER] [--only WORD ...] [--seeds N] [--json FILE] [--write]

BINARY is what `cargo build --release` made. FOLDER holds `models/` and `labelled/` (`.onnx`, `.onnx.xz`) and `inputs/` (`NAME.npz`, where
random inputs would not do). --filled is a folder of further models, --only takes those whose names have a word. --write puts the table
into docs/pruning.md.

Each model is halved by `l2`, and by lot with N seeds (three, if not told). From the original and `tensors` of the plan alone a masked
model is made: every slice that was removed is zero, a scale of quantization one. Both must compute the same, to 1e-4 of each output's
peak; what is left must be the kept slices; onnx.checker must accept the result where it accepted the model. Where nothing is
pruned, the plan must say why for every weight of a layer. What falls short is printed, a line each. Exit code 0 if nothing did.
"""

import argparse
import concurrent.futures
import json
import lzma
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from run import PATIENCE, ROOT, TOLERANCE, distance, feed, session

PAPER = ROOT / "docs" / "pruning.md"
MARKS = ("<!-- coverage -->\n", "<!-- end of coverage -->\n")
LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}


def models(folder, filled, only, scratch):
    """Name, file, inputs."""
    found = [*folder.glob("models/*.onnx"), *folder.glob("labelled/*.onnx"), *(filled.glob("*.onnx") if filled else [])]
    for packed in folder.glob("labelled/*.onnx.xz"):
        if not only or any(word in packed.name for word in only):
            plain = scratch / packed.stem
            plain.write_bytes(lzma.decompress(packed.read_bytes()))
            found.append(plain)
    chosen = [file for file in found if not only or any(word in file.stem for word in only)]
    return sorted((file.stem, file, folder / "inputs" / f"{file.stem}.npz") for file in chosen)


def nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from nodes(inner)


def parameters(model):
    """Elements of weights: floats, and small integers of at least two axes, initializers or constants that are nodes."""

    def of(tensor):
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        small = kind in ("INT8", "UINT8", "INT4", "UINT4", "INT16", "UINT16") and len(tensor.dims) >= 2
        return int(np.prod(tensor.dims)) if small or "FLOAT" in kind or kind == "DOUBLE" else 0

    held = [attribute.t for node in nodes(model.graph) if node.op_type == "Constant" for attribute in node.attribute]
    return sum(map(of, [*model.graph.initializer, *held]))


def masked(model, plan):
    """The model with all that the plan removes put to zero, and what of the plan makes no sense."""
    scales = {node.input[1] for node in nodes(model.graph) if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    held = [(tensor.name, tensor) for tensor in model.graph.initializer]
    for node in nodes(model.graph):
        if node.op_type == "Constant":
            held += [(node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value"]
    wanted, wrong = {}, []
    for name, tensor in held:
        array = numpy_helper.to_array(tensor).copy()
        rows = plan["tensors"].get(name)
        if rows is None:
            continue
        left = array
        for axis, kept in rows.items():
            axis, kept = int(axis), np.asarray(kept)
            if not len(kept) or (np.diff(kept) <= 0).any() or kept[0] < 0 or kept[-1] >= array.shape[axis]:
                wrong.append(f"{name}: what is kept of axis {axis} is no ascending part of {array.shape[axis]}")
                continue
            left = np.take(left, kept, axis)
            gone = [slice(None)] * array.ndim
            gone[axis] = np.setdiff1d(np.arange(array.shape[axis]), kept)
            array[tuple(gone)] = 1 if name in scales else 0
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        wanted[name] = left
    return wanted, wrong


def accepted(model):
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception:
        return False
    return True


def unexplained(model, plan):
    """Weights of layers that the plan says nothing of."""
    weights = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) > 1}
    read = {name for node in model.graph.node if node.op_type in LAYERS for name in node.input[1:2]} & weights
    said = {member["tensor"] for group in [*plan["pinned"], *plan["groups"]] for member in group["members"]}
    return sorted(read - said)


def fused(path):
    """A session with all optimizations on."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def prune(binary, path, options, folder):
    """The result's path and the plan; a word where there is none."""
    out, plan = folder / "pruned.onnx", folder / "plan.json"
    command = [binary, "opt", path, "-o", out, "-p", f"prune-channels{{{options}}}", "--check", "structure", "--plan-out", plan,
               "--allow-unchanged"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["no word"])[0]
    return out, json.loads(plan.read_text())


def examine(job):
    binary, name, path, own, seeds = job
    found = {"name": name, "wrong": [], "error": None, "left": None, "groups": 0}
    ways = ["ratio=0.5,compensate=false"] + [f"ratio=0.5,compensate=false,criterion=random,seed={seed}" for seed in range(1, seeds + 1)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for way in ways:
            try:
                out, plan = prune(binary, path, way, folder)
            except subprocess.TimeoutExpired:
                out, plan = None, "takes too long"
            if out is None:
                found["wrong"].append(f"{way}: {plan}")
                break
            original, result = onnx.load(path), onnx.load(out)
            if way == ways[0]:
                found["groups"] = len(plan["groups"])
                found["left"] = parameters(result) / max(1, parameters(original))
            if not plan["groups"]:
                missing = unexplained(original, plan)
                found["wrong"] += [f"{way}: nothing is said of {', '.join(missing)}"] if missing else []
                reasons = {group["reason"] for group in plan["pinned"]}
                found["reasons"] = sorted(reasons)
                break
            was_accepted = accepted(original)
            wanted, wrong = masked(original, plan)
            arrays = {tensor.name: tensor for tensor in result.graph.initializer}
            for tensor, array in wanted.items():
                if tensor in arrays and not np.array_equal(numpy_helper.to_array(arrays[tensor]), array):
                    wrong.append(f"{tensor} is not what is kept of it")
            if was_accepted and not accepted(result):
                wrong.append("onnx.checker does not accept the result")
            mask = folder / "masked.onnx"
            onnx.save(original, mask)
            try:
                before = session(mask)
                inputs = feed(before, own)
                expected = before.run(None, inputs)
            except Exception as problem:
                found["unrun"] = str(problem).splitlines()[0][:120]
                expected = None
            if expected is not None:
                try:
                    error = max(map(distance, expected, session(out).run(None, inputs)), default=0.0)
                    found["error"] = max(found["error"] or 0.0, error)
                    # What onnxruntime itself is off by when it computes the masked model another way is nobody's fault.
                    noise = max(map(distance, expected, fused(mask).run(None, inputs))) if error > TOLERANCE else 0.0
                    if error > max(TOLERANCE, 2 * noise):
                        wrong.append(f"differs from the masked model by {error:.2g}")
                except Exception as problem:
                    wrong.append(f"onnxruntime does not run the result: {str(problem).splitlines()[0][:200]}")
            found["wrong"] += [f"{way}: {what}" for what in wrong]
    return found


def table(results):
    rows = ["| model | groups | parameters left | largest error |", "|---|---|---|---|"]
    for one in results:
        if one["groups"]:
            error = "not run" if one["error"] is None else f"{one['error']:.1e}"
            rows.append(f"| {one['name']} | {one['groups']} | {100 * one['left']:.1f} % | {error} |")
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--filled", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    binary = asked.binary.resolve(strict=True)
    with tempfile.TemporaryDirectory() as scratch:
        chosen = models(asked.folder, asked.filled, asked.only, pathlib.Path(scratch))
        with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(examine, [(binary, *model, asked.seeds) for model in chosen]))
    for one in results:
        print(*[f"{one['name']}: {line}" for line in one["wrong"]], sep="\n", end="\n" if one["wrong"] else "")
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))
    if asked.write:
        before, _, rest = PAPER.read_text().partition(MARKS[0])
        PAPER.write_text(before + MARKS[0] + table(results) + MARKS[1] + rest.partition(MARKS[1])[2])
    pruned = [one for one in results if one["groups"]]
    short = sum(bool(one["wrong"]) for one in results)
    print(json.dumps({"models": len(results), "pruned": len(pruned), "fall_short": short, "seeds": asked.seeds}))
    return 1 if short or not results else 0


if __name__ == "__main__":
    sys.exit(main())
