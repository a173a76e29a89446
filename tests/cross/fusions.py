#!/usr/bin/env python3
"""Which operators between DequantizeLinear and QuantizeLinear onnxruntime computes on codes: what the table of `quantize` rests on.

    fusions.py

Each operator is put between conversions, optimized by onnxruntime, and what is left of it is printed. Exit code 1 where an operator
that the table has is not fused.
"""

import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SHAPE = [1, 4, 8, 8]
ints = lambda *numbers: np.array(numbers, np.int64)
# Operator: attributes, further operands.
UNARY = {
    "AveragePool": ({"kernel_shape": [2, 2]}, {}),
    "DepthToSpace": ({"blocksize": 2}, {}),
    "Expand": ({}, {"to": ints(2, 4, 8, 8)}),
    "Flatten": ({}, {}),
    "Gather": ({"axis": 1}, {"at": ints(0, 1)}),
    "GlobalAveragePool": ({}, {}),
    "LeakyRelu": ({}, {}),
    "MaxPool": ({"kernel_shape": [2, 2]}, {}),
    "ReduceMax": ({"axes": [2, 3]}, {}),
    "Reshape": ({}, {"to": ints(1, -1)}),
    "Resize": ({"mode": "nearest"}, {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 2], np.float32)}),
    "Sigmoid": ({}, {}),
    "Slice": ({}, {"from": ints(0), "to": ints(2), "axes": ints(1)}),
    "Squeeze": ({}, {"axes": ints(0)}),
    "Tile": ({}, {"times": ints(1, 1, 2, 2)}),
    "Transpose": ({"perm": [0, 2, 3, 1]}, {}),
    "Unsqueeze": ({}, {"axes": ints(0)}),
}
BINARY = {"Add": {}, "Mul": {}, "Concat": {"axis": 1}}


def optimized(nodes, inputs, constants):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "o.onnx"
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(file)
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return [node.op_type for node in onnx.load(file).graph.node]


def between(operator, attributes, operands, extra):
    constants = {"scale": np.float32(0.05), "zero": np.uint8(128), **extra}
    nodes, read = [], []
    for name in operands:
        nodes.append(helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [f"{name}_d"]))
        read.append(f"{name}_d")
    nodes.append(helper.make_node(operator, [*read, *extra], ["r"], **attributes))
    nodes.append(helper.make_node("QuantizeLinear", ["r", "scale", "zero"], ["r_q"]))
    nodes.append(helper.make_node("DequantizeLinear", ["r_q", "scale", "zero"], ["y"]))
    return optimized(nodes, operands, constants)


def main():
    short = 0
    cases = [(name, *how, ["x"]) for name, how in UNARY.items()] + [(name, how, {}, ["x", "z"]) for name, how in BINARY.items()]
    for operator, attributes, extra, operands in cases:
        left = between(operator, attributes, operands, extra)
        # Fused, one conversion is left for each operand and one for the result.
        fused = left.count("QuantizeLinear") == len(operands) and left.count("DequantizeLinear") == 1
        short += not fused
        print(f"{operator:20} {'' if fused else 'NOT FUSED '}{' '.join(left)}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
