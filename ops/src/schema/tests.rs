//! What the table must say: all of it is read, and a sample of it is known by heart.

#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::{AttrKind, DType};

use super::*;

/// The schema that must exist.
fn known(name: &str, opset: i64) -> &'static OpSchema {
    schema("", name, opset).unwrap_or_else(|| panic!("{name} at {opset}"))
}

/// The default of an attribute that must exist.
fn default(name: &str, opset: i64, attribute: &str) -> Option<&'static Default> {
    known(name, opset).attribute(attribute).unwrap().default.as_ref()
}

#[test]
fn the_table_is_complete() {
    let counts = domains().map(|domain| {
        let lines = operators(domain).map(|name| versions(domain, name).len()).sum::<usize>();
        let deprecated = operators(domain).filter(|name| versions(domain, name).last().unwrap().deprecated).count();
        let newest = newest_opset(domain).unwrap();
        format!("{domain} {newest}: {} operators, {lines} versions, {deprecated} gone", operators(domain).count())
    });
    insta::assert_snapshot!(counts.collect::<Vec<_>>().join("\n"), @r"
    ai.onnx 28: 203 operators, 629 versions, 2 gone
    ai.onnx.ml 5: 19 operators, 25 versions, 2 gone
    ai.onnx.preview 1: 1 operators, 1 versions, 0 gone
    ai.onnx.preview.training 1: 4 operators, 4 versions, 0 gone
    com.microsoft 1: 159 operators, 159 versions, 0 gone
    ");
}

/// Reads every line, and proves that nothing of it is lost or read as something else.
#[test]
fn every_line_prints_back() {
    let files = table::FILES.into_iter().chain([table::EXTENSIONS]);
    let lines = files.flat_map(str::lines).filter(|line| !line.starts_with('#') && !line.starts_with("domain "));
    for line in lines {
        let schema = parse::line(STANDARD, line).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(schema.to_string(), line);
    }
}

/// What the API takes for granted of the files.
#[test]
fn every_schema_is_well_formed() {
    for domain in domains() {
        assert!(operators(domain).is_sorted());
        for name in operators(domain) {
            let versions = versions(domain, name);
            assert!(versions.is_sorted_by(|a, b| a.since_version < b.since_version), "{name}");
            for schema in versions {
                assert_eq!((schema.domain, schema.name), (domain, name));
                assert!(schema.since_version <= newest_opset(domain).unwrap());
                assert!(schema.attributes.is_sorted_by(|a, b| a.name < b.name), "{schema}");
                for formals in [&schema.inputs, &schema.outputs] {
                    let variadic = formals.iter().position(Formal::is_variadic);
                    assert!(variadic.is_none_or(|index| index + 1 == formals.len()), "{schema}");
                }
                for attribute in &schema.attributes {
                    assert!(!(attribute.required && attribute.default.is_some()), "{schema}: {attribute}");
                }
            }
        }
    }
}

#[test]
fn the_newest_version_not_above_the_opset_holds() {
    let since = |name, opset| schema("ai.onnx", name, opset).map(|schema| schema.since_version);
    assert_eq!(since("Conv", 0), None);
    assert_eq!([1, 10, 11, 21, 22, 99].map(|opset| since("Conv", opset)), [1, 1, 11, 11, 22, 22].map(Some));
    assert_eq!(since("Gelu", 19), None);
    assert_eq!(since("conv", 22), None);
    assert_eq!(schema("", "Conv", 13), schema("ai.onnx", "Conv", 13));
    assert_eq!(schema("ai.onnx.ml", "Conv", 13), None);
    assert_eq!(schema("nobody", "Conv", 13), None);
}

#[test]
fn conv_lines() {
    let lines: Vec<_> = versions("", "Conv").iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Conv 1 (X: T, W: T, B: T?) -> (Y: T) {auto_pad: string = "NOTSET", dilations: ints, group: int = 1, kernel_shape: ints, pads: ints, strides: ints} where T: floats
    Conv 11 (X: T, W: T, B: T?) -> (Y: T) {auto_pad: string = "NOTSET", dilations: ints, group: int = 1, kernel_shape: ints, pads: ints, strides: ints} where T: floats
    Conv 22 (X: T, W: T, B: T?) -> (Y: T) {auto_pad: string = "NOTSET", dilations: ints, group: int = 1, kernel_shape: ints, pads: ints, strides: ints} where T: floats bfloat16
    "#);
}

#[test]
fn clip_turned_attributes_into_operands() {
    let before = known("Clip", 10);
    assert_eq!((before.min_inputs(), before.max_inputs()), (1, Some(1)));
    assert_eq!(default("Clip", 10, "max"), Some(&Default::Float(f32::MAX)));

    let after = known("Clip", 11);
    assert_eq!((after.min_inputs(), after.max_inputs()), (1, Some(3)));
    assert_eq!(after.attribute("max"), None);
    assert_eq!(after.input_slot("max"), Some(2));
    assert_eq!(after.input(2).unwrap().kind, FormalKind::Optional);
    assert!(!after.function_body && known("Clip", 13).function_body);
}

#[test]
fn defaults_change_between_versions() {
    assert_eq!(default("Softmax", 12, "axis"), Some(&Default::Int(1)));
    assert_eq!(default("Softmax", 13, "axis"), Some(&Default::Int(-1)));
    assert_eq!(default("Cast", 6, "to"), None);
    assert_eq!(default("RNN", 7, "activations"), Some(&Default::Strings(vec!["Tanh", "Tanh"])));
    assert_eq!(default("MeanVarianceNormalization", 9, "axes"), Some(&Default::Ints(vec![0, 2, 3])));
    assert_eq!(default("BatchNormalization", 15, "epsilon"), Some(&Default::Float(1e-5)));
    assert_eq!(default("GRU", 1, "direction"), Some(&Default::String("foward")), "the standard's own slip");
    assert!(known("Cast", 6).attribute("to").unwrap().required);
    assert_eq!(known("If", 1).attribute("then_branch").unwrap().kind, AttrKind::Graph);
}

#[test]
fn arities() {
    let arity = |name, opset| {
        let schema = known(name, opset);
        (schema.min_inputs(), schema.max_inputs(), schema.min_outputs(), schema.max_outputs())
    };
    assert_eq!(arity("Gemm", 7), (3, Some(3), 1, Some(1)));
    assert_eq!(arity("Gemm", 11), (2, Some(3), 1, Some(1)));
    assert_eq!(arity("Split", 2), (1, Some(1), 1, None));
    assert_eq!(arity("Split", 13), (1, Some(2), 1, None));
    assert_eq!(arity("Concat", 13), (1, None, 1, Some(1)));
    // The values that a Loop carries come third, so its two optional operands must have their places.
    assert_eq!(arity("Loop", 1), (3, None, 1, None));
    assert_eq!(arity("Loop", 13), (2, None, 1, None));
    assert_eq!(arity("LSTM", 14), (3, Some(8), 0, Some(3)));
    assert_eq!(arity("Constant", 13), (0, Some(0), 1, Some(1)));
}

#[test]
fn resize_versions() {
    let of = |opset| {
        let names = known("Resize", opset).inputs.iter().map(|formal| formal.name).collect::<Vec<_>>();
        (names.join(" "), known("Resize", opset).min_inputs())
    };
    assert_eq!(of(10), ("X scales".into(), 2));
    assert_eq!(of(11), ("X roi scales sizes".into(), 3));
    assert_eq!(of(13), ("X roi scales sizes".into(), 1));
    assert!(known("Resize", 17).attribute("antialias").is_none());
    assert!(known("Resize", 18).attribute("antialias").is_some());
}

#[test]
fn variadic_formals_stand_for_all_that_follow() {
    let concat = known("Concat", 13);
    assert_eq!(concat.input(7), concat.input(0));
    assert_eq!(concat.output(1), None);
    let scan = known("Loop", 13);
    assert_eq!(scan.input(9).unwrap().kind, FormalKind::Variadic { min: 0, homogeneous: false });
}

#[test]
fn type_constraints() {
    let conv = known("Conv", 11);
    let t = &conv.constraint(&conv.inputs[0]).unwrap().types;
    assert!(t.tensors.contains(DType::Float16) && !t.tensors.contains(DType::Bfloat16));
    assert_eq!(t.tensors.iter().collect::<Vec<_>>(), [DType::Float, DType::Float16, DType::Double]);
    assert_eq!(known("Reshape", 5).inputs[1].types, TypeRef::Tensor(DType::Int64));

    let identity = known("Identity", 16);
    let v = &identity.constraint(&identity.inputs[0]).unwrap().types;
    assert!(v.sequences.as_ref().unwrap().tensors.contains(DType::Bool));
    assert!(v.optionals.as_ref().unwrap().sequences.as_ref().unwrap().tensors.contains(DType::String));

    let zip_map = schema("ai.onnx.ml", "ZipMap", 1).unwrap();
    let maps = &zip_map.constraint(&zip_map.outputs[0]).unwrap().types.sequences.as_ref().unwrap().maps;
    assert_eq!(maps[0], (DType::Int64, [DType::Float].into_iter().collect()));
}

#[test]
fn deprecated_operators_have_a_last_version() {
    assert!(!known("Upsample", 9).deprecated && known("Upsample", 10).deprecated);
    assert!(!known("Scatter", 9).deprecated && known("Scatter", 13).deprecated);
    assert!(known("GroupNormalization", 18).deprecated && !known("GroupNormalization", 21).deprecated);
}

#[test]
fn onnxruntime_extends_the_standard() {
    assert_eq!(schema("", "SimplifiedLayerNormalization", 13), None);
    assert_eq!(extension("SimplifiedLayerNormalization", 13).unwrap().min_inputs(), 2);
    assert_eq!(schema("", "LayerNormalization", 16), None);
    assert_eq!(extension("LayerNormalization", 16).unwrap().since_version, 1);
    assert!(extension("ImageScaler", 10).unwrap().deprecated);
    assert_eq!(extension("Memcpy", 10), None);
    let bits = schema("com.microsoft", "MatMulNBits", 1).unwrap();
    assert_eq!(bits.attribute("bits").unwrap().default, Some(Default::Int(4)));
    assert!(schema("com.microsoft", "SliceGrad", 1).is_some(), "from the file that is kept by hand");
}
