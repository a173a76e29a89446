//! The version of the standard that codes need.

use onnxpress_ir::Model;

use crate::pass::{Pass, PassCx, PassError};
use crate::upgrade_opset::{Opset, UpgradeOpset};

/// The oldest version of the standard that a part of the model is written in; `None` where none imports it.
pub(crate) fn oldest(model: &Model) -> Option<i64> {
    let bodies = model.functions.iter().map(|function| &function.body);
    std::iter::once(&model.graph).chain(bodies).filter_map(|graph| graph.opsets.version(b"")).min()
}

/// Brings a model to a version of the standard at least, as far as it goes; answers the version before and after. What is in
/// the way is declined.
///
/// # Errors
/// Where the model is older and `may` it not be brought there. Where it only cannot be, the version that it reached says so.
pub(crate) fn raise(model: &mut Model, to: i64, may: bool, cx: &mut PassCx<'_>) -> Result<(i64, i64), PassError> {
    let before = oldest(model).unwrap_or(0);
    if before >= to || before == 0 {
        return Ok((before, before));
    }
    if !may {
        return Err(PassError::Request(format!(
            "this takes opset {to}, the model has {before}, and `upgrade` is false"
        )));
    }
    // A function may be written in a newer version than asked for; going on from there is no way back.
    let newest = model.graph.opsets.version(b"").unwrap_or(to).max(to);
    let mut upgrade = PassCx::new(cx.request);
    UpgradeOpset { to: Opset::of(newest) }.run(model, &mut upgrade)?;
    for decline in upgrade.declines() {
        cx.declined(UpgradeOpset::NAME, decline.site.clone(), decline.reason.clone());
    }
    Ok((before, oldest(model).unwrap_or(before)))
}
