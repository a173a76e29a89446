#![allow(clippy::unwrap_used)]
use super::*;
use crate::samples;
use crate::schema::{ModelProto, NodeProto};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

fn model_error(bytes: &[u8]) -> String {
    scan(bytes, Root::Model).unwrap_err().to_string()
}

/// A length-delimited field.
fn field(number: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(payload.len() as u64, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_whole_model_passes_and_nothing_in_it_is_unknown() {
    let found = scan(&samples::model().encode_to_vec(), Root::Model).unwrap();
    assert_eq!(found.unknown, []);
    assert!(found.has_graph && found.fields > 50);
}

#[test]
fn whatever_is_cut_off_the_scan_agrees_with_the_decoder() {
    let whole = samples::model().encode_to_vec();
    for length in 0..whole.len() {
        let cut = &whole[..length];
        assert_eq!(scan(cut, Root::Model).is_ok(), ModelProto::decode(cut).is_ok(), "cut at {length}");
    }
}

#[test]
fn four_gigabytes_claimed_by_twenty_bytes() {
    let mut bytes = vec![0x08, 0x0a, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f];
    bytes.resize(20, 0);
    assert_eq!(model_error(&bytes), "at byte 2: field `graph` claims 4294967295 bytes, but 12 are left");
}

#[test]
fn a_length_near_the_end_of_the_number_range_does_not_wrap() {
    let mut bytes = vec![0x3a];
    prost::encoding::encode_varint(u64::MAX, &mut bytes);
    assert_eq!(model_error(&bytes), "at byte 0: field `graph` claims 18446744073709551615 bytes, but 0 are left");
}

#[test]
fn a_part_may_not_reach_past_the_whole_that_holds_it() {
    // The graph is 2 bytes long, and its name claims 5 of the 6 that the file has left.
    let bytes = [0x3a, 2, 0x12, 5, 0, 0, 0, 0, 0, 0];
    assert_eq!(model_error(&bytes), "at byte 2, in graph: field `name` claims 5 bytes, but 0 are left");
    let fixed = field(7, &field(1, &field(5, &[0x15, 0, 0])));
    assert_eq!(model_error(&fixed), "at byte 6, in graph.node.attribute: field `f` claims 4 bytes, but 2 are left");
}

/// Subgraphs within each other, the innermost empty: attribute `g` of a node of the graph around it.
fn nested(levels: usize) -> Vec<u8> {
    // Built from the inside out, in reverse, so that it takes linear time.
    let mut reversed: Vec<u8> = Vec::new();
    let wrap = |reversed: &mut Vec<u8>, number: u8| {
        let mut head = vec![number << 3 | 2];
        prost::encoding::encode_varint(reversed.len() as u64, &mut head);
        reversed.extend(head.iter().rev());
    };
    for _ in 0..levels {
        for number in [6, 5, 1] {
            wrap(&mut reversed, number);
        }
    }
    wrap(&mut reversed, 7);
    reversed.reverse();
    reversed
}

/// On a thread of a test, whose stack is a quarter of the main thread's, without optimization.
#[test]
fn the_deepest_model_that_passes_fits_the_stack() {
    let deep = nested(106);
    scan(&deep, Root::Model).unwrap();
    assert!(scan(&nested(107), Root::Model).is_err());
    let model = ModelProto::decode(Bytes::from(deep.clone())).unwrap();
    assert_eq!(model.clone(), model);
    assert_eq!(model.encode_to_vec(), deep);
    assert!(format!("{model:?}").len() > deep.len());
}

#[test]
fn a_hundred_subgraphs_are_read_and_ten_thousand_are_not() {
    let deep = nested(100);
    scan(&deep, Root::Model).unwrap();
    ModelProto::decode(Bytes::from(deep)).unwrap();
    let error = scan(&nested(10_000), Root::Model).unwrap_err();
    assert_eq!(error.fault, Fault::Depth);
    assert_eq!(error.path, "graph.node.attribute.g.node.attribute. (307 more) .node.attribute.g.node.attribute.g");
}

#[test]
fn groups_are_refused_where_they_start() {
    assert_eq!(
        model_error(&[0x08, 0x01, 0x1b, 0x1c]),
        "at byte 2: found the start of a group (field 3), which ONNX does not have"
    );
}

#[test]
fn malformed_numbers_are_refused_where_they_stand() {
    assert_eq!(model_error(&[0x08, 0x01, 0x28, 0x80]), "at byte 2: the bytes end in the middle of a number");
    assert_eq!(
        model_error(&[[0x28].as_slice(), &[0xff; 11]].concat()),
        "at byte 0: found a number of more than 64 bits"
    );
    assert_eq!(model_error(&[0x08, 0x01, 0x00]), "at byte 2: found 0 where the key of a field was expected");
}

#[test]
fn a_known_field_must_have_the_form_that_the_schema_gives_it() {
    assert_eq!(
        model_error(&field(1, b"ten")),
        "at byte 0: field `ir_version` is a length and bytes, expected a varint"
    );
    assert_eq!(model_error(&[0x38, 1]), "at byte 0: field `graph` is a varint, expected a length and bytes");
}

#[test]
fn packed_lists_end_with_a_whole_number() {
    let tensor = |field: Vec<u8>| super::tests::field(7, &super::tests::field(5, &field));
    assert_eq!(
        model_error(&tensor(field(4, &[0; 7]))),
        "at byte 4, in graph.initializer: the packed numbers of `float_data` end within a number (7 bytes)"
    );
    assert_eq!(
        model_error(&tensor(field(7, &[1, 0x80]))),
        "at byte 4, in graph.initializer: the packed numbers of `int64_data` end within a number (2 bytes)"
    );
    scan(&tensor(field(1, &[1, 2])), Root::Model).unwrap();
}

#[test]
fn unknown_fields_are_summed_by_message_and_number() {
    let node = [field(30, b"four"), field(30, b"six!!!"), vec![0xa0, 0x06, 1]].concat();
    let bytes = [field(7, &field(1, &node)), vec![0xf8, 0x07, 0x80, 0x01]].concat();
    let unknown = |message, number, bytes| UnknownField { message, number, bytes };
    assert_eq!(
        scan(&bytes, Root::Model).unwrap().unknown,
        [unknown("ModelProto", 127, 4), unknown("NodeProto", 30, 16), unknown("NodeProto", 100, 3)]
    );
}

#[test]
fn countless_unknown_fields_are_no_model() {
    let mut bytes = Vec::new();
    for number in 100..400_u64 {
        prost::encoding::encode_varint(number << 3, &mut bytes);
        bytes.push(0);
    }
    assert_eq!(scan(&bytes, Root::Model).unwrap_err().fault, Fault::Unknown);
}

#[test]
fn a_small_file_cannot_ask_for_all_memory() {
    // 12 MB of empty attributes would decode to some 2 GB.
    let attributes = [0x2a, 0].repeat(6_000_000);
    let error = scan(&attributes, Root::Node).unwrap_err();
    assert!(matches!(error.fault, Fault::Memory { .. }), "{error}");
}

#[test]
fn the_table_knows_every_field_that_the_types_have() {
    // Each field of a node that is set to something, encoded by the generated type.
    let node = NodeProto {
        input: vec!["a".into()],
        output: vec!["b".into()],
        name: Some("n".into()),
        op_type: Some("Op".into()),
        domain: Some("d".into()),
        overload: Some("o".into()),
        attribute: vec![Default::default()],
        doc_string: Some("doc".into()),
        metadata_props: vec![Default::default()],
        device_configurations: vec![Default::default()],
    };
    let found = scan(&node.encode_to_vec(), Root::Node).unwrap();
    assert_eq!((found.fields, found.unknown), (10, vec![]));
}

/// What the scan lets pass decodes, but for varints within a packed list, which it does not read.
fn agrees(bytes: Vec<u8>) {
    let scanned = scan(&bytes, Root::Model);
    let decoded = ModelProto::decode(Bytes::from(bytes));
    match (scanned, decoded) {
        (Ok(_), Err(error)) => assert!(error.to_string().contains("varint"), "{error}"),
        (Err(error), Ok(_)) => {
            let stricter = matches!(error.fault, Fault::Group { .. } | Fault::Depth | Fault::Unknown);
            assert!(stricter, "{error}");
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_pass_what_the_decoder_refuses(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agrees(bytes);
    }

    #[test]
    fn mutated_models_never_pass_what_the_decoder_refuses(bytes in samples::mutated()) {
        agrees(bytes);
    }
}
