//! Pooling: windows, or everything, gathered into one number.

mod average_pool;
mod global;
mod gradient;
mod lp_pool;
mod max_pool;
mod max_roi_pool;
mod max_unpool;
mod windowed;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &average_pool::AVERAGE_POOL,
    &global::GLOBAL_AVERAGE_POOL,
    &global::GLOBAL_LP_POOL,
    &global::GLOBAL_MAX_POOL,
    &lp_pool::LP_POOL,
    &max_pool::MAX_POOL,
    &max_roi_pool::MAX_ROI_POOL,
    &max_unpool::MAX_UNPOOL,
];
