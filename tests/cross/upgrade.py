#!/usr/bin/env python3
"""Holds `upgrade-opset` against the standard's own tests: models of every version compute the same in the newest one.

    upgrade.py BINARY [MODEL ...] [--to N] [-v]       BINARY is what `cargo build` made

Without models:

    node tests      each of the standard's, and each again at every older version that its operator has and that takes it as it is
    models          those of old versions that come with onnx (simple, pytorch-operator, pytorch-converted)
    fixtures        the cases of the pass itself

A model that onnx.checker takes must be taken after the upgrade, and the outputs must be the same, or what the standard's test
expects: by onnxruntime where it runs both, else by the interpreter. With models, these. By default N is the newest version that onnxruntime runs. What falls short is printed,
a line each; so is, with -v, what stopped an upgrade. Exit code 0 if nothing fell short, 1 if something did.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import defs, helper, numpy_helper

from run import PATIENCE, TOLERANCE, accepted, distance, feed, session

ROOT = pathlib.Path(__file__).resolve().parents[2]
OLDEST = 7
NOWHERE = pathlib.Path("/nonexistent")
NEARER = (25, 22, 18, 13)  # Where nobody runs the newest version, the next of these is tried.


def newest_that_runs():
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [other])
    for version in range(defs.onnx_opset_version(), OLDEST, -1):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10)
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            return version
        except Exception:
            continue
    raise SystemExit("onnxruntime runs nothing")


def opset(model):
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)


def older(model, to):
    """The same model at the older versions of its only operator, as far as the checker takes it there."""
    if len(model.graph.node) != 1 or model.functions or model.graph.node[0].domain:
        return
    name, now = model.graph.node[0].op_type, opset(model)
    known = [schema for schema in defs.get_all_schemas_with_history() if schema.name == name and schema.domain == ""]
    for since in sorted({max(schema.since_version, OLDEST) for schema in known}):
        if since >= min(now, to):
            continue
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        next(entry for entry in copy.opset_import if entry.domain in ("", "ai.onnx")).version = since
        try:
            onnx.checker.check_model(copy, full_check=True)
        except Exception:
            continue
        yield since, copy


def node_tests(to):
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        if case.model is not None:
            inputs, outputs = case.data_sets[0] if case.data_sets else (None, None)
            yield case.name, case.model, inputs, outputs
            for since, model in older(case.model, to):
                yield f"{case.name} at {since}", model, inputs, outputs


def shipped(path):
    """The models of onnx's own folder, with their first inputs."""
    for file in sorted(path.rglob("model.onnx")):
        if file.parent.parent.name not in ("simple", "pytorch-operator", "pytorch-converted"):
            continue
        model, folder = onnx.load(file), file.parent / "test_data_set_0"
        inputs = []
        for index in range(len(list(folder.glob("input_*.pb")))):
            tensor = onnx.TensorProto()
            tensor.ParseFromString((folder / f"input_{index}.pb").read_bytes())
            inputs.append(numpy_helper.to_array(tensor))
        yield f"{file.parent.parent.name}/{file.parent.name}", model, inputs or None, None


def fixtures(binary):
    """The cases of the pass that are not said to have no numbers."""
    text = (ROOT / "fixtures" / "rules" / "upgrade_opset.onnxtxt").read_text()
    for case in text.split("# ---- ")[1:]:
        title, rest = case.split("\n", 1)
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "case.onnx"
            done = subprocess.run([binary, "parse", "-", "-o", out], input=rest, capture_output=True, text=True, timeout=PATIENCE)
            if done.returncode == 0:
                yield f"fixture: {title}", onnx.load(out), None, None


def interpreted(binary, path, inputs, folder):
    given, out = folder / "inputs.npz", folder / "outputs.npz"
    np.savez(given, **inputs)
    command = [binary, "run", path, "--inputs", given, "-o", out, "--runner", "interpreter"]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return dict(np.load(out, allow_pickle=False))


def by_onnxruntime(before, after, given):
    runner = session(before)
    inputs = feed(runner, given) if isinstance(given, pathlib.Path) else named(given, [value.name for value in runner.get_inputs()])
    names = [output.name for output in runner.get_outputs()]
    expected = runner.run(None, inputs)
    return names, expected, session(after).run(None, inputs)


def named(given, names):
    if any(not isinstance(array, np.ndarray) for array in given):
        raise ValueError("no arrays")
    return dict(zip(names, given))


def values(model):
    kept = {tensor.name for tensor in model.graph.initializer} if model.ir_version < 4 else set()
    return [value.name for value in model.graph.input if value.name not in kept]


def examine(job):
    """What fell short, which runner compared, and what stopped the upgrade."""
    binary, name, model, given, wanted, to = job
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        before, after, report = folder / "before.onnx", folder / "after.onnx", folder / "report.json"
        before.write_bytes(model)
        was = onnx.load(before)
        if opset(was) is None or not OLDEST <= opset(was) < to:
            return [], "not older" if opset(was) else "no operators", None
        command = [binary, "opt", before, "-o", after, "-p", f"upgrade-opset{{to={to}}}", "--check", "structure", "--report", report]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            words = (done.stderr.strip().splitlines() or ["no word"])[0]
            return ([f"{name}: exit code {done.returncode}: {words}"], None, None) if accepted(before) else ([], "invalid", None)
        stops = [reason for step in json.loads(report.read_text())["passes"] for reason in step["declined"]]
        now, stopped = onnx.load(after), (stops or [None])[0]
        if opset(now) != to and not stopped:
            return [f"{name}: it stays at {opset(now)} and does not say why"], None, None
        if accepted(before) and not accepted(after):
            try:
                onnx.checker.check_model(os.fspath(after))
            except Exception as error:
                return [f"{name}: onnx.checker: {str(error).strip().splitlines()[0]}"], None, stopped
        if opset(now) == opset(was):
            return [], "stays", stopped
        if given is None:
            given = NOWHERE
        try:
            names, expected, actual = by_onnxruntime(before, after, given)
            who = "onnxruntime"
        except Exception:
            try:
                inputs = named(given, values(was)) if given is not NOWHERE else {}
                expected, actual = (interpreted(binary, path, inputs, folder) for path in (before, after))
                names = list(expected)
                expected, actual = [expected[key] for key in names], [actual.get(key) for key in names]
                who = "interpreter"
            except Exception:
                # New versions of operators may have no kernel yet; what leads there is held against the ones before.
                nearer = next((version for version in NEARER if version < to), None)
                found = examine((*job[:-1], nearer)) if nearer and opset(was) < nearer else ([], "nobody runs it", None)
                return (*found[:2], stopped)
        lines = []
        for index, (output, a, b) in enumerate(zip(names, expected, actual)):
            # Where a runtime mended something in a later version, what the standard's test expects is as good.
            as_wanted = wanted is not None and index < len(wanted) and distance(wanted[index], b) <= TOLERANCE
            if (error := distance(a, b)) > TOLERANCE and not as_wanted:
                lines.append(f"{name}: output {output} is off by {error:.2g} ({who}), {opset(was)} to {opset(now)}")
        return lines, who, stopped


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--to", type=int)
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    binary, to = arguments.binary.resolve(strict=True), arguments.to or newest_that_runs()
    start = time.time()
    if arguments.models:
        jobs = [(binary, path.name, path.read_bytes(), path.with_suffix(".npz"), None, to) for path in arguments.models]
    else:
        data = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
        found = [*fixtures(binary), *shipped(data), *node_tests(to)]
        jobs = [(binary, name, model.SerializeToString(), *data, to) for name, model, *data in found]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(examine, jobs, chunksize=8))
    lines = [line for found, _, _ in results for line in found]
    print(*lines, sep="\n", end="\n" if lines else "")
    outcomes = collections.Counter(outcome for _, outcome, _ in results if outcome)
    stops = collections.Counter(stop for _, _, stop in results if stop)
    if arguments.verbose:
        for reason, count in sorted(stops.items()):
            print(f"  {count:4}  {reason}")
    summary = {"to": to, "models": len(jobs), **outcomes, "stopped": sum(stops.values()), "fall_short": len(lines)}
    print(json.dumps({**summary, "seconds": round(time.time() - start)}))
    return 1 if lines or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
