#!/usr/bin/env python3
"""Measures a training step of resnet20_cifar10 beside PyTorch's: 32 samples, student and teacher of full size, Adam, two threads.

    distil_step.py BINARY FOLDER       needs torch; BINARY is what `cargo build --release` made, FOLDER that of prune_accuracy.py

Of `distil` it is the difference of a long training and a short one, by steps: asking the teacher and looking at the samples held out are in
it. Of PyTorch it is the median of many steps, of which each asks the teacher too. Both compare the answers alone.
"""

import argparse
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH, THREADS = 32, 2
PREPROCESS = "scale=1/255,mean=[0.485,0.456,0.406],std=[0.229,0.224,0.225]"
SAMPLES, HELD_OUT = 500, 128
SHORT, LONG = 1, 4  # Epochs.


class Block(nn.Module):
    def __init__(self, of, to):
        super().__init__()
        self.first, self.second = nn.Conv2d(of, to, 3, to // of, 1, bias=False), nn.Conv2d(to, to, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(to), nn.BatchNorm2d(to)])
        self.way = nn.Conv2d(of, to, 1, 2, bias=False) if of != to else nn.Identity()

    def forward(self, x):
        inner = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(inner + self.way(x))


def resnet20():
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    blocks = [Block(of, to) for of, to in zip(widths, widths[1:])]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).eval()


def of_torch():
    """Seconds of the clock and of the processor of one step."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    student, teacher = resnet20(), resnet20()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    clock, processor = [], []
    for _ in range(40):
        x = torch.randn(BATCH, 3, 32, 32)
        began, spent = time.monotonic(), time.process_time()
        with torch.no_grad():
            wanted = teacher(x)
        loss = F.mse_loss(student(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clock.append(time.monotonic() - began)
        processor.append(time.process_time() - spent)
    return statistics.median(clock[5:]), statistics.median(processor[5:])


def of_distil(binary, folder, epochs):
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = f"distil{{loss=mse, lr=0.1%, augment=[noise], epochs={epochs}, batch={BATCH}}}"
        command = [binary, "opt", folder / "labelled" / "resnet20_cifar10.onnx", "-o", pathlib.Path(scratch) / "out.onnx", "-p", pipeline,
                   "--calib", folder / "data" / "cifar10_train.npz", "--preprocess", PREPROCESS, "--check", "off",
                   "--threads", str(THREADS), "--allow-unchanged"]
        began, spent = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.monotonic() - began, after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("binary", type=pathlib.Path)
    arguments.add_argument("folder", type=pathlib.Path)
    given = arguments.parse_args()
    binary = given.binary.resolve()
    short, long = (of_distil(binary, given.folder, epochs) for epochs in (SHORT, LONG))
    steps = (LONG - SHORT) * ((SAMPLES - HELD_OUT) // BATCH)
    ours = [(after - before) / steps for before, after in zip(short, long)]
    theirs = of_torch()
    for what, (clock, processor) in {"distil": ours, f"PyTorch {torch.__version__}": theirs}.items():
        print(f"{what}: {1000 * clock:.0f} ms a step, {1000 * processor:.0f} ms of the processor")
    print(f"{ours[0] / theirs[0]:.2f} times the clock, {ours[1] / theirs[1]:.2f} times the processor")


if __name__ == "__main__":
    main()
