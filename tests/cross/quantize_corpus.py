#!/usr/bin/env python3
"""Takes every model through every mode of quantization, and holds what comes out against onnx and onnxruntime.

    quantize_corpus.py BINARY [MODEL ...] [--modes NAME ...] [--layers] [-v]       BINARY is what `cargo build` made

Models are those of run.py where none are given; with --layers, those of layer_models.py: every version of the standard from 7 on, and
If, Loop, Scan, recurrent layers and local functions. A mode either gives a model, which the check of `opt` finds equal to its witness,
which onnx.checker takes where it took the original, which is no larger (but for the limits that `dequantize` adds), and which onnxruntime runs where it ran the original, to
outputs of the same types; or it says why not by exit code 1. What falls short is printed, a line each, and at the end what became
of the models in each mode. Exit code 0 if nothing fell short, 1 if something did.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx

from layer_models import made
from lossy import decibels
from run import PATIENCE, accepted, feed, models, session, size

MODES = {
    "static-uint8": "quantize",
    "static-int8": "quantize{activations=int8}",
    "static-int8-symmetric": "quantize{activations=int8, symmetric=true, granularity=tensor}",
    "static-uint16": "quantize{activations=uint16}",
    "static-percentile": "quantize{calibration=percentile, rounding=nearest, weights=uint8}",
    "static-adaptive": "quantize{rounding=adaptive}",
    "static-corrected": "quantize{correct-bias=false},correct-bias{source=batch-norm}",
    "static-budget": "quantize{budget=0.1, relief=16bit}",
    "static-qoperator": "quantize{form=qoperator}",
    "static-qoperator-int8": "quantize{form=qoperator, activations=int8, granularity=tensor}",
    "static-qoperator-back": "quantize{form=qoperator},dequantize",
    "weights-channel": "quantize-weights",
    "weights-tensor": "quantize-weights{granularity=tensor}",
    "weights-asymmetric": "quantize-weights{symmetric=false}",
    "weights-tensor-asymmetric": "quantize-weights{granularity=tensor, symmetric=false}",
    "weights-mse": "quantize-weights{rounding=mse}",
    "weights-hqq": "quantize-weights{symmetric=false, rounding=hqq}",
    "weights-cast": "quantize-weights{form=cast}",
    "weights-back": "quantize-weights,dequantize",
    "weights-cast-back": "quantize-weights{form=cast},dequantize",
    "dynamic": "quantize-dynamic",
    "dynamic-tensor": "quantize-dynamic{granularity=tensor}",
    "dynamic-uint8": "quantize-dynamic{weights=uint8}",
    "dynamic-convolutions": "quantize-dynamic{convolutions=integer}",
    "dynamic-products": "quantize-dynamic{products=true}",
    "dynamic-back": "quantize-dynamic,dequantize",
    "static-back": "quantize,dequantize",
}
# Where activations were quantized, `dequantize` holds them to the range of their codes: bytes of a Clip and its two bounds, at most.
LIMIT = 400
# A layer's name and that of its bias may be longer behind `dequantize`, which splits some layers: as a share of the model.
NAMES = 0.002
# Words of exit code 1 that say what of the model is in the way.
CHANGED_NOTHING = "nothing in the model was changed"


def run(path, own):
    """The outputs of a model, by name; none where onnxruntime does not run it."""
    runner = session(path)
    return dict(zip([output.name for output in runner.get_outputs()], runner.run(None, feed(runner, own))))


def nodes(path):
    """The nodes of the main graph and of functions."""
    model = onnx.load(path, load_external_data=False)
    return [node for body in (model.graph, *model.functions) for node in body.node]


def limits(path):
    """Bytes of the nodes that hold values to a range."""
    return LIMIT * sum(node.op_type == "Clip" for node in nodes(path))


def version(path):
    """The version of the standard that a model is written in."""
    return max((entry.version for entry in onnx.load(path, load_external_data=False).opset_import if not entry.domain), default=0)


def allowed(binary, pipeline, path, out):
    """The bytes that a result may take: those of the model that came, unless codes of its own became floats."""
    if "dequantize" not in pipeline:
        return size(path)
    if version(out) > version(path):
        # Floats again, but in the version that codes needed, where some operators take more words.
        newer = out.with_name("newer.onnx")
        upgrade = [binary, "opt", path, "-o", newer, "-p", f"upgrade-opset{{to={version(out)}}}", "--check", "off"]
        subprocess.run(upgrade, capture_output=True, timeout=PATIENCE)
        path = newer if newer.exists() else path
    if any("Quantize" in node.op_type or "QLinear" in node.op_type or "Integer" in node.op_type for node in nodes(path)):
        return float("inf")
    return size(path) * (1 + NAMES) + max(limits(out) - limits(path), 0)


def examine(job):
    """What fell short, how it ended, and the least signal to noise."""
    binary, mode, pipeline, path, own = job
    fail = lambda text: [f"{mode}: {path.name}: {text}"]
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / path.name
        command = [binary, "opt", path, "-o", out, "-p", pipeline, "--samples", "8"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return fail(f"not done in {PATIENCE} s"), "slow", None
        words = done.stderr.strip().splitlines() or ["no word"]
        if done.returncode == 1:
            refused = [word for word in words if CHANGED_NOTHING not in word]
            return (fail("exit code 1 without a reason") if not refused else []), "refused", refused[0] if refused else ""
        if done.returncode:
            return fail(f"exit code {done.returncode}: {words[0][:300]}"), "failed", None
        lines = []
        if size(out) > allowed(binary, pipeline, path, out):
            lines += fail(f"{size(out)} bytes, larger than the original's {size(path)}")
        if accepted(path) and not accepted(out):
            try:
                onnx.checker.check_model(os.fspath(out), full_check=True)
            except Exception as error:
                lines += fail(f"onnx.checker: {str(error).strip().splitlines()[0]}")
        try:
            expected = run(path, own)
        except Exception:
            return lines, "original does not run", None
        try:
            found = run(out, own)
        except Exception as error:
            return lines + fail(f"onnxruntime: {str(error).strip().splitlines()[0][:200]}"), "does not run", None
        least = float("inf")
        for name, a in expected.items():
            b = found.get(name)
            if not isinstance(a, np.ndarray):
                continue
            if b is None or a.dtype != b.dtype or a.ndim != b.ndim:
                lines += fail(f"output {name} is of another type or rank")
                continue
            known = decibels(a, b) if a.shape == b.shape else None
            least = min(least, known) if known is not None else least
        return lines, "runs", least


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = arguments.models + (made(pathlib.Path(folder)) if arguments.layers else [])
        return held(arguments, [(path, path.with_suffix(".npz")) for path in paths] or list(models()))


def held(arguments, chosen):
    jobs = [(arguments.binary, mode, MODES[mode], *model) for mode in arguments.modes for model in chosen]
    ends, short = collections.defaultdict(collections.Counter), 0
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for (_, mode, _, path, _), (lines, end, more) in zip(jobs, pool.map(examine, jobs)):
            ends[mode][end] += 1
            short += len(lines)
            for line in lines:
                print(line, flush=True)
            if arguments.verbose and more is not None:
                print(f"    {mode}: {path.name}: {end}: {more if isinstance(more, str) else f'{more:.1f} dB'}", flush=True)
    for mode, counts in ends.items():
        print(f"{mode}: " + ", ".join(f"{end} {count}" for end, count in counts.most_common()))
    print(f"{len(chosen)} models in {len(ends)} modes, {short} fall short")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
