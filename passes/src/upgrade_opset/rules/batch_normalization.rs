//! BatchNormalization: `spatial` is gone at 9, and training is asked for by an attribute from 14 on.

use onnxpress_ir::Attr;

use crate::upgrade_opset::site::{Refusal, Site};

/// Parameters are one a channel; `spatial = 0` had one an element of a sample, which is the same where a sample is nothing
/// but channels.
pub(in crate::upgrade_opset) fn without_spatial(site: &mut Site<'_>) -> Result<(), Refusal> {
    if site.int("spatial")? == Some(0) && site.cx()?.rank(0) != Some(2) {
        return Err("`spatial = 0` asks for parameters of every element".to_owned());
    }
    site.remove_attr("spatial");
    site.done()
}

/// More than one output meant training. The statistics of the batch itself were outputs 3 and 4 and are no more.
pub(in crate::upgrade_opset) fn training_mode(site: &mut Site<'_>) -> Result<(), Refusal> {
    let cx = site.cx()?;
    let trains = cx.node.port_count() > 1;
    if site.is_read(3) || site.is_read(4) {
        return Err("it gives out the statistics of the batch".to_owned());
    }
    for port in [4, 3] {
        if site.cx()?.node.port_count() > port as usize {
            site.edit.omit_output(site.id.port(port));
        }
    }
    if trains {
        site.set_attr(Attr::int("training_mode", 1));
    }
    site.done()
}
