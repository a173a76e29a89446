#!/usr/bin/env python3
"""Holds the built binary against onnx and onnxruntime, model by model.

    run.py BINARY [MODEL ...]       BINARY is what `cargo build` made

Without models: those of ../shared where that folder stands beside the repository, the fixtures otherwise. For each model:

    round trip      an empty pipeline gives an equal message
    shapes          `infer-shapes` knows what onnx.shape_inference knows, and contradicts none of it
    simplify        the result computes the same in onnxruntime, is no larger, is accepted by onnx.checker where the model was,
                    and a second run changes nothing

What falls short is printed, a line each. Exit code 0 if nothing did, 1 if something did.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import shape_inference

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4  # Of an output's largest magnitude.
SAMPLES = 16  # Of a fixture's own inputs, so many are run.
PATIENCE = 120  # Seconds for one run of the binary.
MEMORY = 4 << 30  # Bytes a process may ask for: a shape gone wrong is an error then, and not the end of the machine.
SHOWN = 5  # Lines of one model.


def models():
    """Models with their own inputs, where they have some."""
    shared = ROOT.parent / "shared"
    if (shared / "models").is_dir():
        for path in sorted([*(shared / "models").glob("*.onnx"), *(shared / "labelled").glob("*.onnx")]):
            yield path, shared / "inputs" / f"{path.stem}.npz"
    else:
        for path in sorted((ROOT / "fixtures").rglob("*.onnx")):
            yield path, path.parent / "samples.npz"


class Failure(Exception):
    """The binary did not do what it was asked."""


def press(binary, model, out, *args):
    command = [binary, "opt", model, "-o", out, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no word"])[0]
        raise Failure(f"opt {' '.join(args)}: exit code {done.returncode}: {words}")
    return done


def size(path):
    """Bytes of a model and of the data files that it names."""
    files = {path}
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        files |= {path.parent / entry.value for entry in tensor.external_data if entry.key == "location"}
    return sum(file.stat().st_size for file in files)


def types(model):
    """Element type and shape of every tensor that a model declares; None for an extent without a number."""
    found = {}
    for value in [*model.graph.value_info, *model.graph.output]:
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type"):
            # Below zero is what some exporters write for an extent that is not known.
            dims = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None for dim in tensor.shape.dim]
            found[value.name] = (tensor.elem_type, dims if tensor.HasField("shape") else None)
    return found


def shortfall(reference, ours):
    """How one inferred type falls short of another, or None."""
    (elem, shape), (our_elem, our_shape) = reference, ours
    if elem and our_elem != elem:
        return "element type"
    if shape is None:
        return None
    if our_shape is None or len(our_shape) != len(shape):
        return "rank"
    return next((f"extent {i}" for i, (a, b) in enumerate(zip(shape, our_shape)) if a is not None and a != b), None)


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # As the graph is written: what onnxruntime would make of it is not the question.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def feed(runner, own):
    """Inputs: the model's own where it has some, seeded ones of the declared types otherwise."""
    given = dict(np.load(own)) if own.exists() else {}
    rng = np.random.default_rng(7)
    inputs = {}
    for value in runner.get_inputs():
        shape = [dim if isinstance(dim, int) and dim > 0 else 1 for dim in value.shape]
        kind = value.type.removeprefix("tensor(").removesuffix(")")
        if value.name in given:
            array = given[value.name]
            loose = value.shape and not isinstance(value.shape[0], int)
            inputs[value.name] = array[:SAMPLES] if loose and own.name == "samples.npz" else array
        elif kind == "string":
            inputs[value.name] = np.full(shape, "word", object)
        elif kind == "bool" or "mask" in value.name.lower():
            inputs[value.name] = np.ones(shape, "float32" if kind == "float" else kind)
        elif kind in ("float", "double", "float16"):
            inputs[value.name] = rng.standard_normal(shape).astype("float32" if kind == "float" else kind)
        else:
            inputs[value.name] = rng.integers(0, 3, shape).astype(kind)
    return inputs


def distance(a, b):
    """The largest difference, relative to the largest magnitude of `a`; infinity where they cannot be compared."""
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max((distance(x, y) for x, y in zip(a, b)), default=0.0)
    if isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
        values = [np.array(list(entries.values())) for entries in (a, b)]
        return distance(*[each.astype("float32") if each.dtype.kind == "f" else each for each in values])
    if not isinstance(a, np.ndarray) or a.dtype.kind not in "fc":
        return 0.0 if repr(a) == repr(b) or np.array_equal(a, b) else np.inf
    if not isinstance(b, np.ndarray) or a.shape != b.shape or a.dtype != b.dtype:
        return np.inf
    x, y = a.astype("float64"), b.astype("float64")
    finite = np.isfinite(x)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return np.inf
    x, y = x[finite], y[finite]
    if not x.size:
        return 0.0
    error = np.abs(x - y).max() / max(np.abs(x).max(), 1e-3)
    return max(0.0, error - 2.0**-9) if a.dtype.itemsize == 2 else error  # A 16-bit output is rounded once more.


def round_trip(binary, path, own, folder):
    out = folder / "same.onnx"
    press(binary, path, out, "-p", "", "--check", "off")
    if onnx.load(path) != onnx.load(out):
        yield "an empty pipeline gives another message"


def shapes(binary, path, own, folder):
    model = onnx.load(path)
    for strict in (True, False):
        try:
            reference = types(shape_inference.infer_shapes(model, strict_mode=strict, data_prop=strict))
            break
        except Exception:
            reference = {}
    out = folder / "typed.onnx"
    press(binary, path, out, "-p", "infer-shapes", "--check", "structure")
    ours = types(onnx.load(out, load_external_data=False))
    # A file's list of types may name values that it does not have: there is nothing to know of those.
    values = {name for node in model.graph.node for name in node.output}
    for name, known in reference.items():
        if name not in values:
            continue
        if what := shortfall(known, found := ours.get(name, (0, None))):
            yield f"infer-shapes, {name}: {what}: onnx says {known[1]}, we say {found[1]}"


def accepted(path):
    try:
        onnx.checker.check_model(os.fspath(path))
    except Exception:
        return False
    return True


def simplify(binary, path, own, folder):
    out, again = folder / "small.onnx", folder / "smaller.onnx"
    press(binary, path, out, "-p", "simplify", "--check", "structure")
    if size(out) > size(path):
        yield f"simplify: {size(out)} bytes, from {size(path)}"
    if accepted(path) and not accepted(out):
        yield "simplify: onnx.checker does not accept the result"
    press(binary, out, again, "-p", "simplify", "--check", "structure")
    if onnx.load(out) != onnx.load(again):
        yield "simplify: a second run changes the model"
    try:
        before = session(path)
        inputs = feed(before, own)
        expected = before.run(None, inputs)
    except Exception:
        return  # There is nothing to compare with.
    try:
        actual = session(out).run(None, inputs)
    except Exception as error:
        yield f"simplify: onnxruntime does not run the result: {str(error).splitlines()[0][:200]}"
        return
    names = [output.name for output in before.get_outputs()]
    for name, a, b in zip(names, expected, actual):
        if (error := distance(a, b)) > TOLERANCE:
            yield f"simplify: output {name} is off by {error:.2g}"
    yield True


def be_modest():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def examine(job):
    binary, path, own = job
    lines, compared = [], False
    with tempfile.TemporaryDirectory() as folder:
        for check in (round_trip, shapes, simplify):
            try:
                for line in check(binary, path, own, pathlib.Path(folder)):
                    compared |= line is True
                    lines += [] if line is True else [f"{path.name}: {line}"]
            except (Failure, subprocess.TimeoutExpired) as error:
                lines.append(f"{path.name}: {error}")
    return lines, compared


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    binary = arguments.binary.resolve(strict=True)
    chosen = [(path, path.with_suffix(".npz")) for path in arguments.models] or list(models())
    start = time.time()
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), initializer=be_modest) as pool:
        results = list(pool.map(examine, [(binary, path, own) for path, own in chosen]))
    lines = [line for found, _ in results for line in found]
    for found, _ in results:
        print(*found[:SHOWN], sep="\n", end="\n" if found else "")
        if len(found) > SHOWN:
            print(f"  and {len(found) - SHOWN} more")
    compared = sum(compared for _, compared in results)
    summary = {"models": len(chosen), "compared": compared, "fall_short": len(lines), "seconds": round(time.time() - start)}
    print(json.dumps(summary))
    return 1 if lines or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
