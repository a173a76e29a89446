#!/usr/bin/env python3
"""Writes the table of docs/simplify.md: how many nodes `simplify` and other simplifiers leave of each model.

    simplify_table.py BINARY FOLDER [--filled FOLDER] [--expanded FILE] [--check]

BINARY is what `cargo build --release` made. FOLDER holds `models/` and `labelled/` (`.onnx`, `.onnx.xz`), `inputs/` (`NAME.npz`, where
random inputs would not do) and `peers/simplify.json`: what other tools made of these models, as {"versions": {tool: version}, "models":
{name: {tool: {"nodes", "bytes", "same"} or {"error"}}}}. --filled is a folder of further models. --expanded is the output of
`expanded.py`. Without it that section stays as it is. --check writes nothing, and fails where a count of the table is no longer true.

A result counts as right where onnxruntime computes the same of it, to 1e-4 of each output's peak, and as comparable where it is no more
than a tenth larger than the model and asks for no operators of further domains. Exit code 0, or 1 where onnxpress falls short of the
best peer, computes something else, or writes a larger file.
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

import onnx

from run import PATIENCE, ROOT, TOLERANCE, distance, feed, session

PAPER = ROOT / "docs" / "simplify.md"
PEERS = {"onnxsim": "onnxsim", "onnxslim": "OnnxSlim", "onnxscript": "onnxscript", "onnxoptimizer": "onnxoptimizer",
         "onnxruntime_basic": "onnxruntime, basic"}
SLACK = 64  # Bytes: producer and names of a graph are the writer's.


def models(folder, filled, scratch):
    """Name, file, inputs."""
    found = [*folder.glob("models/*.onnx"), *folder.glob("labelled/*.onnx"), *(filled.glob("*.onnx") if filled else [])]
    for packed in folder.glob("labelled/*.onnx.xz"):
        plain = scratch / packed.stem
        plain.write_bytes(lzma.decompress(packed.read_bytes()))
        found.append(plain)
    return sorted((file.stem, file, folder / "inputs" / f"{file.stem}.npz") for file in found)


def nodes(model):
    def of(graph):
        inner = [attribute for node in graph for attribute in node.attribute]
        graphs = [graph for attribute in inner for graph in [attribute.g, *attribute.graphs] if graph.node]
        return len(graph) + sum(of(graph.node) for graph in graphs)

    return of(model.graph.node) + sum(of(function.node) for function in model.functions)


def domains(model):
    used = {node.domain for node in model.graph.node} | {node.domain for function in model.functions for node in function.node}
    return {"" if domain == "ai.onnx" else domain for domain in used} - {function.domain for function in model.functions}


def size(path):
    """Bytes of a model, and of the data files that it names."""
    model = onnx.load(path, load_external_data=False)
    names = {entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"}
    return path.stat().st_size + sum((path.parent / name).stat().st_size for name in names if (path.parent / name).exists())


def is_same(before, after, own):
    """Whether both compute the same; None where nobody can say."""
    try:
        runner = session(before)
        inputs = feed(runner, own)
        expected = runner.run(None, inputs)
    except Exception:
        return None
    try:
        actual = session(after).run(None, inputs)
    except Exception:
        return False
    return all(distance(a, b) <= TOLERANCE for a, b in zip(expected, actual))


def press(job):
    binary, name, path, own = job
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.onnx"
        command = [binary, "opt", path, "-o", out, "--check", "structure", "--initializers-as-constants"]
        before = onnx.load(path, load_external_data=False)
        row = {"name": name, "nodes_before": nodes(before), "bytes_before": size(path)}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return {**row, "error": "out of time"}
        if done.returncode:
            return {**row, "error": (done.stderr.strip().splitlines() or ["no word"])[0]}
        after = onnx.load(out, load_external_data=False)
        return {**row, "nodes": nodes(after), "bytes": size(out), "same": is_same(path, out, own),
                "further": sorted(domains(after) - domains(before))}


def best(row, peers):
    """The fewest nodes of a comparable, right result, and whose."""
    def counts(entry):
        fits = entry.get("bytes", 0) <= 1.1 * row["bytes_before"] + 4096
        return "nodes" in entry and entry.get("same") is not False and fits and not entry.get("new_domains")

    right = [(entry["nodes"], tool) for tool, entry in peers.items() if tool in PEERS and counts(entry)]
    return min(right, default=(None, None))


def shortfalls(row, least):
    if "error" in row:
        return [row["error"]]
    found = []
    if row["same"] is False:
        found.append("computes something else")
    if row["bytes"] > row["bytes_before"] + SLACK:
        found.append(f"{row['bytes'] - row['bytes_before']} bytes larger")
    if row["further"]:
        found.append(f"operators of {', '.join(row['further'])}")
    if least is not None and row["nodes"] > least:
        found.append(f"{row['nodes'] - least} node(s) more than the best")
    return found


def cell(row, entry):
    """A peer's count; what cannot be compared is in parentheses."""
    if entry is None:
        return ""
    if "nodes" not in entry:
        return "fails"
    if entry.get("same") is False:
        return f"({entry['nodes']}, wrong)"
    if entry.get("new_domains"):
        return f"({entry['nodes']}, other domains)"
    if entry.get("bytes", 0) > 1.1 * row["bytes_before"] + 4096:
        return f"({entry['nodes']}, larger)"
    return str(entry["nodes"])


def table(rows, recorded):
    lines = ["| model | nodes | " + " | ".join(PEERS.values()) + " | onnxpress | bytes | after | same |",
             "|---|--:|" + "--:|" * len(PEERS) + "--:|--:|--:|---|"]
    for row in rows:
        peers = recorded["models"].get(row["name"], {})
        cells = [cell(row, peers.get(tool)) for tool in PEERS]
        least, _ = best(row, peers)
        own = str(row.get("nodes", "fails"))
        own = f"**{own}**" if least is not None and row.get("nodes", least + 1) <= least else own
        same = {True: "yes", False: "no", None: "cannot be run"}[row.get("same")]
        ends = [str(row["bytes_before"]), str(row.get("bytes", "")), same]
        lines.append("| " + " | ".join([f"`{row['name']}`", str(row["nodes_before"]), *cells, own, *ends]) + " |")
    return "\n".join(lines) + "\n"


def summary(rows, recorded):
    compared = [(row, best(row, recorded["models"].get(row["name"], {}))[0]) for row in rows]
    compared = [(row, least) for row, least in compared if least is not None and "nodes" in row]
    changed = [(row, least) for row, least in compared if min(least, row["nodes"]) < row["nodes_before"]]
    fewer, equal = (sum(compare(row["nodes"], least) for row, least in changed) for compare in (int.__lt__, int.__eq__))
    versions = ", ".join(f"{name} {recorded['versions'][tool]}" for tool, name in PEERS.items() if tool in recorded.get("versions", {}))
    wrong = sum(row.get("same") is False for row in rows)
    larger = sum("bytes" in row and row["bytes"] > row["bytes_before"] + SLACK for row in rows)
    return (f"{len(rows)} models; peers: {versions}.\n\nOf the {len(changed)} models that any tool makes smaller and that can be compared, "
            f"onnxpress leaves fewer nodes than the best peer on {fewer}, as many on {equal}, and more on {len(changed) - fewer - equal}. "
            f"It computes something else on {wrong}, and writes a larger file on {larger}.\n")


def behind(rows, recorded):
    lines = []
    for row in rows:
        least, _ = best(row, recorded["models"].get(row["name"], {}))
        if found := shortfalls(row, least):
            lines.append(f"* `{row['name']}`: {'; '.join(found)}")
    return ("\n".join(lines) or "Nothing falls short.") + "\n"


def put(text, name, made):
    begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
    start = text.index(begin) + len(begin)
    return text[:start] + made + text[text.index(end, start):]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--filled", type=pathlib.Path)
    parser.add_argument("--expanded", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    binary, folder = arguments.binary.resolve(strict=True), arguments.folder.resolve(strict=True)
    recorded = json.loads((folder / "peers" / "simplify.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        jobs = [(binary, *model) for model in models(folder, arguments.filled, pathlib.Path(scratch))]
        with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
            rows = list(pool.map(press, jobs))
    text = before = PAPER.read_text()
    text = put(text, "summary", summary(rows, recorded))
    text = put(text, "behind", behind(rows, recorded))
    text = put(text, "table", table(rows, recorded))
    if arguments.expanded:
        text = put(text, "expanded", arguments.expanded.read_text().rstrip() + "\n")
    if arguments.check and text != before:
        print("docs/simplify.md is out of date")
        return 1
    if not arguments.check:
        PAPER.write_text(text)
    short = sum(bool(shortfalls(row, best(row, recorded["models"].get(row["name"], {}))[0])) for row in rows)
    print(json.dumps({"models": len(rows), "fall_short": short}))
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
