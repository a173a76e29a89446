//! The passes and presets that come with onnxpress. A new pass adds a line.

use crate::pass::Passes;
use crate::pipeline::RegistryError;

/// All rules with one worklist; around it what is not made of rules and makes work for them: bodies of functions where they
/// are called, what is there twice, and constants, functions and imports that nothing reads any more.
const SIMPLIFY: &str = "fixpoint(inline-functions{when=no-larger},canonicalize,dedupe-initializers,\
                        eliminate-common-subexpressions,eliminate-dead)";

/// Every pass and preset that comes with onnxpress, for [`Passes::pipeline`] to resolve text with. Add your own to it.
///
/// # Errors
/// Never, unless two passes share a name: a defect, which a test would show.
pub fn builtin() -> Result<Passes, RegistryError> {
    let mut passes = Passes::default();
    passes.register::<crate::InferShapes>()?;
    passes.register::<crate::EliminateDead>()?;
    passes.register::<crate::simplify::Canonicalize>()?;
    passes.register::<crate::simplify::EliminateIdentity>()?;
    passes.register::<crate::fold_constants::FoldConstants>()?;
    passes.register::<crate::simplify::FuseConvBn>()?;
    passes.register::<crate::simplify::FuseOperators>()?;
    passes.register::<crate::DedupeInitializers>()?;
    passes.register::<crate::EliminateCommonSubexpressions>()?;
    passes.register::<crate::simplify::MergeParallelLayers>()?;
    passes.register::<crate::InlineFunctions>()?;
    passes.register::<crate::UpgradeOpset>()?;
    passes.register::<crate::specialize::SetDim>()?;
    passes.register::<crate::specialize::SetInput>()?;
    passes.register::<crate::specialize::InitializersAsConstants>()?;
    passes.register::<crate::prune_channels::PruneChannels>()?;
    passes.register::<crate::plan::ApplyPlan>()?;
    passes.register::<crate::quantize::Quantize>()?;
    passes.register::<crate::quantize::Equalize>()?;
    passes.register::<crate::quantize::SmoothQuant>()?;
    passes.register::<crate::quantize::QuantizeWeights>()?;
    passes.register::<crate::quantize::QuantizeDynamic>()?;
    passes.register::<crate::quantize::Palettize>()?;
    passes.register::<crate::quantize::AllocateBits>()?;
    passes.register::<crate::quantize::Dequantize>()?;
    passes.register::<crate::CorrectBias>()?;
    passes.register::<crate::RecalibrateBatchNorm>()?;
    passes.register::<crate::convert_float::ConvertFloat>()?;
    passes.register::<crate::Factorize>()?;
    passes.register::<crate::MergeFactors>()?;
    passes.register::<crate::Sparsify>()?;
    passes.register::<crate::Differentiate>()?;
    passes.register::<crate::Distil>()?;
    passes.add_preset("simplify", "Fewer nodes that compute the same, in a file that is no larger.", SIMPLIFY)?;
    Ok(passes)
}
