#![allow(clippy::unwrap_used)]

use onnxpress_ops::evaluate::Value;

use super::*;

const TOKENS: &str = "g (int64[N,2] ids, int64[N,2] mask, int64[] k) => (int64[N,2] y) { y = Add(ids, mask) }";
const PICTURES: &str = "g (float[N,1,2,2] x) => (float[N,1,2,2] y) { y = Relu(x) }";

fn open(text: &str, arrays: &[(&str, Tensor)], options: &DataOptions) -> Result<(Samples, Model), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.npz");
    let values: Vec<_> = arrays.iter().map(|(name, array)| (*name, Value::Tensor(array.clone()))).collect();
    crate::npz::write(&path, values.iter().map(|(name, value)| ((*name).to_owned(), value))).unwrap();
    let model = Model::from_text(text).unwrap();
    match Samples::open(&path, &model, options) {
        Ok(samples) => Ok((samples, model)),
        Err(error) => Err(error.to_string().replace(&path.display().to_string(), "FILE")),
    }
}

fn prepared(text: &str) -> DataOptions {
    DataOptions { preprocess: Some(text.parse().unwrap()), samples: None }
}

fn tokens(rows: usize) -> Tensor {
    Tensor::from_values(&[rows, 2], (0..rows as i64 * 2).collect()).unwrap()
}

fn bytes(dims: &[usize]) -> Tensor {
    Tensor::from_values(dims, (0..dims.iter().product::<usize>() as u8).collect()).unwrap()
}

fn feed(samples: &mut Samples, model: &Model, size: usize) -> (Batch, Vec<Option<Value>>) {
    let batch = samples.next_batch(size).unwrap().unwrap();
    let fed = samples.bind(model).unwrap().feed(&batch).unwrap();
    (batch, fed)
}

#[test]
fn arrays_find_their_inputs_and_the_last_batch_is_filled_up() {
    let arrays = [
        ("labels", Tensor::vector(vec![5i32, 6, 7])),
        ("mask", tokens(3)),
        ("ids", tokens(3)),
        ("k", Tensor::scalar(4i64)),
    ];
    let (mut samples, model) = open(TOKENS, &arrays, &DataOptions::default()).unwrap();
    assert_eq!((samples.count(), samples.is_labelled()), (3, true));
    let (batch, _) = feed(&mut samples, &model, 2);
    assert_eq!((batch.len, batch.labels), (2, Some(vec![5, 6])));
    let (batch, fed) = feed(&mut samples, &model, 2);
    assert_eq!((batch.len, batch.labels), (1, Some(vec![7])));
    let filled = Tensor::from_values(&[2, 2], vec![4i64, 5, 4, 5]).unwrap();
    let fed: Vec<_> = fed.into_iter().flatten().collect();
    assert_eq!(fed, [filled.clone().into(), filled.into(), Tensor::scalar(4i64).into()]);
    assert_eq!(samples.next_batch(2).unwrap(), None);
}

#[test]
fn the_first_samples_alone_are_read() {
    let options = DataOptions { samples: Some(2), ..DataOptions::default() };
    let (mut samples, model) = open(
        PICTURES,
        &[("x", bytes(&[3, 1, 2, 2]).to_f32s().map(|v| Tensor::from_values(&[3, 1, 2, 2], v).unwrap()).unwrap())],
        &options,
    )
    .unwrap();
    let (batch, _) = feed(&mut samples, &model, 9);
    assert_eq!((batch.len, samples.next_batch(9).unwrap()), (2, None));
}

#[test]
fn pictures_become_what_the_model_wants() {
    for dims in [&[2, 1, 2, 2][..], &[2, 2, 2], &[2, 2, 2, 1]] {
        for name in ["images", "x", "whatever"] {
            let (mut samples, model) = open(PICTURES, &[(name, bytes(dims))], &prepared("scale=2")).unwrap();
            let (_, fed) = feed(&mut samples, &model, 1);
            let tensor = Tensor::from_values(&[1, 1, 2, 2], vec![0f32, 2.0, 4.0, 6.0]).unwrap();
            assert_eq!(fed, [Some(tensor.into())], "{name} {dims:?}");
        }
    }
    let halves = PICTURES.replace("float", "float16");
    let (mut samples, model) = open(&halves, &[("images", bytes(&[2, 1, 2, 2]))], &prepared("scale=2")).unwrap();
    let (_, fed) = feed(&mut samples, &model, 1);
    assert_eq!(fed[0].as_ref().unwrap().as_tensor().unwrap().dtype(), onnxpress_ir::DType::Float16);
}

#[test]
fn whole_numbers_are_made_where_they_are_whole() {
    let whole = PICTURES.replace("float", "uint8");
    let (mut samples, model) = open(&whole, &[("images", bytes(&[2, 1, 2, 2]))], &prepared("scale=2")).unwrap();
    assert_eq!(feed(&mut samples, &model, 2).0.len, 2);
    let (mut samples, model) = open(&whole, &[("images", bytes(&[2, 1, 2, 2]))], &prepared("mean=0.5")).unwrap();
    let batch = samples.next_batch(2).unwrap().unwrap();
    let error = samples.bind(&model).unwrap().feed(&batch).unwrap_err().to_string();
    assert!(error.ends_with("the preprocessing makes -0.5, which input `x` of type uint8 cannot hold"), "{error}");
}

#[test]
fn what_does_not_suit_is_told_beside_what_the_model_wants() {
    let refused = |text: &str, arrays: &[(&str, Tensor)], options: &DataOptions| match open(text, arrays, options) {
        Ok(_) => "nothing is wrong".to_owned(),
        Err(error) => error,
    };
    let none = DataOptions::default();
    let wants = "the model wants ids: int64[N,2], mask: int64[N,2], k: int64";
    let ids = ("ids", tokens(3));
    assert_eq!(
        refused(TOKENS, &[ids.clone(), ("msk", tokens(3))], &none),
        format!("FILE: no array for input `mask`; the file has ids: int64[3,2], msk: int64[3,2]; {wants}")
    );
    assert_eq!(
        refused(TOKENS, &[ids.clone(), ("mask", tokens(2))], &none),
        "FILE: `mask` has 2 samples, but `ids` has 3"
    );
    assert_eq!(
        refused(PICTURES, &[("images", bytes(&[2, 1, 2, 3]))], &prepared("mnist")),
        "FILE: `images` is float[2,1,2,3], but input `x` is float[N,1,2,2]; the model wants x: float[N,1,2,2]"
    );
    assert_eq!(
        refused(TOKENS, &[ids, ("mask", tokens(3)), ("k", Tensor::scalar(1i64))], &prepared("mnist")),
        "FILE: a preprocessing is for one input of pictures, but there are `ids`, `mask`, `k`"
    );
    let empty = Tensor::from_values::<f32>(&[0, 1, 2, 2], Vec::new()).unwrap();
    assert_eq!(refused(PICTURES, &[("x", empty)], &none), "FILE: no samples; the model wants x: float[N,1,2,2]");
    assert!(refused(PICTURES, &[], &none).starts_with("FILE: no array for input `x`; the file has no arrays;"));
}
