"""Small models of layers in every version of the standard that files come in, and in every way that a file can hold a graph."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tensor(rng, name, *dims):
    return numpy_helper.from_array((rng.standard_normal(dims) / np.sqrt(dims[-1])).astype("float32"), name)


def model(graph, opset, functions=()):
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid("own", 1)] * bool(functions)
    made = helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=max(8 if functions else 4, helper.find_min_ir_version_for(imports[:1])))
    onnx.checker.check_model(made, full_check=True)
    return made


def layers(opset):
    """Convolutions, one of them grouped, and products of matrices, in a version of the standard."""
    rng = np.random.default_rng(opset)
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1], group=16),
        node("Add", ["c2", "r1"], ["a"]),
        node("GlobalAveragePool", ["a"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "w3", "b3"], ["g"], transB=1),
        node("Gather", ["table", "at"], ["e"]),
        node("Add", ["g", "e"], ["h"]),
        node("MatMul", ["h", "w4"], ["y"]),
    ]
    weights = [tensor(rng, "w1", 16, 8, 3, 3), tensor(rng, "b1", 16), tensor(rng, "w2", 16, 1, 3, 3), tensor(rng, "w3", 32, 16),
               tensor(rng, "b3", 32), tensor(rng, "table", 200, 32), tensor(rng, "w4", 32, 40)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 8, 8, 8]), helper.make_tensor_value_info("at", TensorProto.INT64, [2])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 40])]
    return model(helper.make_graph(nodes, "layers", inputs, outputs, weights), opset)


def recurrent(kind, opset):
    rng = np.random.default_rng(opset)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    nodes = [helper.make_node(kind, ["x", "w", "r", "b"], ["s", "h"], hidden_size=32, direction="bidirectional"),
             helper.make_node("Transpose", ["h"], ["t"], perm=[1, 0, 2]), helper.make_node("Flatten", ["t"], ["f"]),
             helper.make_node("MatMul", ["f", "v"], ["y"])]
    weights = [tensor(rng, "w", 2, gates * 32, 24), tensor(rng, "r", 2, gates * 32, 32), tensor(rng, "b", 2, 2 * gates * 32), tensor(rng, "v", 64, 40)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 2, 24])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 40])]
    return model(helper.make_graph(nodes, kind.lower(), inputs, outputs, weights), opset)


def attention(opset):
    """Products of two computed values around a softmax."""
    rng = np.random.default_rng(opset)
    node = helper.make_node
    nodes = [node("MatMul", ["x", f"w{name}"], [name]) for name in "qkv"]
    nodes += [node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]), node("MatMul", ["q", "kt"], ["s"]), node("Softmax", ["s"], ["p"], axis=2),
              node("MatMul", ["p", "v"], ["o"]), node("MatMul", ["o", "wo"], ["y"])]
    weights = [tensor(rng, f"w{name}", 48, 48) for name in "qkvo"]
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 9, 48])
    return model(helper.make_graph(nodes, "attention", [value("x")], [value("y")], weights), opset)


def bodies(kind, opset):
    """A product by a weight of its own and by one of the graph around it, in the body of a node."""
    rng = np.random.default_rng(opset)
    value = lambda name, dims, dtype=TensorProto.FLOAT: helper.make_tensor_value_info(name, dtype, dims)
    weights = [tensor(rng, "outer", 48, 48), numpy_helper.from_array(np.array(3, "int64"), "trip"), numpy_helper.from_array(np.array(True), "go")]
    inner = tensor(rng, "inner", 48, 48)
    product = lambda given: [helper.make_node("MatMul", [given, "inner"], ["u"]), helper.make_node("MatMul", ["u", "outer"], ["v"]), helper.make_node("Tanh", ["v"], ["t"])]
    if kind == "If":
        then = helper.make_graph(product("x"), "then", [], [value("t", [2, 48])], [inner])
        other = helper.make_graph([helper.make_node("Neg", ["x"], ["n"])], "else", [], [value("n", [2, 48])])
        nodes = [helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
        inputs = [value("x", [2, 48]), value("c", [], TensorProto.BOOL)]
        weights = weights[:1]
    elif kind == "Loop":
        body = helper.make_graph([helper.make_node("Identity", ["on"], ["still"]), *product("s")], "body",
                                 [value("i", [], TensorProto.INT64), value("on", [], TensorProto.BOOL), value("s", [2, 48])],
                                 [value("still", [], TensorProto.BOOL), value("t", [2, 48])], [inner])
        nodes = [helper.make_node("Loop", ["trip", "go", "x"], ["y"], body=body)]
        inputs = [value("x", [2, 48])]
    else:
        # The first version of Scan has batches.
        body = helper.make_graph([helper.make_node("Add", ["s", "e"], ["a"]), *product("a"), helper.make_node("Identity", ["t"], ["o"])], "body",
                                 [value("s", [2, 48]), value("e", [2, 48])], [value("t", [2, 48]), value("o", [2, 48])], [inner])
        nodes = [helper.make_node("Scan", ["x", "many"], ["y", "all"], body=body, num_scan_inputs=1)]
        inputs = [value("x", [2, 48]), value("many", [3, 2, 48])]
        weights = weights[:1]
    return model(helper.make_graph(nodes, kind.lower(), inputs, [value("y", [2, 48])], weights), opset)


def function(opset):
    rng = np.random.default_rng(opset)
    own = helper.make_function("own", "layer", ["a", "w"], ["b"], [helper.make_node("MatMul", ["a", "w"], ["m"]), helper.make_node("Relu", ["m"], ["b"])],
                               [helper.make_opsetid("", opset)])
    nodes = [helper.make_node("layer", ["x", "w1"], ["h"], domain="own"), helper.make_node("layer", ["h", "w2"], ["y"], domain="own")]
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 48])
    return model(helper.make_graph(nodes, "calls", [value("x")], [value("y")], [tensor(rng, "w1", 48, 48), tensor(rng, "w2", 48, 48)]), opset, [own])


def made(folder):
    """Writes them into a folder; answers the files."""
    found = {f"layers_{opset}": layers(opset) for opset in range(7, 24)}
    found |= {f"{kind.lower()}_{opset}": recurrent(kind, opset) for kind in ("LSTM", "GRU", "RNN") for opset in (7, 11, 14, 17)}
    found |= {f"{kind.lower()}_{opset}": bodies(kind, opset) for kind in ("If", "Loop") for opset in (7, 11, 13, 17)}
    found |= {f"attention_{opset}": attention(opset) for opset in (7, 12, 17)}
    found |= {f"scan_{opset}": bodies("Scan", opset) for opset in (9, 11, 17)}
    found |= {f"calls_{opset}": function(opset) for opset in (8, 13, 18)}
    for name, it in found.items():
        onnx.save(it, folder / f"{name}.onnx")
    return [folder / f"{name}.onnx" for name in found]
