//! `eval`: the digits network on its samples, and samples that do not suit it.

use insta::assert_snapshot;
use onnxpress::ir::Tensor;
use onnxpress::npz;
use onnxpress::ops::evaluate::Value;

use crate::workplace::{Outcome, Workplace, samples};

/// A folder with the digits network and these arrays as `samples.npz`.
fn with_samples(arrays: &[(&str, Tensor)]) -> Workplace {
    let place = Workplace::with_digits();
    let values: Vec<_> = arrays.iter().map(|(name, array)| (*name, Value::Tensor(array.clone()))).collect();
    let named = values.iter().map(|(name, value)| ((*name).to_owned(), value));
    npz::write(&place.path("samples.npz"), named).unwrap();
    place
}

fn images(count: usize) -> Tensor {
    Tensor::from_values(&[count, 1, 8, 8], vec![1f32; count * 64]).unwrap()
}

fn eval(place: &Workplace, args: &[&str]) -> Outcome {
    place.run([&["eval", "model.onnx", "--data", "samples.npz"], args].concat())
}

fn refused(arrays: &[(&str, Tensor)], args: &[&str]) -> String {
    with_samples(arrays).refused(1, [&["eval", "model.onnx", "--data", "samples.npz"], args].concat())
}

/// The number that stands in `fixtures/digits/README.md`, in batches that do and do not divide the samples.
#[test]
fn digits_are_named_right_as_often_as_is_said() {
    let place = Workplace::with_digits_and_samples();
    let found = eval(&place, &["--json", "--batch", "100"]).json();
    assert_eq!(found["schema"], 1);
    assert_eq!((&found["samples"], &found["batch"], &found["classes"]), (&360.into(), &100.into(), &10.into()));
    assert_eq!(found["top1_correct"], 353);
    assert!((found["top1"].as_f64().unwrap() - 353.0 / 360.0).abs() < 1e-12);
    assert!(found["top5_correct"].as_u64().unwrap() >= 353 && found["ms_per_sample"].as_f64().unwrap() > 0.0);
    assert!(found["reference"].is_null() && found["agreement"].is_null() && found["snr_db"].is_null());
    let few = eval(&place, &["--samples", "10"]);
    let text = String::from_utf8(few.assert_done().stdout.clone()).unwrap();
    assert!(text.starts_with("10 samples, 10 at a time\n") && text.contains(" of 10)"), "{text}");
}

#[test]
fn a_model_agrees_with_what_was_made_of_it() {
    let place = Workplace::with_digits();
    place.run(["opt", "model.onnx", "-o", "small.onnx"]).assert_done();
    std::fs::copy(samples(), place.path("samples.npz")).unwrap();
    let found = eval(&place, &["--ref", "small.onnx", "--samples", "50", "--json"]).json();
    assert_eq!(found["agreement"], 1.0);
    assert!(found["snr_db"].as_f64().unwrap() > 100.0);
    assert_eq!(found["reference"]["top1_correct"], found["top1_correct"]);
    // Labels are not needed beside a reference.
    let place = with_samples(&[("image", images(3))]);
    let found = eval(&place, &["--ref", "model.onnx", "--json"]).json();
    assert!(found["top1"].is_null());
    assert_eq!((&found["agreement"], &found["snr_db"]), (&1.0.into(), &150.0.into()));
}

#[test]
fn preprocessing_makes_bytes_what_the_model_wants() {
    let given = npz::read(&samples()).unwrap();
    let bytes: Vec<u8> = given["image"].to_f32s().unwrap().into_iter().map(|value| value as u8).collect();
    let bytes = Tensor::from_values(&[360, 8, 8], bytes).unwrap();
    let place = with_samples(&[("images", bytes), ("labels", given["label"].clone())]);
    let found = eval(&place, &["--preprocess", "scale=1", "--json"]).json();
    assert_eq!(found["top1_correct"], 353);
    assert_eq!(found["preprocess"], "scale=1,mean=[0],std=[1],layout=nchw");
}

#[test]
fn a_folder_of_pictures_is_as_good_as_an_array() {
    let given = npz::read(&samples()).unwrap();
    let values = given["image"].to_f32s().unwrap();
    let labels = given["label"].to_i64s().unwrap();
    let place = Workplace::with_digits();
    std::fs::create_dir(place.path("digits")).unwrap();
    let mut list = "file,label\n".to_owned();
    for (at, (picture, label)) in values.chunks(64).zip(labels).enumerate().take(40) {
        place.write(&format!("digits/{at:03}.png"), &png(8, 8, picture));
        list.push_str(&format!("{at:03}.png,{label}\n"));
    }
    place.write("digits/labels.csv", list.as_bytes());
    std::fs::copy(samples(), place.path("samples.npz")).unwrap();
    let folder = |args: &[&str]| place.run([&["eval", "model.onnx", "--data", "digits"], args].concat());
    let found = folder(&["--preprocess", "scale=1", "--json"]).json();
    assert_eq!(found["top1_correct"], eval(&place, &["--samples", "40", "--json"]).json()["top1_correct"]);
    let said = folder(&[]).assert_refused(1).stderr.clone();
    assert_snapshot!(said, @"
    error: digits: `images` is uint8[40,1,8,8], but input `image` is float[N,1,8,8]; the model wants image: float[N,1,8,8]
      help: `--preprocess scale=1/255`, with `mean` and `std` where the model was trained so, makes numbers of bytes
    ");
    place.write("digits/001.png", &png(9, 8, &[0.0; 72]));
    assert_snapshot!(folder(&["--preprocess", "scale=1"]).assert_refused(1).stderr, @"
    error: digits/001.png: 1 by 8 by 9 pixels and channels, but the pictures before it have 1 by 8 by 8
      help: `--preprocess resize=256,crop=224` makes pictures of one size
    ");
    place.write("digits/001.png", b"no picture");
    assert_snapshot!(folder(&["--preprocess", "scale=1"]).assert_refused(1).stderr, @"error: digits/001.png: no picture: Format error decoding Png: Invalid PNG signature.");
    place.write("digits/labels.csv", b"file,label\n000.png,one\n");
    assert_snapshot!(folder(&["--preprocess", "scale=1"]).assert_refused(1).stderr, @"error: digits/labels.csv: row 2: label `one`, expected a whole number");
    std::fs::remove_file(place.path("digits/labels.csv")).unwrap();
    assert_snapshot!(folder(&["--preprocess", "scale=1"]).assert_refused(1).stderr, @"
    error: digits: the samples have no labels, and there is no reference model to agree with
      help: put an array `labels` beside the inputs, or name a model with `--ref`
    ");
}

#[test]
fn samples_that_do_not_suit_the_model_are_told_beside_what_it_wants() {
    let labels = ("labels", Tensor::vector(vec![1i64, 2]));
    assert_snapshot!(refused(&[("pixels", images(2)), ("more", images(2)), labels.clone()], &[]), @"error: samples.npz: no array for input `image`; the file has pixels: float[2,1,8,8], more: float[2,1,8,8], labels: int64[2]; the model wants image: float[N,1,8,8]");
    let wide = Tensor::from_values(&[2, 1, 8, 9], vec![0f32; 144]).unwrap();
    assert_snapshot!(refused(&[("image", wide), labels.clone()], &[]), @"error: samples.npz: `image` is float[2,1,8,9], but input `image` is float[N,1,8,8]; the model wants image: float[N,1,8,8]");
    let bytes = Tensor::from_values(&[2, 1, 8, 8], vec![0u8; 128]).unwrap();
    assert_snapshot!(refused(&[("images", bytes), labels.clone()], &[]), @"
    error: samples.npz: `images` is uint8[2,1,8,8], but input `image` is float[N,1,8,8]; the model wants image: float[N,1,8,8]
      help: `--preprocess scale=1/255`, with `mean` and `std` where the model was trained so, makes numbers of bytes
    ");
    let mut values = vec![0f32; 128];
    values[100] = f32::NAN;
    let nan = Tensor::from_values(&[2, 1, 8, 8], values).unwrap();
    assert_snapshot!(refused(&[("image", nan), labels.clone()], &[]), @"error: samples.npz: `image` has a NaN in sample 1");
    let mut values = vec![0f32; 128];
    values[3] = f32::INFINITY;
    let infinite = Tensor::from_values(&[2, 1, 8, 8], values).unwrap();
    assert_snapshot!(refused(&[("image", infinite), labels.clone()], &[]), @"error: samples.npz: `image` has an infinity in sample 0");
    assert_snapshot!(refused(&[("image", images(3)), labels.clone()], &[]), @"error: samples.npz: `labels` has 2 samples, but `image` has 3");
    assert_snapshot!(refused(&[("image", images(2)), ("labels", Tensor::vector(vec![0.5f32, 1.0]))], &[]), @"error: samples.npz: labels `labels` are float[2], expected one whole number a sample, as int64[N]");
    assert_snapshot!(refused(&[("image", images(2)), ("labels", Tensor::vector(vec![1i64, 10]))], &[]), @"
    error: sample 1 has label 10, but output `logits` has 10 classes, 0 to 9
      help: `--label-offset N` adds a number to each label, `--output NAME` takes the scores of another output
    ");
    assert_snapshot!(refused(&[("image", images(2))], &[]), @"
    error: samples.npz: the samples have no labels, and there is no reference model to agree with
      help: put an array `labels` beside the inputs, or name a model with `--ref`
    ");
    assert_snapshot!(refused(&[("image", images(2)), labels], &["--preprocess", "imagenet"]), @"error: samples.npz: 1 channels, but mean has 3 numbers");
}

/// A network with an output before the scores, and a class for what is none before all others.
#[test]
fn the_scores_of_another_output_and_classes_that_begin_with_the_background() {
    let place = Workplace::new();
    place.write(
        "two.txt",
        b"g (float[N,3] x) => (float[N,2] first, float[N,4] scores) <float[1,1] none = splat(-9.0), int64[4] pads = {0, 1, 0, 0}, float nine = splat(-9.0), int64[2] a = {0, 1}> { first = Gather <axis = 1> (x, a) scores = Pad(x, pads, nine) }",
    );
    place.run(["parse", "two.txt", "-o", "two.onnx"]).assert_done();
    let x = Tensor::from_values(&[2, 3], vec![3f32, 2.0, 1.0, 0.0, 5.0, 9.0]).unwrap();
    let arrays =
        [("x".to_owned(), Value::Tensor(x)), ("labels".to_owned(), Value::Tensor(Tensor::vector(vec![0i64, 2])))];
    npz::write(&place.path("s.npz"), arrays.iter().map(|(name, value)| (name.clone(), value))).unwrap();
    let args = ["eval", "two.onnx", "--data", "s.npz"];
    let found = place.run([&args[..], &["--output", "scores", "--label-offset", "1", "--json"]].concat()).json();
    assert_eq!((&found["top1"], &found["classes"], &found["output"]), (&1.0.into(), &4.into(), &"scores".into()));
    let refused = |more: &[&str]| place.refused(1, [&args[..], more].concat());
    assert_snapshot!(refused(&[]), @"
    error: sample 1 has label 2, but output `first` has 2 classes, 0 to 1
      help: `--label-offset N` adds a number to each label, `--output NAME` takes the scores of another output
    ");
    assert_snapshot!(refused(&["--output", "scores", "--label-offset", "-1"]), @"
    error: sample 0 has label 0 and an offset of -1, but output `scores` has 4 classes, 0 to 3
      help: `--label-offset N` adds a number to each label, `--output NAME` takes the scores of another output
    ");
    assert_snapshot!(refused(&["--output", "third"]), @"error: model: no output `third`, expected scores; it has first, scores");
}

#[test]
fn a_preprocessing_with_a_typo_is_found_before_the_model_is_opened() {
    let said = Workplace::new().refused(2, ["eval", "none.onnx", "--data", "none", "--preprocess", "imagnet,crop=224"]);
    assert_snapshot!(said, @"
    error: unknown option or preset `imagnet`
     --> preprocess:1:1
      |
    1 | imagnet,crop=224
      | ^^^^^^^
      |
      = help: did you mean `imagenet`?
    ");
}

/// A PNG file of gray values.
fn png(width: u32, height: u32, values: &[f32]) -> Vec<u8> {
    let pixels: Vec<u8> = values.iter().map(|value| *value as u8).collect();
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::GrayImage::from_raw(width, height, pixels).unwrap();
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
