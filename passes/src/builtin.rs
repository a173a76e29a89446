//! The passes and presets that come with onnxpress. A new pass adds a line.

use crate::pass::Passes;
use crate::pipeline::RegistryError;

/// Every pass and preset that comes with onnxpress, for [`Passes::pipeline`] to resolve text with. Add your own to it.
///
/// # Errors
/// Never, unless two passes share a name: a defect, which a test would show.
pub fn builtin() -> Result<Passes, RegistryError> {
    let mut passes = Passes::default();
    passes.register::<crate::InferShapes>()?;
    passes.register::<crate::EliminateDead>()?;
    passes.register::<crate::simplify::EliminateIdentity>()?;
    passes.register::<crate::fold_constants::FoldConstants>()?;
    passes.register::<crate::simplify::FuseConvBn>()?;
    Ok(passes)
}
