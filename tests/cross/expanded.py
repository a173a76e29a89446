#!/usr/bin/env python3
"""Counts how many of the standard's expanded tests end as the one operator that they were expanded from.

    expanded.py BINARY [--filter TEXT] [--markdown]       BINARY is what `cargo build` made

The onnx package has tests of operators that the standard defines by a function, and beside each the same with the function's
body in the operator's place (`test_gelu_tanh_1_expanded` beside `test_gelu_tanh_1`). These go through `opt`, and what is left
is compared with the operators of the test beside. Those that end otherwise are listed, those that are left alike together,
with `--markdown` as a table. The last line is a JSON object with the counts. Exit code 0, unless `opt` failed.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import onnx

PATIENCE = 60  # Seconds for one run of the binary.
EXPANDED = re.compile(r"_expanded(_ver\d+)?$")


def cases():
    """Name, expanded model, and the operators of the test beside it."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = {case.name: case.model for case in collect_testcases(None)}
    for name, model in sorted(tests.items()):
        whole = tests.get(EXPANDED.sub("", name))
        if whole is not None and EXPANDED.search(name):
            yield name, model, operators(whole)


def operators(model):
    return sorted(node.op_type for node in model.graph.node)


def press(binary, model):
    """The operators that are left."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = pathlib.Path(folder) / "a.onnx", pathlib.Path(folder) / "b.onnx"
        onnx.save(model, before)
        command = [binary, "opt", before, "-o", after, "--check", "structure", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode == 0:
            return operators(onnx.load(after))
        raise RuntimeError((done.stderr.strip().splitlines() or ["no word"])[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--filter", default="", help="only tests with this in their name")
    parser.add_argument("--markdown", action="store_true", help="list what is left as a table")
    request = parser.parse_args()
    count = collections.Counter(expanded=0, restored=0, smaller=0, otherwise=0, failed=0)
    left = collections.defaultdict(list)
    for name, model, whole in cases():
        if request.filter not in name:
            continue
        count["expanded"] += 1
        try:
            now = press(request.binary, model)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            count["failed"] += 1
            print(f"{name}: {error}")
            continue
        if now == whole:
            count["restored"] += 1
        elif len(now) <= len(whole):
            # Folded, or another operator that does as well: `Identity` for a `Clip` without bounds.
            count["smaller"] += 1
        else:
            count["otherwise"] += 1
            left[(" ".join(whole), " ".join(f"{n} {op}" if n > 1 else op for op, n in collections.Counter(now).items()))].append(name)
    if request.markdown:
        print("| operator | tests | such as | what is left |\n|---|---|---|---|")
    for (whole, now), names in sorted(left.items(), key=lambda entry: entry[1][0]):
        row = [whole, str(len(names)), names[0].removeprefix("test_"), now]
        print(f"| {' | '.join(row)} |" if request.markdown else f"{row[1]:>3} {row[0]} ({row[2]}): {row[3]}")
    print(json.dumps(count))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
