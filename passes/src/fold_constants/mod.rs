//! `fold-constants`: computes once what is the same for every input.

mod cone;
mod constant_to_initializer;
mod fold_constant;

pub use constant_to_initializer::ConstantToInitializer;
pub use fold_constant::FoldConstant;

use onnxpress_ir::Model;

use crate::options::ByteSize;
use crate::pass::{Pass, PassCx, PassError};
use crate::rewrite::{AnyRule, rewrite};

crate::options! {
    /// Replaces what depends on constants alone by constants.
    ///
    /// Also what depends on shapes alone, where these are known; in the main graph, in subgraphs and in functions. Nothing is
    /// folded that would make the file larger on balance; nor random numbers, inputs with a default, what
    /// functions of the model compute, or weights that are stored quantized. Constants that the file writes as nodes become
    /// initializers.
    pub struct FoldConstants {
        /// The largest constant that is computed.
        limit: ByteSize = FoldConstant::LIMIT,
        /// What one constant may add to the file, as long as the file stays smaller than it came.
        growth: ByteSize = FoldConstant::GROWTH,
    }
}

impl Pass for FoldConstants {
    const NAME: &'static str = "fold-constants";
    const RULES: &'static [&'static dyn AnyRule] =
        &[&ConstantToInitializer, &FoldConstant { limit: FoldConstant::LIMIT, growth: FoldConstant::GROWTH }];

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        rewrite(model, &[&ConstantToInitializer, &FoldConstant { limit: self.limit, growth: self.growth }], cx);
        Ok(())
    }
}
