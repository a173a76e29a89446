#![allow(clippy::unwrap_used)]

use std::io::Write;

use half::f16;
use num_complex::Complex;
use onnxpress_ir::{DType, TensorType, Type};
use proptest::prelude::*;

use super::*;

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn array(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(((header.len() + 1) as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

fn parse(header: &str, data: &[u8]) -> Result<Tensor, String> {
    npy::read(&mut array(header, data).as_slice()).map_err(|error| error.to_string())
}

fn round_trip(values: Vec<(&str, Value)>) -> Arrays {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.npz");
    write(&path, values.iter().map(|(name, value)| ((*name).to_owned(), value))).unwrap();
    read(&path).unwrap()
}

#[test]
fn every_kind_of_tensor_comes_back() {
    let strings = ["", "naïve", "日本"].map(|text| Bytes::copy_from_slice(text.as_bytes())).to_vec();
    let tensors = [
        ("scalar", Tensor::scalar(1.5f32)),
        ("empty", Tensor::from_values::<i64>(&[0, 3], Vec::new()).unwrap()),
        ("half", Tensor::vector(vec![f16::from_f32(0.1), f16::NAN])),
        ("flags", Tensor::from_values(&[2, 1], vec![true, false]).unwrap()),
        ("words", Tensor::from_strings(&[3], strings).unwrap()),
        ("a/b:0", Tensor::vector(vec![u64::MAX])),
    ];
    let back = round_trip(tensors.iter().map(|(name, tensor)| (*name, tensor.clone().into())).collect());
    for (name, tensor) in &tensors {
        assert_eq!(&back[*name], tensor, "{name}");
    }
}

#[test]
fn types_that_numpy_has_not_are_widened_and_narrowed_again() {
    for (dtype, wide) in [
        (DType::Bfloat16, DType::Float),
        (DType::Float8e4m3fn, DType::Float),
        (DType::Int4, DType::Int8),
        (DType::Uint2, DType::Uint8),
    ] {
        let tensor = Tensor::from_f64s(dtype, &[3], &[0.0, 1.0, 1.0]).unwrap();
        let mut back = round_trip(vec![("x", tensor.clone().into())]);
        assert_eq!(back["x"].dtype(), wide);
        let narrow = take_value(&mut back, "x", &Type::tensor(dtype, None)).unwrap();
        assert_eq!(narrow, Value::Tensor(tensor));
    }
}

#[test]
fn values_that_are_no_tensors_come_back_as_their_type_says() {
    let one = || Value::Tensor(Tensor::scalar(1i64));
    let number = Type::tensor(DType::Int64, None);
    let sequence = Type::Sequence(Box::new(number.clone()));
    let map = Type::Map(DType::String, Box::new(number.clone()));
    let keys = Tensor::from_strings(&[2], vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]).unwrap();
    let cases = [
        (Type::Sequence(Box::new(sequence.clone())), Value::Sequence(vec![Value::Sequence(vec![one(), one()])])),
        (map.clone(), Value::Map(keys.clone(), vec![one(), one()])),
        (Type::Sequence(Box::new(map)), Value::Sequence(vec![Value::Map(keys, vec![one(), one()])])),
        (Type::Optional(Box::new(number.clone())), Value::Optional(None)),
        (Type::Optional(Box::new(sequence)), Value::Optional(Some(Box::new(Value::Sequence(vec![one()]))))),
        (
            Type::SparseTensor(TensorType::default()),
            Value::Sparse(onnxpress_ir::SparseTensor {
                values: Tensor::vector(vec![1.0f32]),
                indices: Tensor::vector(vec![4i64]),
                dims: vec![2, 3],
                carried: onnxpress_ir::Carried::none(),
            }),
        ),
    ];
    for (ty, value) in cases {
        let mut back = round_trip(vec![("x", value.clone())]);
        assert_eq!(take_value(&mut back, "x", &ty), Some(value), "{ty}");
        assert!(back.is_empty());
    }
}

#[test]
fn arrays_are_read_in_either_order_of_axes_and_bytes() {
    let columns =
        parse("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }", &[0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6]);
    let tensor = columns.unwrap();
    assert_eq!((tensor.dims(), tensor.to_i64s().unwrap()), (&[2usize, 3][..], vec![1, 2, 3, 4, 5, 6]));
    let complex =
        parse("{'descr': '>c8', 'fortran_order': False, 'shape': (), }", &[0x3f, 0x80, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(complex, Tensor::scalar(Complex { re: 1f32, im: 0.0 }));
    let text = parse("{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }", b"ab\0\0\0\0").unwrap();
    assert_eq!(text.strings().unwrap(), [&b"ab"[..], b""]);
}

#[test]
fn a_single_array_is_called_as_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.npy");
    std::fs::write(&path, array("{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", &[7])).unwrap();
    assert_eq!(read(&path).unwrap()["image"], Tensor::vector(vec![7u8]));
}

#[test]
fn what_a_header_claims_is_checked_before_memory_is_taken() {
    let header =
        |descr: &str, shape: &str| format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let refused = |descr: &str, shape: &str| parse(&header(descr, shape), &[0; 8]).unwrap_err();
    assert_eq!(refused("<f4", "1,"), "5 bytes of data, 4 expected", "no more is read than says so");
    assert_eq!(refused("<f4", "3,"), "8 bytes of data, 12 expected");
    assert_eq!(refused("<f4", "4294967296, 4294967296"), "extents [4294967296, 4294967296] have too many elements");
    assert_eq!(refused("<f4", "1099511627776,"), "extents [1099511627776] have too many elements");
    assert_eq!(refused("<U0", "1099511627776,"), "extents [1099511627776] have too many elements");
    assert!(refused("<U99999999999999999999", "1,").starts_with("elements of type"));
    assert_eq!(refused("|O", "1,"), "elements of type `'|O'` cannot be a tensor's");
    let deep = format!("{}{}", "(".repeat(5000), ")".repeat(4000));
    assert_eq!(parse(&deep, &[]).unwrap_err(), "the header is longer or deeper than that of any tensor");
    let surrogate = parse(&header("<U1", "1,"), &0xd800u32.to_le_bytes());
    assert_eq!(surrogate.unwrap_err(), "element 0 is no Unicode text");
}

#[test]
fn files_that_are_no_arrays_are_named() {
    let garbage = file(b"nonsense");
    let error = read(garbage.path()).unwrap_err().to_string();
    assert!(error.contains("no archive of arrays"), "{error}");
    assert!(read(std::path::Path::new("/nowhere/x.npz")).unwrap_err().to_string().starts_with("/nowhere/x.npz"));
    let cut = file(&array("{'descr': '<f4'", &[]));
    assert!(read(cut.path()).unwrap_err().to_string().contains("no array in numpy's format"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the bytes are, there is an answer.
    #[test]
    fn no_bytes_make_reading_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), place in 0usize..60, byte: u8) {
        let _ = npy::read(&mut bytes.as_slice());
        bytes = array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", &[0; 8]);
        if let Some(at) = bytes.get_mut(place) {
            *at = byte;
        }
        let _ = npy::read(&mut bytes.as_slice());
    }
}
