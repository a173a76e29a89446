#!/usr/bin/env python3
"""Records what PyTorch says of small models: the loss of a training step, and the gradient of each parameter.

    gradients_torch.py              writes fixtures/gradients/torch.json (needs torch; the numbers are the same on every run)

gradients.py reads the file and holds `differentiate` against it, without PyTorch. A case is the body of a graph in ONNX's text syntax, the
extents of its parameters, the request, and the same computation in PyTorch.
"""

import json
import pathlib

import numpy as np
import torch
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORD = ROOT / "fixtures" / "gradients" / "torch.json"
DIGITS = 8  # Of binary32 seven are good.


def attention(x, p):
    heads = lambda w: (x @ w).reshape(2, 5, 2, 3).transpose(1, 2)
    q, k, v = heads(p["q"]), heads(p["k"]), heads(p["v"])
    mixed = torch.softmax(q @ k.transpose(-1, -2) * 0.5, -1) @ v
    return mixed.transpose(1, 2).reshape(2, 5, 6) @ p["o"]


def lstm(x, p):
    """Both directions. Where PyTorch has the gates input, forget, cell and output, ONNX has input, output, forget and cell."""
    return recurrent(torch.nn.LSTM(4, 3, bidirectional=True), [0, 2, 3, 1], x, p)


def gru(x, p):
    """PyTorch multiplies by the reset gate behind the product; its gates are reset and update, ONNX's the other way round."""
    return recurrent(torch.nn.GRU(4, 3), [1, 0, 2], x, p)


def recurrent(layer, order, x, p):
    """What a layer gives at each step, `[t, n, d·h]`, with the parameters of an ONNX node."""
    turned = lambda rows: torch.cat([rows.chunk(len(order))[gate] for gate in order])
    weights = {}
    for number, end in enumerate(["", "_reverse"][: p["w"].shape[0]]):
        of_input, of_state = p["b"][number].chunk(2)
        weights |= {f"weight_ih_l0{end}": turned(p["w"][number]), f"weight_hh_l0{end}": turned(p["r"][number]),
                    f"bias_ih_l0{end}": turned(of_input), f"bias_hh_l0{end}": turned(of_state)}
    return torch.func.functional_call(layer, weights, (x,))[0]


# Name, text of the graph, extents of the input, extents of the parameters, loss, PyTorch.
CASES = [
    ("convolution with groups, strides, dilations and pads",
     "y = Conv<group = 2, strides = [2, 1], dilations = [1, 2], pads = [1, 2, 0, 1]>(x, w, b)",
     [2, 4, 7, 8], {"w": [6, 2, 3, 2], "b": [6]}, "mse",
     lambda x, p: F.conv2d(F.pad(x, (2, 1, 1, 0)), p["w"], p["b"], stride=(2, 1), dilation=(1, 2), groups=2)),
    ("depthwise and pointwise convolution",
     "h = Conv<group = 3, pads = [1, 1, 1, 1]>(x, d)  r = HardSwish(h)  y = Conv(r, w, b)",
     [2, 3, 5, 6], {"d": [3, 1, 3, 3], "w": [4, 3, 1, 1], "b": [4]}, "mse",
     lambda x, p: F.conv2d(F.hardswish(F.conv2d(x, p["d"], padding=1, groups=3)), p["w"], p["b"])),
    ("transposed convolution",
     "y = ConvTranspose<strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1], group = 2>(x, w, b)",
     [2, 4, 3, 4], {"w": [4, 2, 3, 3], "b": [4]}, "mse",
     lambda x, p: F.conv_transpose2d(x, p["w"], p["b"], stride=2, padding=1, output_padding=1, groups=2)),
    ("a perceptron, distilled",
     "h = Gemm<transB = 1>(x, a, b)  r = Relu(h)  y = MatMul(r, c)",
     [6, 5], {"a": [8, 5], "b": [8], "c": [8, 4]}, "kl",
     lambda x, p: torch.relu(F.linear(x, p["a"], p["b"])) @ p["c"]),
    ("a perceptron with a softmax, of labels",
     "h = MatMul(x, a)  r = Gelu(h)  s = MatMul(r, c)  t = Add(s, d)  y = Softmax(t)",
     [6, 5], {"a": [5, 8], "c": [8, 4], "d": [4]}, "cross-entropy",
     lambda x, p: F.gelu(x @ p["a"]) @ p["c"] + p["d"]),
    ("batch normalization and pooling",
     "h = Conv(x, w)  n = BatchNormalization(h, s, b, m, v)  r = LeakyRelu<alpha = 0.1>(n)"
     "  p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r)  y = AveragePool<kernel_shape = [2, 2], pads = [1, 1, 0, 0]>(p)",
     [2, 2, 8, 8], {"w": [3, 2, 3, 3], "s": [3], "b": [3], "m": [3], "v": [3]}, "mse",
     lambda x, p: pooled(F.max_pool2d(F.leaky_relu(F.batch_norm(
         F.conv2d(x, p["w"]), p["m"].detach(), p["v"].detach(), p["s"], p["b"]), 0.1), 2))),
    ("layer normalization",
     "n = LayerNormalization(x, s, b)  y = MatMul(n, w)",
     [2, 4, 6], {"s": [6], "b": [6], "w": [6, 3]}, "mse",
     lambda x, p: F.layer_norm(x, (6,), p["s"], p["b"]) @ p["w"]),
    ("instance and group normalization",
     "h = Conv(x, w)  n = InstanceNormalization(h, s, b)  y = GroupNormalization<num_groups = 2>(n, t, c)",
     [2, 2, 4, 4], {"w": [4, 2, 1, 1], "s": [4], "b": [4], "t": [4], "c": [4]}, "mse",
     lambda x, p: F.group_norm(F.instance_norm(F.conv2d(x, p["w"]), weight=p["s"], bias=p["b"]), 2, p["t"], p["c"])),
    ("attention",
     "a = MatMul(x, q)  b = MatMul(x, k)  c = MatMul(x, v)"
     "  ar = Reshape(a, cut)  br = Reshape(b, cut)  cr = Reshape(c, cut)"
     "  at = Transpose<perm = [0, 2, 1, 3]>(ar)  bt = Transpose<perm = [0, 2, 3, 1]>(br)  ct = Transpose<perm = [0, 2, 1, 3]>(cr)"
     "  s = MatMul(at, bt)  scaled = Mul(s, half)  p = Softmax(scaled)  m = MatMul(p, ct)"
     "  mt = Transpose<perm = [0, 2, 1, 3]>(m)  mr = Reshape(mt, join)  y = MatMul(mr, o)",
     [2, 5, 4], {"q": [4, 6], "k": [4, 6], "v": [4, 6], "o": [6, 4]}, "mse", attention),
    ("a table that is looked up",
     "e = Gather(t, i)  h = Mul(e, x)  y = ReduceMean<keepdims = 0>(h, one)",
     [2, 3, 4], {"t": [5, 4]}, "mse",
     lambda x, p: (p["t"][torch.tensor([[1, 1, 0], [4, 0, 1]])] * x).mean(1)),
    ("resampling, nearest and linear",
     "h = Conv(x, w)  n = Resize<mode = \"nearest\", coordinate_transformation_mode = \"asymmetric\", nearest_mode = \"floor\">(h, , up)"
     "  y = Resize<mode = \"linear\">(n, , , size)",
     [1, 2, 3, 4], {"w": [2, 2, 2, 2]}, "mse",
     lambda x, p: F.interpolate(F.interpolate(F.conv2d(x, p["w"]), scale_factor=2), size=(5, 7), mode="bilinear")),
    ("sums by equation, and their logarithm",
     "e = Einsum<equation = \"bij,jk->bik\">(x, w)  l = ReduceLogSumExp<keepdims = 0>(e, one)  t = Tanh(l)  y = Div(t, d)",
     [2, 3, 4], {"w": [4, 5], "d": [5]}, "mse",
     lambda x, p: torch.tanh(torch.logsumexp(torch.einsum("bij,jk->bik", x, p["w"]), 1)) / p["d"]),
    ("a recurrent layer of both directions, with cells",
     "h = LSTM<hidden_size = 3, direction = \"bidirectional\">(x, w, r, b)  t = Transpose<perm = [0, 2, 1, 3]>(h)  y = Reshape(t, steps)",
     [5, 2, 4], {"w": [2, 12, 4], "r": [2, 12, 3], "b": [2, 24]}, "mse", lstm),
    ("a recurrent layer with gates before and behind",
     "h = GRU<hidden_size = 3, linear_before_reset = 1>(x, w, r, b)  y = Squeeze(h, one)",
     [5, 2, 4], {"w": [1, 9, 4], "r": [1, 9, 3], "b": [1, 18]}, "mse", gru),
]
CONSTANTS = ("int64[4] cut = {0, 0, 2, 3}, int64[3] join = {0, 0, 6}, float half = {0.5}, int64[2,3] i = {1, 1, 0, 4, 0, 1},"
             " int64[1] one = {1}, int64[3] steps = {5, 2, 6}, float[4] up = {1, 1, 2, 2}, int64[4] size = {1, 2, 5, 7}")
TEMPERATURE = 3.0


def pooled(x):
    """Averages of what lies inside: ONNX does not count padding."""
    ones = F.avg_pool2d(F.pad(torch.ones_like(x), (1, 0, 1, 0)), 2, stride=1)
    return F.avg_pool2d(F.pad(x, (1, 0, 1, 0)), 2, stride=1) / ones


def loss_of(kind, y, wanted):
    if kind == "mse":
        return F.mse_loss(y, wanted)
    if kind == "cross-entropy":
        return F.cross_entropy(y, wanted)
    cooled = lambda scores: torch.log_softmax(scores / TEMPERATURE, -1)
    return TEMPERATURE**2 * F.kl_div(cooled(y), cooled(wanted), reduction="batchmean", log_target=True)


def listed(tensor):
    return [float(f"{number:.{DIGITS}g}") for number in tensor.detach().double().flatten().tolist()]


def main():
    torch.manual_seed(0)
    record = []
    for name, body, extents, shapes, kind, model in CASES:
        x = torch.randn(extents)
        # Positive, so that variances and divisors are.
        parameters = {key: (torch.rand(shape) + 0.5 if key in "vd" and len(shape) == 1 else torch.randn(shape)).requires_grad_()
                      for key, shape in shapes.items()}
        y = model(x, parameters)
        wanted = torch.randint(0, y.shape[-1], y.shape[:-1]) if kind == "cross-entropy" else torch.randn(y.shape)
        loss = loss_of(kind, y, wanted)
        loss.backward()
        record.append({
            "name": name, "body": body, "loss": kind, "temperature": TEMPERATURE, "constants": CONSTANTS,
            "input": {"extents": extents, "values": listed(x)},
            "parameters": {key: {"extents": shapes[key], "values": listed(value)} for key, value in parameters.items()},
            "wanted": {"extents": list(wanted.shape), "values": listed(wanted)},
            "result": {"loss": listed(loss)[0],
                       "gradients": {key: listed(value.grad) for key, value in parameters.items() if value.grad is not None}},
        })
    RECORD.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in record)
    RECORD.write_text(f"[\n{lines}\n]\n")
    print(f"{len(record)} cases, {RECORD.stat().st_size} bytes, by PyTorch {torch.__version__}, numpy {np.__version__}")


if __name__ == "__main__":
    main()
