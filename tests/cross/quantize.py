#!/usr/bin/env python3
"""Writes the tables and the plot of docs/quantization.md: accuracy, signal-to-noise, bytes and milliseconds of models in eight bits.

    quantize.py BINARY FOLDER [--only NAME ...] [--json FILE] [--from FILE ...]

BINARY is what `cargo build --release` made. FOLDER holds `labelled/` (`.onnx`, `.onnx.xz`, `LABELLED.json`), `data/` and, for what
other tools reach, `peers/quantize.json`. LABELLED.json has for each model `name`, `file`, `data`, `calib`, `preprocess`. All is measured in
onnxruntime; milliseconds are of one sample, the least of several runs, and times are to those of the float model in the same run, so
that what other tools' results took, measured elsewhere, can stand beside. --json keeps what was measured, and then nothing is written but
that; --from takes it from there, from several files too.

A mode is a line of MODES.
"""

import argparse
import json
import lzma
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import onnxruntime
from prune_accuracy import BATCH, loaded
from run import PATIENCE, ROOT

PAPER = ROOT / "docs" / "quantization.md"
PLOT = ROOT / "docs" / "quantization.svg"
MARKS = ("<!-- measured -->\n", "<!-- end of measured -->\n")
MODES = {
    "static": "simplify,quantize",
    "static int8": "simplify,quantize{activations=int8}",
    "static uint16": "simplify,quantize{activations=uint16}",
    "static, minmax": "simplify,quantize{calibration=minmax}",
    "static, percentile": "simplify,quantize{calibration=percentile}",
    "static, entropy": "simplify,quantize{calibration=entropy}",
    "dynamic": "simplify,quantize-dynamic",
    "weights": "simplify,quantize-weights",
}
COLOURS = ["#3568a8", "#6fa3dd", "#1c3557", "#9fb4cc", "#9fb4cc", "#9fb4cc", "#2b9868", "#d2602f", "#a9850a", "#7757c6"]
CAP = 150.0  # Decibels of a sample, at most: what other tools reach was measured so.


def labelled(folder, only, scratch):
    """Name, file, entry of LABELLED.json."""
    for entry in json.loads((folder / "labelled" / "LABELLED.json").read_text()):
        if only and entry["name"] not in only:
            continue
        path = folder / "labelled" / entry["file"]
        packed = path.with_name(path.name + ".xz")
        if packed.exists():
            path = scratch / path.name
            path.write_bytes(lzma.decompress(packed.read_bytes()))
        yield entry["name"], path, entry


def scores(path, samples, count):
    # As runtimes come: what is fused is what this is about.
    runner = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {value.name: samples.get(value.name, samples.get(None)) for value in runner.get_inputs()}
    fixed = runner.get_inputs()[0].shape[0]
    step = fixed if isinstance(fixed, int) and fixed > 0 else BATCH
    rows = []
    for start in range(0, count, step):
        # A last batch is filled up by repeating samples.
        taken = np.arange(start, start + step) % count
        feed = {name: np.ascontiguousarray(np.asarray(array)[taken]) for name, array in inputs.items()}
        rows.append(np.asarray(runner.run(None, feed)[0], "float64").reshape(step, -1))
    one = {name: np.ascontiguousarray(array[:step if isinstance(fixed, int) else 1]) for name, array in inputs.items()}
    took = []
    for _ in range(20):
        clock = time.perf_counter()
        runner.run(None, one)
        took.append(time.perf_counter() - clock)
    return np.concatenate(rows)[:count], 1000 * min(took)


def preprocess(how):
    if how["kind"] != "image":
        return []
    show = lambda numbers: "[" + ",".join(f"{number:g}" for number in numbers) + "]"
    return ["--preprocess", f"scale={how['scale']:.9g},mean={show(how['mean'])},std={show(how['std'])},layout={how['layout'].lower()}"]


def signal_to_noise(exact, rows):
    """The mean of the samples' decibels."""
    signal, noise = (exact**2).sum(1), ((rows - exact) ** 2).sum(1)
    floor = np.maximum(signal * 10 ** (-CAP / 10), 1e-45)
    return float(np.mean(10 * np.log10(np.maximum(signal, 1e-30) / np.maximum(noise, floor))))


def examine(binary, folder, name, path, entry):
    samples, labels = loaded(folder, entry)
    exact, ms = scores(path, samples, len(labels))
    labels = labels[:len(exact)]
    right = lambda rows: float((rows.argmax(1) == labels).mean())
    found = {"name": name, "float": {"accuracy": right(exact), "bytes": path.stat().st_size, "ms": ms}, "modes": {}}
    calib = folder / "data" / entry["calib"]
    calib = calib if calib.is_dir() else calib.with_suffix(".npz")
    count = 100 if calib.is_dir() or entry["preprocess"]["kind"] != "image" else 200
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "out.onnx"
        for mode, pipeline in MODES.items():
            # Ranges are measured once for all modes of one graph.
            measured = pathlib.Path(scratch) / "evidence.npz"
            command = [binary, "opt", path, "-o", out, "-p", pipeline, "--evidence", measured, "--calib", calib, "--samples", str(count), "--check", "structure", *preprocess(entry["preprocess"])]
            done = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE)
            if done.returncode:
                found["modes"][mode] = {"reason": (done.stderr.strip().splitlines() or [""])[-1]}
                continue
            rows, ms = scores(out, samples, len(labels))
            found["modes"][mode] = {"accuracy": right(rows), "snr": signal_to_noise(exact, rows), "bytes": out.stat().st_size, "ms": ms}
    return found


def tables(results, peers):
    text = ["onnxruntime's static mode is the best of its three calibrations by signal-to-noise, from the same samples; NNCF's its default.", ""]
    text += ["| model | mode | accuracy | signal-to-noise | bytes | ms | times as fast |", "|---|---|---|---|---|---|---|"]
    for one in results:
        whole = one["float"]
        text.append(f"| `{one['name']}` | float | {100 * whole['accuracy']:.2f} % | | {whole['bytes']:,} | {whole['ms']:.2f} | |")
        for mode, it in one["modes"].items():
            if "reason" in it:
                text.append(f"| | {mode} | {it['reason']} | | | | |")
                continue
            share = 100 * it["bytes"] / whole["bytes"]
            text.append(f"| | {mode} | {100 * it['accuracy']:.2f} % | {it['snr']:.1f} dB | {it['bytes']:,} ({share:.1f} %) | {it['ms']:.2f} | {whole['ms'] / it['ms']:.2f} |")
        for name, it in others(peers.get(one["name"], {})):
            share = 100 * it["bytes_dropped"] / whole["bytes"]
            faster = f"{it['times_faster']:.2f}" if it.get("times_faster") else ""
            text.append(f"| | {name} | {100 * it['accuracy']:.2f} % | {it['snr_db']:.1f} dB | {it['bytes_dropped']:,} ({share:.1f} %) | | {faster} |")
    return "\n".join(text) + "\n"


def others(known):
    """What other tools make of a model."""
    measured = lambda names: [known[name] for name in names if known.get(name, {}).get("snr_db") is not None]
    best = max(measured(["ort_minmax", "ort_entropy", "ort_percentile"]), key=lambda it: it["snr_db"], default=None)
    nncf, dynamic = (next(iter(measured([name])), None) for name in ("nncf", "ort_dynamic"))
    return [(name, it) for name, it in [("onnxruntime, static", best), ("NNCF", nncf), ("onnxruntime, dynamic", dynamic)] if it]


def plot(results, peers):
    """Points: bytes as a share of the float model's, accuracy as points above or below it."""
    wide, high, left, top = 620, 320, 52, 16
    across = lambda share: left + min(max(share, 0.2), 1.0) * (wide - left - 170) / 0.8 - 0.2 * (wide - left - 170) / 0.8
    down = lambda points: top + (1 - min(max(points, -3.0), 1.0)) * (high - top - 44) / 4
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="#fff"/>']
    for points in (-3, -2, -1, 0, 1):
        parts.append(f'<line x1="{left}" x2="{across(1):.0f}" y1="{down(points):.1f}" y2="{down(points):.1f}" stroke="{"#999" if points == 0 else "#ddd"}"/>'
                     f'<text x="{left - 6}" y="{down(points) + 4:.1f}" text-anchor="end">{points:+d}</text>')
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(f'<text x="{across(share):.1f}" y="{high - 24}" text-anchor="middle">{100 * share:.0f} %</text>')
    parts.append(f'<text x="{left}" y="{high - 7}">bytes, of the float model; points of accuracy above or below it (-3 and less at the bottom)</text>')
    series = {mode: [] for mode in [*MODES, "onnxruntime, static", "NNCF"]}
    for one in results:
        whole = one["float"]
        for mode, it in one["modes"].items():
            if "reason" not in it:
                series[mode].append((it["bytes"] / whole["bytes"], 100 * (it["accuracy"] - whole["accuracy"])))
        for name, it in others(peers.get(one["name"], {})):
            if name in series:
                series[name].append((it["bytes_dropped"] / whole["bytes"], 100 * (it["accuracy"] - whole["accuracy"])))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number]
        parts += [f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="3.5" fill="{colour}" fill-opacity="0.65"/>' for x, y in points]
        y = top + 14 + 16 * number
        parts.append(f'<circle cx="{wide - 145}" cy="{y - 4}" r="3.5" fill="{colour}"/><text x="{wide - 135}" y="{y}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--from", dest="kept", nargs="*", type=pathlib.Path)
    asked = parser.parse_args()
    known = asked.folder / "peers" / "quantize.json"
    peers = json.loads(known.read_text()) if known.exists() else {}
    if asked.kept:
        results = [one for path in asked.kept for one in json.loads(path.read_text())]
    else:
        with tempfile.TemporaryDirectory() as scratch:
            found = labelled(asked.folder, asked.only, pathlib.Path(scratch))
            results = [examine(asked.binary.resolve(strict=True), asked.folder, *one) for one in found]
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))
        return 0
    before, _, rest = PAPER.read_text().partition(MARKS[0])
    PAPER.write_text(before + MARKS[0] + tables(results, peers) + MARKS[1] + rest.partition(MARKS[1])[2])
    PLOT.write_text(plot(results, peers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
