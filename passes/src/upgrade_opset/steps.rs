//! What changes at which version: the facet of operators that upgrades read.
//!
//! A line for every version of an operator that has something new to it, and for those whose text was changed in more than
//! wording. What a schema shows to be [the same](super::compatible) needs none; a test finds what is missing.

use onnxpress_ir::Name;
use onnxpress_ops::schema::{self, OpSchema};

use super::compatible;
use super::rules::{
    attribute_to_operand as operand, batch_normalization, default, dropout, experimental, group_normalization, resize,
    scan, softmax,
};
use super::site::{Refusal, Site};

/// What a version changes for who used the one before.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// Nothing, because.
    Same(
        #[allow(dead_code, reason = "the reason is for who reads the list, and a test sees that there is one")]
        &'static str,
    ),
    /// The node is rewritten.
    Rule(fn(&mut Site<'_>) -> Result<(), Refusal>),
    /// What it meant can no longer be said, because.
    Stop(&'static str),
}

/// A version of an operator.
pub(super) struct Step {
    pub(super) operator: &'static str,
    pub(super) since: i64,
    pub(super) change: Change,
}

const fn same(operator: &'static str, since: i64, why: &'static str) -> Step {
    Step { operator, since, change: Change::Same(why) }
}

const fn rule(operator: &'static str, since: i64, rule: fn(&mut Site<'_>) -> Result<(), Refusal>) -> Step {
    Step { operator, since, change: Change::Rule(rule) }
}

const FIRST: &str = "the first of equal elements was the only choice, and is the default";
const LAYOUT: &str = "the layout that there was is the default";
const EIGHT_BITS: &str = "what is new is about floats of 8 bits and fewer, which came with it";
const CEIL_MODE: &str = "extents are rounded down by default, as they were";
const DILATIONS: &str = "windows are dense by default, as they were";
const PADDED: &str = "that no window begins in the padding at the end was so in runtimes before it was written";
const REDUCTION: &str = "elements are put in place of others by default, as they were";
const NEGATIVE: &str = "counting from the end is new, and what counts so was an error";

/// By operator, then version.
pub(super) const STEPS: &[Step] = &[
    rule("Affine", 10, experimental::affine),
    same("ArgMax", 12, FIRST),
    same("ArgMin", 12, FIRST),
    same("Attention", 24, "without lengths every key is attended to, as before"),
    same("Attention", 25, "windows are unbounded by default"),
    same("AveragePool", 10, CEIL_MODE),
    same("AveragePool", 19, DILATIONS),
    same("AveragePool", 22, PADDED),
    rule("BatchNormalization", 9, batch_normalization::without_spatial),
    rule("BatchNormalization", 14, batch_normalization::training_mode),
    same("BitShift", 28, "what is new is about signed integers, which came with it"),
    same("Cast", 19, EIGHT_BITS),
    same("Cast", 24, EIGHT_BITS),
    same("CastLike", 19, EIGHT_BITS),
    same("CastLike", 24, EIGHT_BITS),
    rule("Clip", 11, operand::clip),
    same("Constant", 11, "only adds ways to say the value"),
    same("Constant", 12, "only adds ways to say the value"),
    same("ConvTranspose", 11, "a formula for odd padding was mended that no runtime had taken at its word"),
    rule("Crop", 10, experimental::crop),
    rule("DFT", 20, operand::dft_axis),
    same("DepthToSpace", 11, "the order that there was is the default"),
    same("DequantizeLinear", 13, "a scale of one element is for all, whatever the axis"),
    same("DequantizeLinear", 21, "scales are not for blocks by default"),
    same("DequantizeLinear", 23, "the result is of the scale's type by default"),
    rule("Dropout", 10, dropout::mask),
    rule("Dropout", 12, dropout::ratio),
    same("GRU", 14, LAYOUT),
    same("Gather", 11, NEGATIVE),
    same("GatherND", 12, "no axis is a batch by default"),
    rule("GridSample", 20, default::grid_sample),
    rule("GroupNormalization", 21, group_normalization::for_channels),
    rule("Hardmax", 13, softmax::one_axis),
    rule("ImageScaler", 10, experimental::image_scaler),
    same("LSTM", 14, LAYOUT),
    same("LayerNormalization", 17, "onnxruntime had it before under the same name"),
    rule("LogSoftmax", 13, softmax::one_axis),
    same("LpPool", 18, "dense windows and extents rounded down are the default, as they were"),
    same("MaxPool", 8, "indices are optional"),
    same("MaxPool", 10, "dense windows and extents rounded down are the default, as they were"),
    same("MaxPool", 22, PADDED),
    same("OneHot", 11, NEGATIVE),
    rule("Pad", 11, operand::pad),
    same("Pad", 18, "without axes all are meant, as before"),
    same("QuantizeLinear", 13, "a scale of one element is for all, whatever the axis"),
    same("QuantizeLinear", 19, EIGHT_BITS),
    same("QuantizeLinear", 21, "scales are not for blocks, and the zero point tells the type, by default"),
    same("QuantizeLinear", 23, "by default it is computed in the precision that it was"),
    same("RNN", 14, LAYOUT),
    same("Range", 27, "what is new is about floats of 16 bits, which came with it"),
    rule("ReduceL1", 18, operand::axes),
    rule("ReduceL2", 18, operand::axes),
    rule("ReduceLogSum", 18, operand::axes),
    rule("ReduceLogSumExp", 18, operand::axes),
    rule("ReduceMax", 18, operand::axes),
    rule("ReduceMean", 18, operand::axes),
    rule("ReduceMin", 18, operand::axes),
    rule("ReduceProd", 18, operand::axes),
    rule("ReduceSum", 13, operand::axes),
    rule("ReduceSumSquare", 18, operand::axes),
    same("Reshape", 14, "0 keeps an extent by default, as it did"),
    rule("Resize", 11, resize::coordinates),
    rule("Resize", 13, resize::optional_operands),
    same("Resize", 18, "all axes, no antialiasing and no proportions kept are the default, as they were"),
    rule("RoiAlign", 16, default::roi_align),
    rule("Scan", 9, scan::without_batch),
    rule("Scatter", 11, default::scatter),
    same("ScatterElements", 16, REDUCTION),
    same("ScatterND", 16, REDUCTION),
    same("Shape", 15, "all extents are the default"),
    rule("Slice", 10, operand::slice),
    rule("Softmax", 13, softmax::one_axis),
    same("SpaceToDepth", 28, "the order that there was is the default"),
    rule("Split", 13, operand::split),
    rule("Split", 18, default::num_outputs),
    rule("Squeeze", 13, operand::axes),
    same("ThresholdedRelu", 10, "onnxruntime had it before under the same name"),
    rule("TopK", 10, operand::top_k),
    same("TopK", 11, "the largest, sorted, are the default, as they were"),
    rule("Unsqueeze", 13, operand::axes),
    rule("Upsample", 9, operand::scales),
    rule("Upsample", 10, resize::upsample),
];

/// What a version changes for nodes of this operator of the standard's domain; `None` where it is the same as before.
pub(super) fn change(operator: &Name, version: i64) -> Option<Change> {
    let name = operator.as_bytes();
    let Some(old) = known(name, version - 1) else {
        return Some(Change::Stop("the standard has no such operator, so what versions change about it is not known"));
    };
    let new = known(name, version).filter(|new| !std::ptr::eq(*new, old))?;
    let listed = STEPS.iter().find(|step| step.operator.as_bytes() == name && step.since == version);
    match listed {
        Some(step) => Some(step.change).filter(|change| !matches!(change, Change::Same(_))),
        None if compatible::is_same(old, new) => None,
        None if new.deprecated => Some(Change::Stop("it was taken out of the standard")),
        None => Some(Change::Stop("it is another operator from here on")),
    }
}

fn known(name: &[u8], version: i64) -> Option<&'static OpSchema> {
    schema::schema(schema::STANDARD, name, version).or_else(|| schema::extension(name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is neither listed nor the same by its schemas would be a change that nobody has looked at.
    #[test]
    fn every_version_is_listed_or_the_same_by_its_schemas() {
        let mut missing = Vec::new();
        for name in schema::operators(schema::STANDARD) {
            for pair in schema::versions(schema::STANDARD, name).windows(2) {
                let [old, new] = pair else { continue };
                let listed = STEPS.iter().any(|step| step.operator == name && step.since == new.since_version);
                if new.since_version > super::super::OLDEST && !listed && !compatible::is_same(old, new) {
                    missing.push(format!("{name} {}", new.since_version));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_list_is_sorted_and_of_versions_that_there_are() {
        let key = |step: &Step| (step.operator, step.since);
        assert!(STEPS.is_sorted_by(|a, b| key(a) < key(b)));
        for Step { operator, since, .. } in STEPS {
            let (old, new) = (known(operator.as_bytes(), since - 1), known(operator.as_bytes(), *since));
            assert!(old.is_some() && new.is_some_and(|new| new.since_version == *since), "{operator} {since}");
        }
    }

    /// A reason says why, in words.
    #[test]
    fn what_is_the_same_says_why() {
        let why = |step: &Step| match step.change {
            Change::Same(why) | Change::Stop(why) => why.split(' ').count() > 2,
            Change::Rule(_) => true,
        };
        assert!(STEPS.iter().all(why));
    }
}
