#!/usr/bin/env python3
"""Writes the operator schema tables of this folder, one line per version of an operator.

    generate.py                     the standard's operators          (needs onnx)
    generate.py --onnxruntime       onnxruntime's own operators too   (needs onnxruntime as well)
    generate.py --check [...]       writes nothing; exits 1 when a committed file differs, 2 on any failure

Both packages must have the versions pinned below, so that the same files come out everywhere.
What a file is made from stands in its first line. `com.microsoft.training.txt` is kept by hand:
onnxruntime's released packages no longer contain the operators that its training builds had.

The form of a line, with every part that may be absent in brackets:

    NAME VERSION [deprecated] [function] (OPERANDS) -> (RESULTS) {ATTRIBUTES} [where PARAMETER: TYPES; ...]

    function    the standard defines the operator by a function body
    operand     name: TYPE      one value; TYPE is a parameter or, with parentheses, a type
                name: TYPE?     one value that may be left out
                name: TYPE*     any number of values; `+` at least one, `+3` at least three
                ... mixed       the values of the list may differ in type
    attribute   name: KIND      may be left out
                name: KIND!     must be given
                name: KIND = V  stands for V when left out; strings are quoted, lists are in brackets
    types       words for tensors of that element type, the group words of GROUPS below, and
                `seq(TYPES)`, `optional(TYPES)`, `sparse_tensor(TYPES)`, `map(KEY, TYPES)`

Lines are in order of name (by bytes), then of version; attributes in order of name.
"""

import argparse
import difflib
import pathlib
import re
import sys

ONNX = "1.23.2"
ONNXRUNTIME = "1.32.0"
FOLDER = pathlib.Path(__file__).resolve().parent

# Sets of element types that occur together, by one word. `ops/src/schema/types.rs` has the same table.
GROUPS = {
    "floats": ("float16", "float", "double"),
    "ints": ("int8", "int16", "int32", "int64"),
    "uints": ("uint8", "uint16", "uint32", "uint64"),
    "complexes": ("complex64", "complex128"),
    "float8s": ("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"),
}
# The order in which a set of element types is written.
ELEMENTS = (
    "bool", "string", *GROUPS["floats"], "bfloat16", *GROUPS["ints"], *GROUPS["uints"], *GROUPS["complexes"],
    *GROUPS["float8s"], "float8e8m0", "float6e2m3", "float6e3m2", "float4e2m1", "int4", "uint4", "int2", "uint2",
)  # fmt: skip
CONSTRUCTORS = ("tensor", "sparse_tensor", "seq", "optional", "map")
KINDS = {
    "FLOAT": "float", "INT": "int", "STRING": "string", "TENSOR": "tensor", "GRAPH": "graph",
    "FLOATS": "floats", "INTS": "ints", "STRINGS": "strings", "TENSORS": "tensors", "GRAPHS": "graphs",
    "SPARSE_TENSOR": "sparse_tensor", "SPARSE_TENSORS": "sparse_tensors",
    "TYPE_PROTO": "type_proto", "TYPE_PROTOS": "type_protos",
}  # fmt: skip

# Operators in the standard's domain that onnxruntime knows beside the standard. Left out: those that it
# makes for itself between devices, and those that stand for TensorRT plugins.
NOT_FOR_FILES = re.compile(r"Memcpy(From|To)Host|.*_TRT")


def fail(reason):
    """Ends the program with the code that says nothing about the committed files."""
    print(f"generate.py: {reason}", file=sys.stderr)
    sys.exit(2)


def word(name):
    """A name that the form of a line can hold."""
    if not re.fullmatch(r"\w+", name):
        fail(f"name `{name}` needs a form of its own")
    return name


def types(strings):
    """A set of ONNX type strings in the table's words."""
    inner = {}
    for string in strings:
        head, _, rest = string.partition("(")
        if head == "map":  # `map(int64, float)`: the value is a tensor, though the string does not say so.
            key, _, rest = rest.partition(", ")
            head = f"map {key}"
        inner.setdefault(head, set()).add(rest.removesuffix(")"))
    words = []
    for head in sorted(inner, key=lambda head: (CONSTRUCTORS.index(head.split()[0]), head)):
        if head == "tensor":
            words.append(elements(inner[head]))
        elif head == "sparse_tensor":
            words.append(f"sparse_tensor({elements(inner[head])})")
        elif head in ("seq", "optional"):
            words.append(f"{head}({types(inner[head])})")
        else:
            words.append(f"map({head.removeprefix('map ')}, {elements(inner[head])})")
    return " ".join(words)


def elements(names):
    """A set of element types, groups first where all of a group is there."""
    left = set(names)
    if unknown := left.difference(ELEMENTS):
        fail(f"unknown element types {sorted(unknown)}")
    words = []
    for element in ELEMENTS:
        group = next((g for g, members in GROUPS.items() if element in members and left.issuperset(members)), None)
        if element in left:
            words.append(group or element)
            left.difference_update(GROUPS[group] if group else {element})
    return " ".join(words)


def formal(parameter, parameters, min_arity):
    """An operand or result. onnx and onnxruntime spell the same properties differently."""
    type_string = getattr(parameter, "type_str", None) or parameter.typeStr
    homogeneous = getattr(parameter, "is_homogeneous", None)
    homogeneous = parameter.isHomogeneous if homogeneous is None else homogeneous
    kind = parameter.option.name
    if "(" in type_string:
        if not re.fullmatch(r"tensor\(\w+\)", type_string):
            fail(f"type `{type_string}` of `{parameter.name}` needs a form of its own")
    elif type_string not in parameters:
        fail(f"type parameter `{type_string}` of `{parameter.name}` is not constrained")
    # Split-1 calls its results `outputs...`.
    text = f"{word(parameter.name.removesuffix('...'))}: {type_string}"
    if kind == "Optional":
        text += "?"
    if kind == "Variadic":
        text += "*" if min_arity == 0 else "+" if min_arity == 1 else f"+{min_arity}"
        text += "" if homogeneous else " mixed"
    return text


def formals(parameters, constraints, least):
    """A list of operands or results, of which at least `least` must be given."""
    return ", ".join(formal(p, constraints, max(least - i, 0)) for i, p in enumerate(parameters))


def number(value):
    """The shortest decimal that gives the same 32-bit float, in Rust's form."""
    import numpy

    value = numpy.float32(value)
    if value == 0 or numpy.float32(1e-4) <= abs(value) < 1e16:
        return numpy.format_float_positional(value, unique=True, trim="0")
    return numpy.format_float_scientific(value, unique=True, trim="-", exp_digits=1).replace("e+", "e")


def quoted(value):
    if re.search(rb'["\\]|[^ -~]', value):
        fail(f"string {value} needs a form of its own")
    return f'"{value.decode()}"'


def default(value):
    """The default of an attribute (an AttributeProto), or nothing."""
    match value.type:
        case value.UNDEFINED:
            return ""
        case value.FLOAT:
            return f" = {number(value.f)}"
        case value.INT:
            return f" = {value.i}"
        case value.STRING:
            return f" = {quoted(value.s)}"
        case value.FLOATS:
            return f" = [{', '.join(map(number, value.floats))}]"
        case value.INTS:
            return f" = [{', '.join(map(str, value.ints))}]"
        case value.STRINGS:
            return f" = [{', '.join(map(quoted, value.strings))}]"
    fail(f"default of `{value.name}` needs a form of its own")


def attribute(schema):
    """An attribute; `schema` is onnx's or onnxruntime's."""
    from onnx import AttributeProto

    if hasattr(schema, "default_value"):
        value = schema.default_value
    else:
        value = AttributeProto()
        value.ParseFromString(schema._default_value)
    kind = KINDS[schema.type.name]
    return f"{word(schema.name)}: {kind}{'!' if schema.required else ''}{default(value)}"


def has_body(schema):
    """Whether the standard gives a function body. onnxruntime does not say which of its own operators have one."""
    return getattr(schema, "has_function", False) or getattr(schema, "has_context_dependent_function", False)


def line(schema):
    """One version of an operator."""
    constraints = [c.type_param_str for c in schema.type_constraints]
    words = [word(schema.name), str(schema.since_version)]
    words += ["deprecated"] * schema.deprecated
    words += ["function"] * has_body(schema)
    words.append(f"({formals(schema.inputs, constraints, schema.min_input)})")
    words.append("->")
    words.append(f"({formals(schema.outputs, constraints, schema.min_output)})")
    words.append("{" + ", ".join(attribute(schema.attributes[name]) for name in sorted(schema.attributes)) + "}")
    if constraints:
        words.append("where")
        words.append("; ".join(f"{word(c.type_param_str)}: {types(c.allowed_type_strs)}" for c in schema.type_constraints))
    return " ".join(words)


def table(source, domain, opset, schemas):
    """The file of a domain. `opset` is the newest version of the domain that the file speaks for."""
    head = [f"# From {source} by generate.py, which says how to read this.", f"domain {domain} {opset}"]
    lines = [line(s) for s in sorted(schemas, key=lambda s: (s.name, s.since_version))]
    return "\n".join([*head, *lines, ""])


def pinned(module, version):
    """Another version knows other operators, and would seem to make the committed files stale."""
    if module.__version__ != version:
        fail(f"{module.__name__} {module.__version__} is installed, the tables are of {version}")


def standard():
    """The tables of every domain that the standard has."""
    import onnx
    from onnx import defs

    pinned(onnx, ONNX)
    domains = {}
    for schema in defs.get_all_schemas_with_history():
        domains.setdefault(schema.domain or "ai.onnx", []).append(schema)
    newest = {"ai.onnx": defs.onnx_opset_version(), "ai.onnx.ml": defs.onnx_ml_opset_version()}
    for domain, schemas in domains.items():
        opset = newest.get(domain) or max(s.since_version for s in schemas)
        yield f"{domain}.txt", table(f"onnx {ONNX}", domain, opset, schemas)


def onnxruntime():
    """The tables of what onnxruntime adds: its own domain, and operators in the standard's."""
    import onnx
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    pinned(onnxruntime, ONNXRUNTIME)
    source = f"onnxruntime {ONNXRUNTIME}"
    schemas = state.get_all_operator_schema()
    yield "com.microsoft.txt", table(source, "com.microsoft", 1, [s for s in schemas if s.domain == "com.microsoft"])

    known = {(s.name, s.since_version) for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    own = [s for s in schemas if s.domain == "" and (s.name, s.since_version) not in known]
    added = [s for s in own if not NOT_FOR_FILES.fullmatch(s.name)]
    yield "ai.onnx.onnxruntime.txt", table(source, "ai.onnx", onnx.defs.onnx_opset_version(), added)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument("--onnxruntime", action="store_true", help="include the files made from onnxruntime")
    arguments = parser.parse_args()

    stale = False
    for file, text in [*standard(), *(onnxruntime() if arguments.onnxruntime else ())]:
        path = FOLDER / file
        if not arguments.check:
            path.write_text(text, encoding="utf-8", newline="\n")
            continue
        committed = path.read_text(encoding="utf-8") if path.exists() else ""
        names = f"{file} (committed)", f"{file} (generated)"
        for change in difflib.unified_diff(committed.splitlines(), text.splitlines(), *names, lineterm="", n=0):
            print(change)
            stale = True
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
