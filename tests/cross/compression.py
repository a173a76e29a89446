#!/usr/bin/env python3
"""Writes the tables and the plot of docs/compression.md: what factorization and sparsity without training cost in accuracy, and what
pipelines of several compressors make of a file.

    compression.py BINARY FOLDER [--part factorize|sparsify|together ...] [--only WORD ...] [--ratios 0.3 ...] --json FILE [--write]

BINARY is what `cargo build --release` made. FOLDER holds `labelled/` (`.onnx`, `.onnx.xz`, `LABELLED.json`), `data/` and, where other
tools were measured, `peers/compress.json`. What was measured before is taken from --json and added to, run by run, so that a long
table can be made in pieces; --write puts what is there into the paper. Samples are those of the entry's `calib`, which have no labels.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import tempfile
import time

import numpy as np
import onnx
import zstandard

from prune_accuracy import accuracy, labelled, loaded, percent
from run import PATIENCE, ROOT

PAPER = ROOT / "docs" / "compression.md"
PLOT = ROOT / "docs" / "compression.svg"
RATIOS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
# By model: what is removed a share of.
FACTORIZED = {"minilm_sst2": "params", "resnet56_cifar10": "macs", "mobilenetv2_imagenet": "macs", "mnist_vit": "params"}
# Name of the row, options, whether it is given samples.
WAYS = [("weights alone", "", False), ("samples", ", reconstruct=false", True), ("samples, fitted", "", True)]
SPARSE = ["resnet56_cifar10", "resnet20_cifar10", "minilm_sst2", "mnist_lenet300"]
CRITERIA = [("magnitude", "sparsity=0.5, criterion=magnitude", "sparse50_magnitude"), ("wanda", "sparsity=0.5, criterion=wanda", "sparse50_wanda"),
            ("obs", "sparsity=0.5, criterion=obs", "sparse50_sparsegpt"), ("obs, by sensitivity", "sparsity=0.5, criterion=obs, scope=sensitivity", None),
            ("obs, 2:4", "pattern=2:4, criterion=obs", None), ("obs, 4x1 blocks", "sparsity=0.5, block=4x1, criterion=obs", None)]
TOGETHER = ["mnist_seed_cnn", "mnist_seed_mlp", "mnist_lenet5", "mnist_lenet300"]
PIPELINES = [
    ("prune", "prune-channels{ratio=0.5, criterion=hessian}"),
    ("factorize", "factorize{target=params, remove=0.6}"),
    ("sparsify", "sparsify{sparsity=0.9, scope=sensitivity, steps=4, store=bitmask}"),
    ("8 bits", "quantize-weights"),
    ("4 bits", "quantize-weights{bits=4, block=32}"),
    ("palette of 16", "palettize{bits=4}"),
    ("factorize, palette of 16", "factorize{target=params, remove=0.6},palettize{bits=4}"),
    ("factorize, 4 bits", "factorize{target=params, remove=0.6},quantize-weights{bits=4, block=32}"),
    ("factorize further, 4 bits", "factorize{target=params, remove=0.78},quantize-weights{bits=4, block=32}"),
    ("prune, factorize, 4 bits",
     "prune-channels{ratio=0.5, criterion=hessian},factorize{target=params, remove=0.5},quantize-weights{bits=4, block=32}"),
    ("prune, sparsify, 8 bits",
     "prune-channels{ratio=0.5, criterion=hessian},sparsify{sparsity=0.7, scope=sensitivity, steps=4},quantize-weights{form=cast}"),
    ("factorize, sparsify, 8 bits",
     "factorize{target=params, remove=0.7},sparsify{sparsity=0.5, scope=sensitivity, steps=4},quantize-weights{form=cast}"),
]
COLOURS = {"mnist_seed_cnn": "#3568a8", "mnist_seed_mlp": "#d2602f", "mnist_lenet5": "#2b9868", "mnist_lenet300": "#7757c6"}


def prepared(scratch, path, entry, folder):
    """The samples of an entry as the model takes them, by input, in a file."""
    given, _ = loaded(folder, {**entry, "data": entry["calib"]})
    from run import session

    first = session(path).get_inputs()[0].name
    file = pathlib.Path(scratch) / "calib.npz"
    np.savez(file, **{key or first: array for key, array in given.items()})
    return file


def sizes(path, samples):
    """Open extents behind the batch, by name, as samples have them: without, nobody knows what a layer costs."""
    found = {}
    for value in onnx.load(path).graph.input:
        array = samples.get(value.name, samples.get(None))
        if array is not None:
            dims = zip(value.type.tensor_type.shape.dim, array.shape)
            found.update({dim.dim_param: extent for dim, extent in list(dims)[1:] if dim.dim_param})
    return [word for name, extent in found.items() for word in ("--set-dim", f"{name}={extent}")]


def press(binary, path, out, pipeline, calib, more):
    command = [binary, "opt", path, "-o", out, "-p", pipeline, "--check", "structure", "--json", *(["--calib", calib] if calib else []), *more]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return None if done.returncode else (json.loads(done.stdout), took)


def run_once(binary, folder, limit, path, entry, pipeline, with_samples):
    """Accuracy, bytes, bytes after zstd, MACs and seconds of processor time, all threads; None where the pipeline cannot be run."""
    samples, labels = loaded(folder, entry)
    samples, labels = {key: array[:limit] for key, array in samples.items()}, labels[:limit]
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "out.onnx"
        done = None
        if pipeline is None:
            out.write_bytes(path.read_bytes())
            report, seconds = {"output": {"macs": None}}, 0.0
        else:
            calib = prepared(scratch, path, entry, folder) if with_samples else None
            done = press(binary, path, out, pipeline, calib, sizes(path, samples) if "target=macs" in pipeline else [])
            if done is None:
                return None
            report, seconds = done
        data = out.read_bytes()
        start = time.time()
        right = accuracy(out, samples, labels)
        return {"accuracy": float(right), "bytes": len(data), "zstd": len(zstandard.ZstdCompressor(level=19).compress(data)),
                "macs": report["output"]["macs"], "seconds": round(seconds, 1), "ms": 1000 * (time.time() - start) / max(1, len(labels)),
                "zeros": zeros(data)}


def zeros(data):
    """The share of zeros among the elements of float initializers with two axes or more."""
    tensors = [onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(data).graph.initializer if len(t.dims) > 1 and t.data_type == 1]
    size = sum(array.size for array in tensors)
    return round(1 - sum(np.count_nonzero(array) for array in tensors) / size, 4) if size else 0.0


def jobs(parts, ratios):
    """Name of the table, model, name of the row, column, pipeline, whether it is given samples."""
    if "factorize" in parts:
        for name, target in FACTORIZED.items():
            yield "factorize", name, "whole", "", None, False
            for way, options, data in WAYS:
                for ratio in ratios:
                    yield "factorize", name, way, f"{ratio}", f"factorize{{target={target}, remove={ratio}{options}}}", data
    if "sparsify" in parts:
        for name in SPARSE:
            yield "sparsify", name, "whole", "", None, False
            for way, options, _ in CRITERIA:
                yield "sparsify", name, way, "", f"sparsify{{{options}}}", "magnitude" not in options
    if "together" in parts:
        for name in TOGETHER:
            yield "together", name, "whole", "", None, False
            for way, pipeline in PIPELINES:
                yield "together", name, way, "", f"simplify,{pipeline}", any(word in pipeline for word in ("prune", "factorize", "sparsify", "palettize"))


def tables(found, peers):
    get = lambda table, name, row, column="": found.get(f"{table}|{name}|{row}|{column}")
    text = ["### Low rank", ""] if any(key.startswith("factorize|") for key in found) else []
    for name, target in FACTORIZED.items():
        whole = get("factorize", name, "whole")
        if not whole:
            continue
        what = "multiply-accumulates" if target == "macs" else "weights"
        text += [f"`{name}`, {percent(whole['accuracy'])} % right when whole, by the share of the {what} of its layers that is removed:", "",
                 "| | " + " | ".join(f"{100 * ratio:.0f} %" for ratio in RATIOS) + " |", "|---|" + "---|" * len(RATIOS)]
        for way, _, _ in WAYS:
            cells = [get("factorize", name, way, f"{ratio}") for ratio in RATIOS]
            if any(cells):
                text.append(f"| {way} | " + " | ".join(percent(cell and cell["accuracy"]) for cell in cells) + " |")
        text.append("")
    models = [name for name in SPARSE if get("sparsify", name, "whole")]
    text += ["### Zeros", "", "Half of the weights of every layer zero, no training. Seconds are processor time, of all threads\ntogether. In brackets what onnxsim 0.8.1 reaches in the same way.", "",
             "| | " + " | ".join(f"`{name}`" for name in models) + " |", "|---|" + "---|" * len(models)]
    whole = [get("sparsify", name, "whole") for name in models]
    text.append("| whole | " + " | ".join(percent(cell and cell["accuracy"]) for cell in whole) + " |")
    for way, _, peer in CRITERIA:
        cells = []
        if not any(get("sparsify", name, way) for name in models):
            continue
        for name in models:
            cell, other = get("sparsify", name, way), peers.get(name, {}).get(peer, {})
            words = percent(cell and cell["accuracy"]) + (f" in {cell['seconds']:.0f} s" if cell and cell["seconds"] else "")
            cells.append(words + (f" ({percent(other['accuracy'])})" if other.get("accuracy") else ""))
        text.append(f"| {way} | " + " | ".join(cells) + " |")
    text += ["", "### Together", "", "Bytes of the file, bytes after zstd (level 19), multiply-accumulates, accuracy, milliseconds a sample (on a busy\nmachine: they compare within a model).", ""]
    for name in TOGETHER:
        whole = get("together", name, "whole")
        if not whole:
            continue
        text += [f"`{name}`:", "", "| pipeline | bytes | zstd | part | zstd part | MACs | right | ms |", "|---|---|---|---|---|---|---|---|"]
        for way in ["whole", *[way for way, _ in PIPELINES]]:
            if cell := get("together", name, way):
                part = lambda key: f"1/{whole['bytes'] / cell[key]:.1f}"
                macs = f"{cell['macs'] / 1e6:.2f} M" if cell["macs"] else ""
                text.append(f"| {way} | {cell['bytes']} | {cell['zstd']} | {part('bytes')} | {part('zstd')} | {macs} | "
                            f"{100 * cell['accuracy']:.2f} | {cell['ms']:.3f} |")
        text.append("")
    return "\n".join(text) + "\n"


def plot(found):
    """Points: bytes after zstd as a share of the file (logarithmic) and points of accuracy lost."""
    wide, high, left, top = 560, 300, 46, 16
    across = lambda share: left + (1 - min(1.0, -np.log10(share) / 2)) * (wide - left - 140)
    down = lambda lost: top + min(max(lost, -0.5), 3) / 3 * (high - top - 50) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="#fff"/>']
    for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
        parts.append(f'<line x1="{across(share):.1f}" x2="{across(share):.1f}" y1="{top}" y2="{high - 36}" stroke="#ddd"/>'
                     f'<text x="{across(share):.1f}" y="{high - 22}" text-anchor="middle">1/{1 / share:.0f}</text>')
    for lost in (0, 1, 2, 3):
        parts.append(f'<line x1="{left}" x2="{across(1.0):.0f}" y1="{down(lost):.1f}" y2="{down(lost):.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{down(lost) + 4:.1f}" text-anchor="end">{lost}</text>')
    parts.append(f'<text x="{left}" y="{high - 6}">part of the file: ● as written, ○ after zstd; points of accuracy lost</text>')
    for number, name in enumerate(TOGETHER):
        whole = found.get(f"together|{name}|whole|")
        for way, _ in PIPELINES:
            cell = found.get(f"together|{name}|{way}|")
            if not whole or not cell:
                continue
            y = down(100 * (whole["accuracy"] - cell["accuracy"]))
            for key, fill in (("bytes", COLOURS[name]), ("zstd", "none")):
                parts.append(f'<circle cx="{across(cell[key] / whole["bytes"]):.1f}" cy="{y:.1f}" r="3.5" fill="{fill}" stroke="{COLOURS[name]}">'
                             f'<title>{name}: {way}</title></circle>')
        parts.append(f'<text x="{wide - 125}" y="{top + 20 + 16 * number}" fill="{COLOURS[name]}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--part", nargs="*", default=["factorize", "sparsify", "together"])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--ratios", nargs="*", type=float, default=RATIOS)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    found = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        entries = {name: (path, entry) for name, path, entry in labelled(arguments.folder, arguments.only, pathlib.Path(scratch))}
        for table, name, row, column, pipeline, data in jobs(arguments.part, arguments.ratios):
            key = f"{table}|{name}|{row}|{column}"
            if name not in entries or key in found or arguments.rows and row not in ["whole", *arguments.rows]:
                continue
            found[key] = run_once(arguments.binary.resolve(), arguments.folder, arguments.limit, *entries[name], pipeline, data)
            print(key, found[key], flush=True)
            arguments.json.write_text(json.dumps(found, indent=1))
    if arguments.write:
        peers = arguments.folder / "peers" / "compress.json"
        peers = json.loads(peers.read_text()) if peers.exists() else {}
        before, rest = PAPER.read_text().split("<!-- tables -->\n")
        PAPER.write_text(before + "<!-- tables -->\n" + tables(found, peers) + "<!-- end of tables -->\n" + rest.split("<!-- end of tables -->\n")[1])
        PLOT.write_text(plot(found))


if __name__ == "__main__":
    main()
