#!/usr/bin/env python3
"""Writes the tables and the plot of docs/pruning.md: what pruning without training costs in accuracy.

    prune_accuracy.py BINARY FOLDER [--only WORD ...] [--skip WORD ...] [--limit N] [--ways WORD ...] [--by KIND] [--shares SHARE ...]
                      [--json FILE] [--from FILE]

BINARY is what `cargo build --release` made. FOLDER holds `labelled/` (`.onnx`, `.onnx.xz`, `LABELLED.json`) and `data/`: LABELLED.json has
for each model `name`, `file`, `data`, `preprocess` (scale, mean, std, layout), `n`, as the judging tools have it. --json keeps what
was measured, --from takes it from there and only writes; with --ways, the rows whose names have a word are measured and added to it.
--by says what the shares are of: channels of each group (`ways`), or multiply-accumulates of the model (`macs`: the rows of BY_MACS); the two have tables of their own.

A way is a row of the tables: a line of WAYS, whose options are added to the ratio. One that needs samples is given those of the entry's
`calib`, which have no labels.
"""

import argparse
import concurrent.futures
import csv
import json
import lzma
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from run import PATIENCE, ROOT, session

PAPER = ROOT / "docs" / "pruning.md"
PLOT = ROOT / "docs" / "pruning.svg"
MARKS = ("<!-- accuracy -->\n", "<!-- end of accuracy -->\n")
MARKS_BY_MACS = ("<!-- accuracy by work -->\n", "<!-- end of accuracy by work -->\n")
RATIOS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
# Name of the row, options, whether they need samples.
WAYS = [(f"{criterion}{', mean' if compensate == 'mean' else ''}", f"criterion={criterion}, compensate={compensate}", False)
        for criterion in ("l1", "l2", "random", "bn-scale", "fpgm") for compensate in ("false", "mean")]
WAYS += [(f"{criterion}{', fitted' if fits else ''}", f"criterion={criterion}, compensate={'least-squares' if fits else 'false'}", True)
         for criterion in ("activation", "hessian") for fits in (False, True)]
WAYS += [("l2, fitted", "criterion=l2, compensate=least-squares", True)]
BY_MACS = [("hessian, fitted", "criterion=hessian", True), ("activation, fitted", "criterion=activation", True),
           ("l2, fitted", "criterion=l2", True), ("l2", "criterion=l2, compensate=false", False)]
SAMPLED_RATIOS = [0.1, 0.3, 0.5, 0.7]  # Where ways with data are measured: they take their time.
CALIBRATED = 256  # Samples that ways with data are given.
BATCH = 100
COLOURS = ["#3568a8", "#d2602f", "#2b9868", "#a9850a", "#7757c6", "#c23f7b", "#24899e"]


def labelled(folder, only, scratch):
    """Name, file, entry of LABELLED.json."""
    for entry in json.loads((folder / "labelled" / "LABELLED.json").read_text()):
        if only and not any(word in entry["name"] for word in only):
            continue
        path = folder / "labelled" / entry["file"]
        if not path.exists():
            path = path.with_name(f"{path.name}.xz")
        if path.suffix == ".xz":
            plain = scratch / path.stem
            plain.write_bytes(lzma.decompress(path.read_bytes()))
            path = plain
        yield entry["name"], path, entry


def loaded(folder, entry):
    """The samples as the model takes them, by input, and the labels."""
    packed = folder / "data" / f"{entry['data']}.npz"
    how = entry["preprocess"]
    if packed.exists():
        arrays = dict(np.load(packed))
    else:
        from PIL import Image

        place = folder / "data" / entry["data"]
        if (place / "labels.csv").exists():
            with open(place / "labels.csv", newline="") as rows:
                rows = list(csv.DictReader(rows))
            files, labels = [place / row["file"] for row in rows], [int(row["label"]) for row in rows]
        else:
            files, labels = sorted(place.glob("*.[jp][pn]*g")), []
        arrays = {"images": [np.asarray(Image.open(file).convert("RGB")) for file in files], "labels": labels}
    labels = np.asarray(arrays.pop("labels", []))
    if how["kind"] != "image":
        return {name: arrays[name] for name in how.get("inputs", [key for key in arrays if key != "labels"])}, labels
    images = np.asarray(arrays["images"], "float32") * np.float32(how["scale"])
    images = images if images.shape[1] in (1, 3) else np.moveaxis(images, -1, 1)
    shaped = lambda numbers: np.asarray(numbers, "float32").reshape(1, -1, 1, 1)
    images = (images - shaped(how["mean"])) / shaped(how["std"])
    return {None: images if how["layout"] == "NCHW" else np.moveaxis(images, 1, -1)}, labels


def accuracy(path, samples, labels):
    runner = session(path)
    named = {value.name for value in runner.get_inputs()}
    inputs = {value.name: samples.get(value.name, samples.get(None)) for value in runner.get_inputs()}
    fixed = runner.get_inputs()[0].shape[0]
    step = fixed if isinstance(fixed, int) and fixed > 0 else BATCH
    right = 0
    for start in range(0, len(labels), step):
        # A batch of a fixed size is filled up by repeating samples.
        taken = np.arange(start, start + step) % len(labels)
        feed = {name: np.ascontiguousarray(np.asarray(inputs[name])[taken]) for name in named}
        scores = np.asarray(runner.run(None, feed)[0]).reshape(step, -1)
        wanted = labels[start:start + step]
        right += int((scores.argmax(1)[:len(wanted)] == wanted).sum())
    return right / len(labels)


def examine(job):
    binary, folder, limit, words, by, shares, name, path, entry = job
    samples, labels = loaded(folder, entry)
    samples, labels = {key: array[:limit] for key, array in samples.items()}, labels[:limit]
    found, seen = {"name": name, "whole": accuracy(path, samples, labels), by: {}}, {}
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "pruned.onnx"
        samples_file = pathlib.Path(scratch) / "calib.npz"
        given, _ = loaded(folder, {**entry, "data": entry["calib"]})
        first = session(path).get_inputs()[0].name
        np.savez(samples_file, **{key or first: array[:CALIBRATED] for key, array in given.items()})
        for way, options, needs_samples in WAYS if by == "ways" else BY_MACS:
            if words and not any(word in way for word in words):
                continue
            row = []
            for ratio in RATIOS:
                if ratio not in shares or by == "ways" and needs_samples and ratio not in SAMPLED_RATIOS:
                    row.append(None)
                    continue
                asked = f"ratio={ratio}" if by == "ways" else f"target=macs, remove={ratio}"
                pipeline = f"prune-channels{{{asked}, {options}}}"
                command = [binary, "opt", path, "-o", out, "-p", pipeline, "--check", "structure", "--json"]
                command += ["--calib", samples_file] if needs_samples else []
                done = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE)
                if done.returncode:
                    row.append(None)
                    continue
                report = json.loads(done.stdout)
                left = report["output"]["macs"] / max(1, report["input"]["macs"])
                # Where nothing is known that could be made up for, the file is the one without.
                same = hash(out.read_bytes())
                if same not in seen:
                    seen[same] = accuracy(out, samples, labels)
                row.append({"accuracy": seen[same], "macs": left})
            found[by][way] = row
    return found


def percent(value):
    return "–" if value is None else f"{100 * value:.1f}"


def whole(results):
    """The models for which all ways were measured."""
    most = max(len(one.get("ways", {})) for one in results)
    return [one for one in results if len(one.get("ways", {})) == most]


def mean(rows):
    """Mean accuracy in one place of a way's rows, those of the whole models being 1."""
    shares = [cell["accuracy"] / right for right, cell in rows if cell]
    return sum(shares) / len(shares) if shares else None


def mean_by_ratio(results, way, place):
    return mean([(one["whole"], one["ways"].get(way, [None] * len(RATIOS))[place]) for one in whole(results)])


def named(models):
    return ", ".join(f"`{one['name']}`" for one in models)


def lines(first, places, rows):
    """A table with a column for each of some shares."""
    head = [f"| {first} | " + " | ".join(f"{100 * RATIOS[at]:.0f} %" for at in places) + " |", "|---|" + "---|" * len(places)]
    return head + [f"| {name} | " + " | ".join(percent(cells[at]) for at in places) + " |" for name, cells in rows]


def right(row):
    return [cell and cell["accuracy"] for cell in row]


def tables_by_macs(results):
    """The mean of the models that were measured at the most shares, then each model; empty where none was."""
    models = [one for one in results if one.get("macs")]
    ways = [way for way, _, _ in BY_MACS]
    places = lambda one: [at for at in range(len(RATIOS)) if all(row[at] for row in one["macs"].values())]
    complete = [one for one in models if len(one["macs"]) == len(ways)]
    most = max((len(places(one)) for one in complete), default=0)
    every = [one for one in complete if len(places(one)) == most]
    if not every:
        return ""
    means = [(way, [mean([(one["whole"], one["macs"][way][at]) for one in every]) for at in range(len(RATIOS))]) for way in ways]
    text = [f"Accuracy that is left, the whole model's being 100, mean over {named(every)}:", "", *lines("way", places(every[0]), means)]
    for one in models:
        rows = [(way, right(row)) for way, row in one["macs"].items()]
        text += ["", f"`{one['name']}`, {percent(one['whole'])} % right when whole:", "", *lines("way", places(one), rows)]
    return "\n".join(text) + "\n"


def tables(results):
    ways = list(dict.fromkeys(way for one in results for way in one.get("ways", {})))
    everywhere = range(len(RATIOS))
    means = [(way, [mean_by_ratio(results, way, at) for at in everywhere]) for way in ways]
    text = [f"Accuracy that is left, the whole model's being 100, mean over {named(whole(results))}:", "", *lines("way", everywhere, means)]
    for one in results:
        if not one.get("ways"):
            continue
        some = next((row for row in one["ways"].values() if any(row)), [None] * len(RATIOS))
        rows = [("MACs left", [cell and cell["macs"] for cell in some])] + [(way, right(row)) for way, row in one["ways"].items()]
        text += ["", f"`{one['name']}`, {percent(one['whole'])} % right when whole:", "", *lines("way", everywhere, rows)]
    return "\n".join(text) + "\n"


def plot(results):
    """Lines over the ratio: mean accuracy of each criterion, dashed without compensation."""
    wide, high, left, top = 560, 300, 46, 16
    across = lambda at: left + at * (wide - left - 130) / (len(RATIOS) - 1)
    down = lambda share: top + (1 - share) * (high - top - 40)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="#fff"/>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<line x1="{left}" x2="{across(len(RATIOS) - 1):.0f}" y1="{down(share):.1f}" y2="{down(share):.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{down(share) + 4:.1f}" text-anchor="end">{100 * share:.0f}</text>')
    for at, ratio in enumerate(RATIOS):
        parts.append(f'<text x="{across(at):.1f}" y="{high - 22}" text-anchor="middle">{100 * ratio:.0f} %</text>')
    parts.append(f'<text x="{left}" y="{high - 6}">share of channels removed; accuracy left, the whole model being 100</text>')
    criteria = list(dict.fromkeys(way.split(",")[0] for way, _, _ in WAYS))
    for number, criterion in enumerate(criteria):
        colour = COLOURS[number % len(COLOURS)]
        for way in [way for way, _, _ in WAYS if way.split(",")[0] == criterion]:
            means = [mean_by_ratio(results, way, at) for at in range(len(RATIOS))]
            points = [(across(at), down(share)) for at, share in enumerate(means) if share is not None]
            dash = ' stroke-dasharray="4 3"' if way == criterion else ""
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')
        y = top + 14 + 16 * number
        parts.append(f'<line x1="{wide - 118}" x2="{wide - 96}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"/>'
                     f'<text x="{wide - 90}" y="{y}">{criterion}</text>')
    parts.append(f'<text x="{wide - 118}" y="{top + 20 + 16 * len(criteria)}">dashed: not</text>'
                 f'<text x="{wide - 118}" y="{top + 34 + 16 * len(criteria)}">compensated</text></svg>')
    return "\n".join(parts) + "\n"


def put(text, marks, tables):
    before, _, rest = text.partition(marks[0])
    return before + marks[0] + tables + marks[1] + rest.partition(marks[1])[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--limit", type=int, help="take so many samples of each model, not all")
    parser.add_argument("--ways", nargs="*", default=[])
    parser.add_argument("--by", choices=["ways", "macs"], default="ways")
    parser.add_argument("--shares", nargs="*", type=float, default=RATIOS)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--from", dest="kept", type=pathlib.Path)
    asked = parser.parse_args()
    results = json.loads(asked.kept.read_text()) if asked.kept else []
    if asked.ways or asked.by == "macs" or not asked.kept:
        binary = asked.binary.resolve(strict=True)
        with tempfile.TemporaryDirectory() as scratch:
            found = labelled(asked.folder, asked.only, pathlib.Path(scratch))
            jobs = [(binary, asked.folder, asked.limit, asked.ways, asked.by, asked.shares, *one) for one in found if not any(word in one[0] for word in asked.skip)]
            with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
                for one in pool.map(examine, jobs):
                    known = next((other for other in results if other["name"] == one["name"]), None)
                    if known:
                        known.setdefault(asked.by, {}).update(one[asked.by])
                    else:
                        results.append(one)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))
    PAPER.write_text(put(put(PAPER.read_text(), MARKS_BY_MACS, tables_by_macs(results)), MARKS, tables(results)))
    PLOT.write_text(plot(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
