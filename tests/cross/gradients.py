#!/usr/bin/env python3
"""Holds the training steps that `differentiate` writes, run in onnxruntime, against PyTorch and against central differences.

    gradients.py BINARY [MODEL ...]       BINARY is what `cargo build` made

    recorded      loss and gradients of fixtures/gradients/torch.json, which gradients_torch.py made: within 1e-4 of the peak
    differences   of each MODEL (without: of the fixtures): along the gradient of each parameter, and along a random direction, the
                  loss changes as the gradients say: within 2 % of the steepest slope, for binary32 cancels

What falls short is printed, a line each. Exit code 0 if nothing did, 1 if something did.
"""

import argparse
import json
import pathlib
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
BATCH = 4
PATIENCE = 300


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
            given[value.name] = np.ones(extents, "int64" if value.type == "tensor(int64)" else "int32")
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
        doubt = SLOPE * steepest + 1e-6 * abs(float(plain["loss"])) / length + curved
        if abs(slope - steepest) > doubt:
            yield f"{path.name}: along the gradient of {key} the loss changes by {slope}, not {steepest}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("binary", type=pathlib.Path)
    arguments.add_argument("models", type=pathlib.Path, nargs="*")
    given = arguments.parse_args()
    binary = given.binary.resolve()
    models = given.models or sorted((ROOT / "fixtures").rglob("*.onnx"))
    failures, steps = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        failures += recorded(binary, scratch)
        for path in models:
            try:
                failures += differences(binary, path, scratch)
                steps += 1
            except Exception as error:  # A model without a training step says why.
                print(f"{path.name}: no step: {str(error)[:150]}")
    print("\n".join(failures))
    print(f"12 recorded cases and {steps} of {len(models)} models, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
