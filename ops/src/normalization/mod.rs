//! Normalization: elements moved and scaled by statistics, given or taken.

mod batch;
mod gradient;
mod group;
mod instance;
mod layer;
mod lp;
mod lrn;
mod mean_variance;
mod moments;

use crate::operator::Operator;

pub use batch::NormalizedBy;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &batch::BATCH_NORMALIZATION,
    &group::GROUP_NORMALIZATION,
    &instance::INSTANCE_NORMALIZATION,
    &layer::LAYER_NORMALIZATION,
    &layer::RMS_NORMALIZATION,
    &lrn::LRN,
    &lp::LP_NORMALIZATION,
    &mean_variance::MEAN_VARIANCE_NORMALIZATION,
];
