//! Any text, as a pipeline: it parses and resolves, or is refused with an error that can be shown; and what is printed
//! reads back as what it was printed from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use onnxpress_passes::options::{ByteSize, Pattern, Ratio};
use onnxpress_passes::pipeline::{PassSpec, Registry, text};
use onnxpress_passes::{option_enum, options};

option_enum! {
    /// An option of few values.
    pub enum Scope {
        /// One.
        Global,
        /// The other.
        PerGroup,
    }
}

options! {
    /// An option of every kind.
    pub struct Prune {
        /// A number.
        ratio: Ratio = Ratio::HALF,
        /// A choice.
        scope: Scope = Scope::Global,
        /// A list.
        keep: Vec<Pattern> = Vec::new(),
        /// A size, or nothing.
        limit: Option<ByteSize> = None,
        /// A string, or nothing.
        label: Option<String> = None,
        /// An integer.
        seed: u64 = 0,
        /// A number of any size.
        weight: f64 = 1.0,
        /// A truth value.
        dry: bool = false,
    }
}

options! {
    /// No option at all.
    pub struct Fold;
}

fn registry() -> Registry<()> {
    let mut registry = Registry::default();
    registry.add(PassSpec::of::<Fold>("fold"), |_: Fold| ()).expect("a free name");
    registry.add(PassSpec::of::<Prune>("prune"), |_: Prune| ()).expect("a free name");
    registry.add_preset("simplify", "A preset.", "fixpoint(fold)").expect("a pipeline");
    registry
}

fuzz_target!(|input: &str| {
    let ast = match text::parse(input) {
        Ok(ast) => ast,
        Err(error) => {
            let shown = (error.to_string(), error.render(input, true));
            assert!(!shown.0.is_empty() && !shown.1.is_empty());
            return;
        }
    };
    assert_eq!(text::parse(&ast.to_string()).as_ref(), Ok(&ast), "the tree prints as another");
    let registry = registry();
    match registry.resolve(&ast) {
        Ok(pipeline) => {
            let printed = pipeline.to_string();
            let again = registry.pipeline(&printed).map(|again| again.to_string());
            assert_eq!(again.as_ref(), Ok(&printed), "the pipeline prints as another");
        }
        Err(error) => assert!(!error.render(input, false).is_empty()),
    }
});
