//! Weights in few bits: what static, dynamic and weight-only quantization share.
//!
//! Which constants are weights, and along which axis their output channels run, [`sites`] reads off the data sheets. A
//! [`Scheme`] says in what type and how to round, a [`Granularity`] how many scales there are; [`quantize`] chooses scales and
//! zero points and makes the codes, or a [`Grid`] has whoever chooses codes by more than the nearest, such as [`Feedback`]. [`parts`] puts them into a graph, under
//! names that derive from the weight's, for [`node`] to read.
//!
//! The loops over elements are in [`kernel`], over segments that [`layout`] cuts; everything else is bookkeeping. Results do
//! not depend on the number of threads: a scale is chosen by one thread, from its elements in their order.

pub(crate) mod adaptive;
mod choose;
mod coded;
mod descent;
mod feedback;
mod grid;
mod kernel;
mod layout;
mod place;
mod quantized;
mod relaxed;
mod scheme;
mod sites;
mod table;

pub(crate) use descent::Descent;
pub(crate) use feedback::Feedback;
pub(crate) use grid::{Grid, stored as stored_scale};
pub(crate) use layout::Granularity;
pub(crate) use place::{Parts, Written, node, oldest_opset, parts};
pub(crate) use quantized::{Quantized, quantize};
pub use scheme::Rounding;
pub(crate) use scheme::{Meaning, Refusal, Scheme};
#[allow(unused_imports, reason = "static quantization reads it")]
pub(crate) use sites::channel_axis;
pub(crate) use sites::{Role, Site, sites};
pub(crate) use table::NF4;
