#!/usr/bin/env python3
"""Writes the tables and the plot of docs/low-bits.md: accuracy against bytes of models whose weights are written in few bits.

    low_bits.py BINARY FOLDER [--only WORD ...] [--modes WORD ...] [--keep NAME ...] [--json FILE] [--samples N] [--threads N] [--write]

BINARY is what `cargo build --release` made. FOLDER holds `labelled/` and `data/` as for quantize.py.
All is measured in onnxruntime. --json keeps what was measured and adds to what is there, model by model and mode by mode, so that it can be
measured in parts; --write makes tables and plot of it. Without --json all is measured and written at once.

A mode is a line of MODES. With --keep weights of these names stay as they are, and rows say so.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from prune_accuracy import loaded
from quantize import labelled, preprocess, scores
from run import ROOT

PAPER = ROOT / "docs" / "low-bits.md"
PLOT = ROOT / "docs" / "low-bits.svg"
MARKS = ("<!-- measured -->\n", "<!-- end of measured -->\n")
BLOCKS = "quantize-weights{{bits={}, block=32, {}}}"
# Name, pass, whether it takes samples, group in the plot.
MODES = [
    ("float16", "convert-float", False, "float16"),
    ("8 bits", "quantize-weights", False, "8 bits"),
    ("float8 e4m3", "quantize-weights{type=float8e4m3fn, rounding=mse}", False, "8 bits"),
    ("4 bits, nearest", BLOCKS.format(4, "rounding=nearest"), False, "4 bits, no data"),
    ("4 bits, mse, no samples", BLOCKS.format(4, "rounding=mse"), False, "4 bits, no data"),
    ("4 bits, hqq", BLOCKS.format(4, "symmetric=false, rounding=hqq"), False, "4 bits, no data"),
    ("4 bits, nf4", "quantize-weights{type=nf4, block=32, rounding=mse}", False, "4 bits, no data"),
    ("4 bits, mse", BLOCKS.format(4, "rounding=mse"), True, "4 bits, samples"),
    ("4 bits, awq", BLOCKS.format(4, "rounding=awq"), True, "4 bits, samples"),
    ("4 bits, gptq", BLOCKS.format(4, "rounding=gptq"), True, "4 bits, samples"),
    ("4 bits in blocks of 128, gptq, scales in float16", "quantize-weights{bits=4, block=128, rounding=gptq, scales=float16}", True, "4 bits, samples"),
    ("4 bits, gptq, MatMulNBits", BLOCKS.format(4, "rounding=gptq, form=matmulnbits"), True, "4 bits, samples"),
    ("4 bits, palette", "palettize{bits=4}", True, "palettes, samples"),
    ("4 bits, palette, no samples", "palettize{bits=4, data=false}", False, "palettes, no data"),
    ("4 bits, quantiles", "palettize{bits=4, codes=quantile}", True, "palettes, samples"),
    ("4 bits, powers of two", "palettize{bits=4, codes=power-of-two}", True, "palettes, samples"),
    ("4 bits, additive powers", "palettize{bits=4, codes=additive-power-of-two}", True, "palettes, samples"),
    ("3 bits, nearest", BLOCKS.format(3, "rounding=nearest"), False, "3 and 2 bits, no data"),
    ("3 bits, gptq", BLOCKS.format(3, "rounding=gptq"), True, "3 and 2 bits, samples"),
    ("3 bits, palette", "palettize{bits=3}", True, "palettes, samples"),
    ("2 bits, nearest", BLOCKS.format(2, "rounding=nearest"), False, "3 and 2 bits, no data"),
    ("2 bits, gptq", BLOCKS.format(2, "rounding=gptq"), True, "3 and 2 bits, samples"),
    ("2 bits, palette", "palettize{bits=2}", True, "palettes, samples"),
    ("4.5 bits in the mean", "allocate-bits{average=4.5, rounding=gptq}", True, "allocated"),
    ("3 bits in the mean", "allocate-bits{average=3, rounding=gptq}", True, "allocated"),
]
# Between the name of a mode and the names of weights that stay.
KEEPING = ", keeping "
GROUPS = list(dict.fromkeys(group for *_, group in MODES))
COLOURS = ["#777777", "#3568a8", "#d2902f", "#2b9868", "#7757c6", "#c08fd6", "#d2602f", "#a02f3f", "#24899e"]


# A process counts as its own what its parent held when it began, so one that holds little stands between.
BETWEEN = """
import json, os, subprocess, sys, time
clock = time.perf_counter()
with subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([said, child.returncode, time.perf_counter() - clock, used.ru_maxrss * 1024]))
"""


def ran(command):
    """What a command said, its exit code, seconds and the most memory."""
    return json.loads(subprocess.run([sys.executable, "-c", BETWEEN, *command], check=True, capture_output=True, text=True).stdout)


def examine(asked, path, entry, known, keep):
    samples, labels = loaded(asked.folder, entry)
    exact, ms = scores(path, samples, len(labels))
    labels = labels[:len(exact)]
    right = lambda rows: float((rows.argmax(1) == labels).mean())
    known.update(name=entry["name"], n=len(labels), float={"accuracy": right(exact), "bytes": path.stat().st_size, "ms": ms})
    known.setdefault("modes", {})
    calib = asked.folder / "data" / entry["calib"]
    calib = calib if calib.is_dir() else calib.with_suffix(".npz")
    count = min(asked.samples, 100) if calib.is_dir() else asked.samples
    for mode, made, data, _ in MODES:
        if asked.modes and not any(word in mode for word in asked.modes):
            continue
        if asked.keep:
            mode += KEEPING + ", ".join(asked.keep)
            made = made.rstrip("}") + (", " if "{" in made else "{") + f"keep=[{', '.join(asked.keep)}]}}"
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch) / "out.onnx"
            command = [asked.binary, "opt", path, "-o", out, "-p", "simplify," + made, "--check", "structure", "-v", "--threads", asked.threads]
            if data:
                command += ["--calib", calib, "--samples", str(count), *preprocess(entry["preprocess"])]
            said, code, seconds, memory = ran(command)
            if code:
                known["modes"][mode] = {"reason": next((line.strip() for line in said.splitlines() if line.strip().startswith(("left alone", "error"))), "")}
            else:
                rows, ms = scores(out, samples, len(labels))
                off = ((rows - exact) ** 2).sum() / (exact**2).sum()
                known["modes"][mode] = {"accuracy": right(rows), "off": float(off), "bytes": out.stat().st_size, "ms": ms,
                                        "seconds": seconds, "peak": memory, "samples": count if data else 0}
            print(entry["name"], mode, known["modes"][mode], flush=True)
            keep()


def tables(results):
    text = []
    for one in results:
        whole = one["float"]
        text += [f"### {one['name']}", "", f"{one['n']} samples, float {100 * whole['accuracy']:.2f} % in {whole['bytes']:,} bytes.", "",
                 "| form | samples | accuracy | lost | bytes | of float | ms | made in | memory |", "|---|---|---|---|---|---|---|---|---|"]
        named = lambda known, mode: known == mode or known.startswith(mode + KEEPING)
        for mode, it in [(known, it) for mode, *_ in MODES for known, it in sorted(one["modes"].items()) if named(known, mode)]:
            if "reason" in it:
                text.append(f"| {mode} | | {it['reason']} | | | | | | |")
            else:
                lost = 100 * (whole["accuracy"] - it["accuracy"])
                text.append(f"| {mode} | {it['samples'] or ''} | {100 * it['accuracy']:.2f} % | {lost:+.2f} | {it['bytes']:,} | {100 * it['bytes'] / whole['bytes']:.1f} % "
                            f"| {it['ms']:.2f} | {it['seconds']:.1f} s | {format(it['peak'] / 1e6, ',.0f') + ' MB' if 'peak' in it else ''} |")
        text.append("")
    return "\n".join(text)


def plot(results):
    """Points: bytes as a share of the float model's, accuracy as points above or below it."""
    wide, high, left, top, right = 680, 380, 52, 16, 190
    across = lambda share: left + min(max(share, 0.0), 0.6) / 0.6 * (wide - left - right)
    down = lambda points: top + (1 - min(max(points, -10.0), 1.0)) * (high - top - 44) / 11
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="#fff"/>']
    for points in (-10, -8, -6, -4, -3, -2, -1, 0, 1):
        parts.append(f'<line x1="{left}" x2="{across(0.6):.0f}" y1="{down(points):.1f}" y2="{down(points):.1f}" stroke="{"#999" if points == 0 else "#ddd"}"/>'
                     f'<text x="{left - 6}" y="{down(points) + 4:.1f}" text-anchor="end">{points:+d}</text>')
    for share in (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        parts.append(f'<text x="{across(share):.1f}" y="{high - 24}" text-anchor="middle">{100 * share:.0f} %</text>')
    parts.append(f'<text x="{left}" y="{high - 7}">bytes, of the float model; points of accuracy above or below it (-10 and less at the bottom)</text>')
    for number, group in enumerate(GROUPS):
        colour = COLOURS[number]
        for one in results:
            whole = one["float"]
            for mode, *_, own in MODES:
                it = one["modes"].get(mode, {"reason": ""})
                if own == group and "reason" not in it:
                    x, y = across(it["bytes"] / whole["bytes"]), down(100 * (it["accuracy"] - whole["accuracy"]))
                    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}" fill-opacity="0.6"/>')
        y = top + 14 + 16 * number
        parts.append(f'<circle cx="{wide - right + 14}" cy="{y - 4}" r="3.5" fill="{colour}"/><text x="{wide - right + 24}" y="{y}">{group}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--modes", nargs="*", default=[])
    parser.add_argument("--keep", nargs="*", default=[])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    asked.binary = asked.binary.resolve(strict=True)
    results = json.loads(asked.json.read_text()) if asked.json and asked.json.exists() else []
    keep = lambda: asked.json and asked.json.write_text(json.dumps(results, indent=1))
    if not asked.write:
        with tempfile.TemporaryDirectory() as scratch:
            for name, path, entry in labelled(asked.folder, asked.only, pathlib.Path(scratch)):
                known = next((one for one in results if one.get("name") == name), None)
                if known is None:
                    known = {"name": name}
                    results.append(known)
                examine(asked, path, entry, known, keep)
    keep()
    if asked.write or not asked.json:
        before, _, rest = PAPER.read_text().partition(MARKS[0])
        PAPER.write_text(before + MARKS[0] + tables(results) + MARKS[1] + rest.partition(MARKS[1])[2])
        PLOT.write_text(plot(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
