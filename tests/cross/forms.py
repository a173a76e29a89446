#!/usr/bin/env python3
"""Holds each kind of weight in each form of few bits against onnxruntime.

    forms.py BINARY [-v]      BINARY is what `cargo build` made

The models are the texts of fixtures/weights. What is made of them must be its witness, which the checks of BINARY see to; here it must
load in onnxruntime, and answer there what BINARY's interpreter answers, to 1e-3 of the peak (convert-float to 3e-2). onnxruntime makes
MatMulNBits of DequantizeLinear and MatMul, which by default rounds activations to eight bits; here it is asked for floats. Types that onnxruntime
has no kernels for are told by -v. What falls short is printed, a line each. Exit code 0 if nothing did, 1 if something did.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

from run import ROOT

FORMS = [
    "quantize-weights{bits=4, block=16}",
    "quantize-weights{bits=4, block=16, symmetric=false, rounding=hqq, scales=float16}",
    "quantize-weights{bits=8}",
    "quantize-weights{bits=2}",
    "quantize-weights{bits=4, block=16, form=cast}",
    "quantize-weights{bits=4, block=16, form=matmulnbits}",
    "quantize-weights{bits=4, block=16, form=matmulnbits, symmetric=false, scales=float16}",
    "quantize-weights{type=nf4, block=16}",
    "quantize-weights{type=float8e4m3fn, rounding=mse}",
    "quantize-weights{bits=4, block=16, rounding=gptq}",
    "quantize-weights{bits=4, rounding=awq}",
    "palettize{bits=4}",
    "palettize{bits=3, codes=additive-power-of-two, per=channel-group}",
    "convert-float",
]


def ran(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return done.returncode, (done.stderr.strip().splitlines() or [""])[0]


def off(expected, actual):
    return float(np.abs(expected - actual).max() / max(np.abs(expected).max(), 1e-30))


def examine(binary, text, form, folder):
    """What fell short, and a word of what was done."""
    model, data, out, answer = folder / "model.onnx", folder / "x.npz", folder / "out.onnx", folder / "y.npz"
    out.unlink(missing_ok=True)
    code, word = ran(binary, "parse", text, "-o", model)
    if code:
        return f"parse: {word}", ""
    taken = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0]
    extents = [extent if isinstance(extent, int) else 8 for extent in taken.shape]
    np.savez(data, **{taken.name: np.random.default_rng(1).standard_normal(extents).astype("float32")})
    samples = ["--calib", data] if "gptq" in form or "awq" in form else []
    code, word = ran(binary, "opt", model, "-o", out, "-p", form, "--check", "strict", *samples)
    if code:
        return ("" if "nothing in the model was changed" in word else word), "stays"
    code, word = ran(binary, "run", out, "--inputs", data, "-o", answer, "--runner", "interpreter")
    if code:
        return f"interpreter: {word}", ""
    try:
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        runner = onnxruntime.InferenceSession(out, options, providers=["CPUExecutionProvider"])
        actual = runner.run(None, dict(np.load(data)))
    except Exception as error:
        line = str(error).strip().splitlines()[0]
        return ("" if "NOT_IMPLEMENTED" in line or "Could not find an implementation" in line else f"onnxruntime: {line}"), "no kernel"
    expected = dict(np.load(answer))
    worst = max(off(expected[output.name].astype("float64"), found) for output, found in zip(runner.get_outputs(), actual))
    return (f"off by {worst:.1e}" if not worst <= (3e-2 if form == "convert-float" else 1e-3) else ""), f"off by {worst:.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("-v", "--verbose", action="store_true")
    asked = parser.parse_args()
    short = count = 0
    with tempfile.TemporaryDirectory() as folder:
        for text in sorted((ROOT / "fixtures" / "weights").glob("*.onnxtxt")):
            for form in FORMS:
                lacking, word = examine(asked.binary.resolve(strict=True), text, form, pathlib.Path(folder))
                count += 1
                short += bool(lacking)
                if lacking or asked.verbose:
                    print(f"{text.stem}, {form}: {lacking or word}", flush=True)
    print(f"{count} looked at; {short} fall short")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
