#!/usr/bin/env python3
"""Holds the training steps that `differentiate` writes, run in onnxruntime, against PyTorch and against central differences.

    gradients.py BINARY [MODEL ...] [--missing]       BINARY is what `cargo build` made

    recorded      loss and gradients of fixtures/gradients/torch.json, which gradients_torch.py made: within 1e-4 of the peak
    anew          of GRAPHS: the same loss and gradients from steps that compute as much anew as they can
    differences   of GRAPHS, which have what is run turn by turn or fused, and of each MODEL (without: of the fixtures): along the gradient of each parameter, and along a random direction, the
                  loss changes as the gradients say: within 2 % of the steepest slope, for binary32 cancels

What falls short is printed, a line each. Exit code 0 if nothing did, 1 if something did. With --missing nothing is run: said is why
parameters of the models have no gradients, by how many models.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import parser

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORD = ROOT / "fixtures" / "gradients" / "torch.json"
NEAR = 1e-4  # Of the largest element.
STEP = 1e-2  # Of the parameters' root mean square.
SLOPE = 0.02
ROUNDING = 1e-5  # Of a loss in binary32, through a whole model.
BATCH = 4
PATIENCE = 300
# Graphs whose steps have a `Scan`, or operators of onnxruntime.
GRAPHS = {
    "a layer of sequences that end early": """(float[T,2,4] x) => (float[T,2,2,3] y) <float[2,12,4] w = normal, float[2,12,3] r = normal, float[2,24] b = normal, int32[2] l = {3, 4}>
        { y = LSTM<hidden_size = 3, direction = "bidirectional">(x, w, r, b, l) }""",
    "a scan with a weight inside": """(float[2,T] x) => (float[2] s, float[2,T] y) <float[2,2] w = normal, float[2] s0 = normal>
        { s, y = Scan<num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], scan_input_directions = [1], body =
        turn (float[2] before, float[2] slice) => (float[2] after, float[2] given)
        { m = MatMul(w, before)  a = Add(m, slice)  after = Tanh(a)  given = Mul(after, slice) }>(s0, x) }""",
    "a scan in a scan": """(float[2,2,T] x) => (float[2] s, float[2,2,T] y) <float[2,2] w = normal, float[2,2] v = normal, float[2] s0 = normal>
        { s, y = Scan<num_scan_inputs = 1, body =
        outer (float[2] before, float[2,T] rows) => (float[2] after, float[2,T] given)
        { first = MatMul(v, before)  last, given = Scan<num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], body =
        inner (float[2] b, float[2] row) => (float[2] a, float[2] g)
        { m = MatMul(w, b)  n = Mul(m, before)  p = Add(n, row)  a = Tanh(p)  g = Mul(a, row) }>(first, rows)  after = Add(last, before) }>(s0, x) }""",
    "attention as it is fused": """(float[2,T,6] x) => (float[2,T,6] y) <float[6,18] w = normal, float[18] b = normal, int32[2] m = {3, 4}>
        { y = com.microsoft.Attention<num_heads = 2>(x, w, b, m) }""",
    "what is added and normalized": """(float[2,T,4] x) => (float[2,T,4] y) <float[4,4] w = normal, float[4] g = normal, float[4] h = normal>
        { u = MatMul(x, w)  y = com.microsoft.SkipLayerNormalization(u, x, g, h) }""",
}


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def step_of(binary, model, out, options):
    command = [binary, "opt", model, "-o", out, "-p", f"differentiate{{{options}}}", "--check", "structure"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no word"])[0])
    onnx.checker.check_model(onnx.load(out))
    return session(out)


def array(entry, dtype="float32"):
    return np.asarray(entry["values"], dtype).reshape(entry["extents"])


def recorded(binary, scratch):
    for case in json.loads(RECORD.read_text()):
        body, constants = case["body"], []
        for key, entry in case["parameters"].items():
            extents = ",".join(map(str, entry["extents"]))
            constants.append(f"float[{extents}] {key} = {{{', '.join(map(repr, entry['values']))}}}")
        used = [text for text in case["constants"].split(", int64") if text]
        used = [used[0], *(f"int64{text}" for text in used[1:])]
        extents = ",".join(map(str, case["input"]["extents"]))
        text = f"""<ir_version: 10, opset_import: ["" : 21]> g (float[{extents}] x) => (float y)
            <{', '.join(constants + used)}> {{ {body.replace('  ', chr(10))} }}"""
        model, out = scratch / "model.onnx", scratch / "step.onnx"
        parsed = parser.parse_model(text)
        parsed.graph.output[0].type.tensor_type.ClearField("shape")
        read = {name for node in parsed.graph.node for name in node.input}
        kept = [tensor for tensor in parsed.graph.initializer if tensor.name in read]
        del parsed.graph.initializer[:]
        parsed.graph.initializer.extend(kept)
        onnx.save(onnx.shape_inference.infer_shapes(parsed), model)
        runner = step_of(binary, model, out, f"loss={case['loss']}, temperature={case['temperature']}")
        labels = case["loss"] == "cross-entropy"
        wanted = array(case["wanted"], "int64" if labels else "float32")
        names = [output.name for output in runner.get_outputs()]
        given = {"x": array(case["input"]), "labels" if labels else "teacher": wanted}
        found = dict(zip(names, runner.run(None, given)))
        expected = case["result"]
        if abs(float(found["loss"]) - expected["loss"]) > NEAR * max(1.0, abs(expected["loss"])):
            yield f"{case['name']}: a loss of {float(found['loss'])}, PyTorch says {expected['loss']}"
        for key, gradient in expected["gradients"].items():
            gradient = np.asarray(gradient, "float32").reshape(case["parameters"][key]["extents"])
            ours = found.get(f"gradient/{key}")
            peak = np.abs(gradient).max()
            if ours is None or ours.shape != gradient.shape or np.abs(ours - gradient).max() > NEAR * max(peak, 1e-3):
                yield f"{case['name']}: another gradient of {key}"


def inputs_of(runner, random):
    given = {}
    for value in runner.get_inputs():
        extents = [BATCH if not isinstance(extent, int) else extent for extent in value.shape]
        if value.type == "tensor(float)":
            given[value.name] = random.standard_normal(extents).astype("float32")
        else:
            given[value.name] = np.ones(extents, value.type.removeprefix("tensor(").removesuffix(")"))
    return given


def differences(binary, path, scratch):
    random = np.random.default_rng(0)
    original = onnx.load(path)
    named = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in original.graph.initializer}
    runner = step_of(binary, path, scratch / "step.onnx", "loss=mse")
    given = inputs_of(runner, random)
    names = [output.name for output in runner.get_outputs()]
    plain = dict(zip(names, runner.run(None, given)))
    parameters = {name.removeprefix("gradient/"): gradient for name, gradient in plain.items() if name != "loss"}

    def loss(moved):
        # A parameter is an input with a default; onnxruntime lists these apart.
        return float(runner.run(["loss"], {**given, **moved})[0])

    for key, gradient in parameters.items():
        weights = named.get(key)
        if weights is None or weights.dtype != np.float32:
            continue
        steepest = float(np.linalg.norm(gradient))
        if steepest < 1e-6:
            continue
        length = STEP * max(float(np.sqrt(np.mean(weights**2))), 1e-2)
        direction = gradient / steepest
        moved = lambda by: loss({key: (weights + by * direction).astype("float32")})
        slope = (moved(length) - moved(-length)) / (2 * length)
        curved = abs(moved(length) + moved(-length) - 2 * float(plain["loss"])) / length
        # What the quotient cannot know: rounding, and kinks between the two points.
        doubt = SLOPE * steepest + ROUNDING * abs(float(plain["loss"])) / length + curved
        if abs(slope - steepest) > doubt:
            yield f"{path.name}: along the gradient of {key} the loss changes by {slope}, not {steepest}"


def anew(binary, path, scratch):
    outputs = []
    for memory in ("1", "0.01"):
        runner = step_of(binary, path, scratch / "step.onnx", f"loss=mse, memory={memory}")
        outputs.append(runner.run(None, inputs_of(runner, np.random.default_rng(0))))
    for value, kept, again in zip(runner.get_outputs(), *outputs):
        if np.abs(kept - again).max() > NEAR * max(np.abs(kept).max(), 1e-3):
            yield f"{path.name}: another {value.name} where activations are computed anew"


def made(scratch):
    """The files of GRAPHS, with weights that are drawn."""
    random = np.random.default_rng(0)
    for name, text in GRAPHS.items():
        graph = re.sub(r"float\[([0-9,]+)\] (\w+) = normal", lambda found: drawn(random, *found.groups()), text)
        path = scratch / f"{name}.onnx"
        onnx.save(parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> g {graph}'), path)
        yield path


def drawn(random, extents, name):
    values = 0.7 * random.standard_normal(int(np.prod([int(extent) for extent in extents.split(",")])))
    return f"float[{extents}] {name} = {{{', '.join(f'{value:.4f}' for value in values)}}}"


def missing(binary, models, scratch):
    """Why parameters have no gradients, without the names: the models, by reason."""
    reasons = collections.defaultdict(list)
    for path in models:
        report = scratch / "report.json"
        report.unlink(missing_ok=True)
        command = [binary, "opt", path, "-o", scratch / "step.onnx", "-p", "differentiate{loss=mse}", "--check", "off", "--report", report]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no word"])[0].rpartition("}: ")[2]
            reasons[re.sub(r"`[^`]*`", "…", said)].append(path.stem)
            continue
        declined = json.loads(report.read_text())["passes"][0].get("declined", {})
        for reason in {re.sub(r"`[^`]*`", "…", reason) for reason in declined}:
            reasons[reason].append(path.stem)
    for reason, names in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
        print(f"{len(names)}: {reason} ({', '.join(names[:6])}{', …' * (len(names) > 6)})")
    print(f"{len(models)} models")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("binary", type=pathlib.Path)
    arguments.add_argument("models", type=pathlib.Path, nargs="*")
    arguments.add_argument("--missing", action="store_true")
    given = arguments.parse_args()
    binary = given.binary.resolve()
    models = given.models or sorted((ROOT / "fixtures").rglob("*.onnx"))
    failures, steps = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        if given.missing:
            missing(binary, models, scratch)
            return 0
        failures += recorded(binary, scratch)
        graphs = list(made(scratch))
        for path in graphs:
            failures += anew(binary, path, scratch)
        models = [*graphs, *models]
        for path in models:
            try:
                failures += differences(binary, path, scratch)
                steps += 1
            except Exception as error:  # A model without a training step says why.
                print(f"{path.name}: no step: {str(error)[:150]}")
    print("\n".join(failures))
    count = len(json.loads(RECORD.read_text()))
    print(f"{count} recorded cases and {steps} of {len(models)} models, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
