#![allow(clippy::unwrap_used)]

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn shown(text: &str) -> String {
    text.parse::<Preprocess>().unwrap().to_string()
}

fn wrong(text: &str) -> String {
    text.parse::<Preprocess>().unwrap_err().render(text)
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(shown("scale=1/255"), "scale=0.003921569,mean=[0],std=[1],layout=nchw");
    let all = "scale = 0.5, mean=[1, 2/4 ,3], std=2, layout=nhwc, resize=256, crop=224, bgr";
    assert_eq!(shown(all), "scale=0.5,mean=[1,0.5,3],std=[2],layout=nhwc,resize=256,crop=224,bgr");
}

#[test]
fn options_change_the_preset_that_stands_before_them() {
    let imagenet = "scale=0.003921569,mean=[0.485,0.456,0.406],std=[0.229,0.224,0.225],layout=nchw";
    assert_eq!(shown("imagenet"), imagenet);
    assert_eq!(shown("imagenet,resize=256,crop=224"), format!("{imagenet},resize=256,crop=224"));
    assert_eq!(shown("imagenet,std=1"), imagenet.replace("[0.229,0.224,0.225]", "[1]"));
    for (preset, text) in PRESETS {
        assert_eq!(shown(preset), shown(text));
    }
}

#[test]
fn errors_mark_the_column() {
    assert_snapshot!(wrong("scale=1/255,men=[0,0,0]"), @"
    error: unknown option or preset `men`
     --> preprocess:1:13
      |
    1 | scale=1/255,men=[0,0,0]
      |             ^^^
      |
      = help: did you mean `mean`?
    ");
    assert_snapshot!(wrong("scale=1/x"), @"
    error: expected a number, as in `0.5` or `1/255`, found `1/x`
     --> preprocess:1:7
      |
    1 | scale=1/x
      |       ^^^
    ");
    assert_snapshot!(wrong("mean=[0.1, ,0.2]"), @"
    error: expected a number, as in `0.5` or `1/255`, found nothing
     --> preprocess:1:12
      |
    1 | mean=[0.1, ,0.2]
      |            ^
    ");
    assert_snapshot!(wrong("mean=[0.1,0.2"), @"
    error: this bracket is never closed
     --> preprocess:1:6
      |
    1 | mean=[0.1,0.2
      |      ^
    ");
    assert_snapshot!(wrong("std=[1,0]"), @"
    error: nothing can be divided by 0
     --> preprocess:1:5
      |
    1 | std=[1,0]
      |     ^^^^^
    ");
    assert_snapshot!(wrong("layout=chw"), @"
    error: expected `nchw` or `nhwc`, found `chw`
     --> preprocess:1:8
      |
    1 | layout=chw
      |        ^^^
    ");
    assert_snapshot!(wrong("crop"), @"
    error: option `crop` has no value
     --> preprocess:1:1
      |
    1 | crop
      | ^^^^
      |
      = help: write `crop=...`
    ");
    assert_snapshot!(wrong("bgr,crop=0"), @"
    error: expected an extent in pixels, 1 to 16384, found `0`
     --> preprocess:1:10
      |
    1 | bgr,crop=0
      |          ^
    ");
    assert_snapshot!(wrong("bgr,imagenet"), @"
    error: preset `imagenet` after options
     --> preprocess:1:5
      |
    1 | bgr,imagenet
      |     ^^^^^^^^
      |
      = help: a preset stands first, and what follows changes it
    ");
    assert_snapshot!(wrong("bgr,bgr"), @"
    error: option `bgr` is given twice
     --> preprocess:1:5
      |
    1 | bgr,bgr
      |     ^^^
    ");
    assert_snapshot!(wrong("grösse=3"), @"
    error: unknown option or preset `grösse`
     --> preprocess:1:1
      |
    1 | grösse=3
      | ^^^^^^
      |
      = help: there are scale, mean, std, layout, resize, crop, bgr, mnist, cifar10, imagenet
    ");
    assert_snapshot!(wrong(""), @"
    error: expected an option or a preset, found nothing
     --> preprocess:1:1
      |
    1 |
      | ^
    ");
}

/// Two channels of 2 by 3 pixels, and as many values as there are pixels, ascending.
fn picture(channels: usize) -> Picture {
    Picture { dims: [channels, 2, 3], pixels: Pixels::Bytes((0..channels as u8 * 6).collect()) }
}

fn apply(text: &str, picture: Picture) -> ([usize; 3], Vec<f32>) {
    text.parse::<Preprocess>().unwrap().apply(picture).unwrap()
}

#[test]
fn pixels_become_what_the_model_sees() {
    assert_eq!(apply("scale=2,mean=[1,3],std=[1,2]", picture(2)).1[5..8], [9.0, 4.5, 5.5]);
    let (dims, values) = apply("layout=nhwc", picture(2));
    assert_eq!((dims, &values[..4]), ([2, 3, 2], &[0.0, 6.0, 1.0, 7.0][..]));
    assert_eq!(apply("crop=2", picture(1)), ([1, 2, 2], vec![0.0, 1.0, 3.0, 4.0]));
    assert_eq!(apply("bgr,mean=[10,0,0],crop=1", picture(3)).1, [3.0, 7.0, 1.0]);
}

#[test]
#[cfg(feature = "images")]
fn the_shorter_side_is_given_the_extent() {
    let (dims, values) = apply("resize=4", picture(1));
    assert_eq!(dims, [1, 4, 6]);
    assert!(values.is_sorted_by(|a, b| a <= b || a - b <= 2.0) && values[0] == 0.0 && values[23] == 5.0, "{values:?}");
    let flat = Picture { dims: [1, 9, 8], pixels: Pixels::Bytes(vec![7; 72]) };
    assert_eq!(apply("resize=4", flat), ([1, 4, 4], vec![7.0; 16]));
}

#[test]
fn what_does_not_fit_the_picture_is_told() {
    let refused = |text: &str| text.parse::<Preprocess>().unwrap().apply(picture(2)).unwrap_err().to_string();
    assert_eq!(refused("crop=3"), "2 by 3 pixels are too small to cut 3 by 3 out of them");
    assert_eq!(refused("imagenet"), "2 channels, but mean has 3 numbers");
    assert_eq!(refused("bgr"), "2 channels, but bgr turns three around");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the text is, there is an answer; and what it parses to prints as text that parses to the same.
    #[test]
    fn any_text_has_an_answer(text in "[a-z=,\\[\\]0-9./ é-]{0,30}") {
        match text.parse::<Preprocess>() {
            Ok(made) => prop_assert_eq!(made.to_string().parse::<Preprocess>(), Ok(made)),
            Err(error) => prop_assert!(error.render(&text).starts_with("error: ")),
        }
    }

    #[test]
    fn what_is_printed_is_read(
        numbers in proptest::collection::vec(any::<f32>().prop_filter("finite", |x| x.is_finite() && *x != 0.0), 1..4),
        crop in proptest::option::of(1u32..500), bgr: bool, last: bool,
    ) {
        let layout = if last { Layout::Nhwc } else { Layout::Nchw };
        let (mean, std) = (numbers.clone(), numbers.clone());
        let made = Preprocess { resize: crop, crop, bgr, scale: numbers[0], mean, std, layout };
        prop_assert_eq!(made.to_string().parse::<Preprocess>(), Ok(made));
    }
}
