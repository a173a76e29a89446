//! Print and parse agree, and so do encode and decode.

use onnxpress::ir::{Model, assign_names};
use onnxpress::onnx;
use onnxpress::proto::schema::ModelProto;
use onnxpress::proto::{ExternalFiles, Message as _};
use proptest::prelude::*;

use crate::random_models::{any_model, read};

fn decoded(bytes: &[u8]) -> Model {
    let message = ModelProto::decode(bytes).unwrap();
    onnx::from_message(message, &mut ExternalFiles::in_folder("."), false).unwrap()
}

proptest! {
    #![proptest_config(crate::config(64))]

    #[test]
    fn print_and_parse_agree(text in any_model(14)) {
        let printed = read(&text).to_text();
        prop_assert_eq!(read(&printed).to_text(), printed);
    }

    #[test]
    fn encode_and_decode_agree(text in any_model(14)) {
        let mut model = read(&text);
        assign_names(&mut model);
        let bytes = onnx::to_message(&model, false).unwrap().encode_to_vec();
        let again = decoded(&bytes);
        prop_assert_eq!(again.to_text(), model.to_text());
        prop_assert_eq!(onnx::to_message(&again, true).unwrap().encode_to_vec(), bytes);
    }
}
