//! Any bytes as a model file: an error or a model, and a model that is the same when written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onnxpress_proto::{Bytes, Encoded, Location, ModelFile, encoded_len, try_for_each_tensor};

fuzz_target!(|bytes: &[u8]| {
    let read = |bytes: Bytes| ModelFile::from_bytes("fuzz", bytes)?.decode();
    let mut decoded = match read(Bytes::copy_from_slice(bytes)) {
        Ok(decoded) => decoded,
        Err(error) => {
            // The message is made only when it is shown.
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = written(&decoded.model);
    let again = read(written.clone().into()).expect("what was written is read");
    assert!(again.unknown.is_empty());
    assert_eq!(self::written(&again.model), written);

    let visit = |tensor: &mut _| Ok::<_, ()>(drop(Location::of(tensor)));
    try_for_each_tensor(&mut decoded.model, visit).expect("the visit never fails");
});

fn written(model: &onnxpress_proto::schema::ModelProto) -> Vec<u8> {
    let encoded = Encoded::of(model);
    assert_eq!(encoded.len(), encoded_len(model));
    let mut bytes = Vec::new();
    encoded.write_to(&mut bytes).expect("memory takes everything");
    bytes
}
