#!/usr/bin/env python3
"""Holds `factorize` over a folder of models against onnxruntime: every product is the layer that the plan says.

    factorize.py BINARY MODEL ... [--options OPTIONS]      BINARY is what `cargo build` made

Of each model the witness is made here, from the result's own factors: the model as it came, with U V in the place of each weight
that the plan names. The result must load in onnxruntime and agree with it to 1e-4 of each output's peak, or to FEELS times what the
output moves by when every weight is off by half a unit in its last place, where that is more; with the options as they are by default
(`energy=1, save=none`: the full rank), the model that came in is the witness, too. What falls short is printed, a line each. Exit
code 0 if nothing did, 1 if something did.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper

from run import PATIENCE, TOLERANCE, distance, feed, session


FEELS = 8  # Sums in another order are off by several units in the last place.


def sensitivity(model, inputs, expected):
    """How far the outputs move when every weight does by half a unit in its last place."""
    moved, rng = onnx.ModelProto(), np.random.default_rng(11)
    moved.CopyFrom(model)
    for tensor in moved.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype in (np.float16, np.float32, np.float64) and array.ndim > 1:
            half = np.finfo(array.dtype).eps / 2
            off = array.astype("float64") * (1 + half * rng.choice([-1, 1], array.shape))
            tensor.CopyFrom(numpy_helper.from_array(off.astype(array.dtype), tensor.name))
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "moved.onnx"
        onnx.save(moved, file)
        return max((distance(a, b) for a, b in zip(expected, session(file).run(None, inputs))), default=0.0)


def witnesses(original, result, plan):
    """The original with products for weights; none where a weight is not to be found by its name."""
    weights = {tensor.name: tensor for tensor in original.graph.initializer}
    factors = {tensor.name: numpy_helper.to_array(tensor).astype("float64") for tensor in result.graph.initializer}
    made = onnx.ModelProto()
    made.CopyFrom(original)
    for layer in plan["layers"]:
        name = layer["tensor"]
        node = next((node for node in original.graph.node if name in node.input), None)
        if node is None or name not in weights or f"{name}_u" not in factors:
            return None
        tensor = next(tensor for tensor in made.graph.initializer if tensor.name == name)
        array, v, u = numpy_helper.to_array(tensor), factors[f"{name}_v"], factors[f"{name}_u"]
        if node.op_type == "Conv":
            whole = convolution(node, layer["form"], v, factors.get(f"{name}_core"), u, array.shape)
        elif node.op_type in ("LSTM", "GRU", "RNN"):
            whole = u @ v.T
        else:
            # A factorized weight comes near the original: of the ways to multiply, the one that does.
            ways = list(products(v, u, array.shape))
            whole = min(ways, key=lambda way: np.abs(way - array).sum()) if ways else None
        if whole is None:
            return None
        tensor.CopyFrom(numpy_helper.from_array(whole.astype(array.dtype), name))
    return made


def convolution(node, form, v, core, u, dims):
    """The kernel that the factors make, group by group."""
    groups = next((attr.i for attr in node.attribute if attr.name == "group"), 1)
    whole = []
    for of_v, of_core, of_u in zip(*(np.split(array, groups) if array is not None else [None] * groups for array in (v, core, u))):
        flat = lambda array: array.reshape(*array.shape[:2], -1)
        match form:
            case "channel" | "spatial":
                made = np.einsum("orj,rci->ocij", flat(of_u), flat(of_v))
            case "tucker":
                made = np.einsum("op,pqk,qc->ock", of_u.reshape(of_u.shape[:2]), flat(of_core), of_v.reshape(of_v.shape[:2]))
            case "cp":
                made = np.einsum("or,rk,rc->ock", of_u.reshape(of_u.shape[:2]), flat(of_core)[:, 0], of_v.reshape(of_v.shape[:2]))
        whole.append(made)
    return np.concatenate(whole).reshape(dims)


def products(v, u, dims):
    """All matrices of these extents that two factors make."""
    for first, second in ((a, b) for x, y in ((v, u), (u, v)) for a in (x, x.T) for b in (y, y.T)):
        if first.shape[1] == second.shape[0] and (first.shape[0], second.shape[1]) == tuple(dims):
            yield first @ second


def examine(job):
    binary, path, options = job
    with tempfile.TemporaryDirectory() as folder:
        out, plan = pathlib.Path(folder) / "out.onnx", pathlib.Path(folder) / "plan.json"
        command = [binary, "opt", path, "-o", out, "-p", f"factorize{{{options}}}", "--check", "structure", "--plan-out", plan]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE)
        except subprocess.TimeoutExpired:
            return [f"{path.name}: not done in time"], "slow"
        words = done.stderr.strip().splitlines() or ["no word"]
        if done.returncode == 1 and "nothing in the model was changed" in done.stderr:
            return [], "no layers"
        if done.returncode:
            return [f"{path.name}: exit code {done.returncode}: {words[0]}"], "failed"
        original, result = onnx.load(path), onnx.load(out)
        try:
            runner = session(path)
            inputs = feed(runner, path.parent.parent / "inputs" / f"{path.stem}.npz")
            came = runner.run(None, inputs)
        except Exception:
            return [], "original does not run"
        try:
            actual = session(out).run(None, inputs)
        except Exception as error:
            return [f"{path.name}: onnxruntime: {str(error).strip().splitlines()[0][:200]}"], "does not run"
        lines, end = [], "only runs"

        def check(expected, text):
            error = max((distance(a, b) for a, b in zip(expected, actual)), default=0.0)
            if error > TOLERANCE and error > FEELS * sensitivity(original, inputs, came):
                lines.append(f"{path.name}: {error:.2g} {text}")

        witness = witnesses(original, result, json.loads(plan.read_text()))
        if witness is not None:
            file = pathlib.Path(folder) / "witness.onnx"
            onnx.save(witness, file)
            wanted, end = session(file).run(None, inputs), "equals its witness"
            check(wanted, "off its witness")
        if options.startswith("energy=1,"):
            check(came, "off at the full rank")
        return lines, end


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--options", default="energy=1, save=none")
    arguments = parser.parse_args()
    jobs = [(arguments.binary.resolve(), path, arguments.options) for path in arguments.models]
    how, short = collections.Counter(), 0
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for lines, end in pool.map(examine, jobs):
            how[end] += 1
            short += bool(lines)
            for line in lines:
                print(line, flush=True)
    print(", ".join(f"{end}: {count}" for end, count in how.most_common()) + f"; {short} fall short")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
