"""Whether ONNX's own parser reads what the exact form of the text prints, and reads it alike.

Run with onnx and numpy; `--update` writes the texts of fixtures/text/printer anew. The other half of the comparison is
`ir/tests/text_fixtures.rs`, which shows that the texts are what is printed.
"""

import argparse
import pathlib
import sys

import numpy
import onnx.numpy_helper
import onnx.parser
import onnx.printer

FOLDER = pathlib.Path(__file__).parent.parent.parent / "fixtures" / "text"


def failure(message):
    print(message, file=sys.stderr)
    return 1


def check_twins(model):
    """Each initializer `T_is` has the values that `T_means` has in double precision."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    twins = [name.removesuffix("_means") for name in tensors if name.endswith("_means")]
    failures = 0 if twins else failure("tensors.onnxtxt has no twins")
    for name in twins:
        found = onnx.numpy_helper.to_array(tensors[name + "_is"]).astype(numpy.float64)
        expected = onnx.numpy_helper.to_array(tensors[name + "_means"])
        if not numpy.array_equal(found, expected):
            failures += failure(f"{name}: onnx reads {found}, expected {expected}")
    return failures


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--update", action="store_true")
    update = arguments.parse_args().update
    failures = read = 0

    for path in sorted(FOLDER.glob("*.onnxtxt")):
        try:
            model = onnx.parser.parse_model(path.read_text(encoding="utf-8"))
        except Exception as error:  # The binding throws more than one class.
            failures += failure(f"{path.name}: onnx does not read it: {error}")
            continue
        read += 1
        if path.name == "tensors.onnxtxt":
            failures += check_twins(model)
        printer = FOLDER / "printer" / path.name
        if printer.exists():
            text = onnx.printer.to_text(model)
            if update:
                printer.write_text(text, encoding="utf-8")
            elif printer.read_text(encoding="utf-8") != text:
                failures += failure(f"printer/{path.name} is not what onnx.printer prints; see --update")

    # An extension that ONNX misread in silence would be worse than none.
    for path in sorted((FOLDER / "extensions").glob("*.onnxtxt")):
        try:
            onnx.parser.parse_model(path.read_text(encoding="utf-8"))
        except Exception:
            continue
        failures += failure(f"extensions/{path.name}: onnx reads it")

    print(f"{read} texts read by onnx {onnx.__version__}, {failures} failures")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
