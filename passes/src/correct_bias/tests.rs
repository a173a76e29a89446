#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::Model;

use crate::quantize::calibrated::tests::{run_on_samples, samples_of};

const NET: &str = "
    net (float[N,2,6,6] x) => (float[N,3,6,6] y)
    <float[4,2,3,3] w = normal(seed=1), float[4] scale = normal(seed=2), float[4] shift = normal(seed=3), float[4] mean = normal(seed=4),
     float[4] var = splat(2), float[3,4,1,1] v = normal(seed=5), float[3] c = normal(seed=6)> {
        a = Conv<pads = [1, 1, 1, 1]>(x, w)
        n = BatchNormalization(a, scale, shift, mean, var)
        r = Relu(n)
        y = Conv(r, v, c)
    }";

/// How far the means of channels are off.
fn off(pipeline: &str) -> f64 {
    let (made, report) = run_on_samples(pipeline, NET);
    report.unwrap();
    let (exact, found) = (samples_of(&Model::from_text(NET).unwrap()), samples_of(&made));
    let mut means = [0f64; 3];
    for (place, (exact, found)) in exact[0].iter().zip(&found[0]).enumerate() {
        means[place / 36 % 3] += f64::from(found - exact);
    }
    means.iter().map(|mean| mean.abs()).sum::<f64>() / (exact[0].len() / 3) as f64
}

#[test]
fn means_are_as_they_were() {
    for lossy in [
        "quantize{grow=true, weights=int8, correct-bias=false, granularity=tensor, calibration=percentile, percentile=90}",
        "quantize-weights{bits=4}",
    ] {
        let (before, after) =
            (off(&format!("fuse-conv-bn,{lossy}")), off(&format!("fuse-conv-bn,{lossy},correct-bias")));
        assert!(after < 0.3 * before, "{lossy}: {after} of {before}");
    }
}

#[test]
fn batch_normalizations_say_what_means_were() {
    let lossy = "fuse-conv-bn,quantize{grow=true, reduce-range=true, correct-bias=false, granularity=tensor}";
    let (_, report) = run_on_samples(&format!("{lossy},correct-bias{{source=batch-norm}}"), NET);
    let report = report.unwrap();
    // The first layer reads an input, of which no normalization says anything.
    let last = report.passes.last().unwrap();
    assert_eq!((last.applied["correct-bias"], last.declined.len()), (1, 1));
}

#[test]
fn requests_that_make_no_sense() {
    let (_, report) = run_on_samples("correct-bias", NET);
    assert_eq!(report.unwrap().notices, ["no lossy pass has changed the model, so no mean has moved"]);
    let (_, report) = run_on_samples("quantize{grow=true},correct-bias{keep=[nobody]}", NET);
    let error = report.unwrap_err();
    assert!(error.ends_with("the pattern `nobody` matches no node and no constant"), "{error}");
}
