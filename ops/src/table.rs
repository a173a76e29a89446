//! The one table of operators. A new operator adds a word here and a file in the folder of its family.

use std::sync::OnceLock;

use onnxpress_ir::Node;
use rustc_hash::FxHashMap;

use crate::operator::Operator;

/// The data sheets of every family.
fn families() -> impl Iterator<Item = &'static Operator> {
    [
        crate::activation::OPERATORS,
        crate::attention::OPERATORS,
        crate::cast::OPERATORS,
        crate::contrib::OPERATORS,
        crate::control::OPERATORS,
        crate::creation::OPERATORS,
        crate::image::OPERATORS,
        crate::linear::OPERATORS,
        crate::signal::OPERATORS,
        crate::logic::OPERATORS,
        crate::loss::OPERATORS,
        crate::math::OPERATORS,
        crate::movement::OPERATORS,
        crate::normalization::OPERATORS,
        crate::pooling::OPERATORS,
        crate::quantization::OPERATORS,
        crate::random::OPERATORS,
        crate::recurrent::OPERATORS,
        crate::reduction::OPERATORS,
        crate::selection::OPERATORS,
        crate::sequence::OPERATORS,
        crate::shape::OPERATORS,
        crate::text::OPERATORS,
        crate::training::OPERATORS,
        crate::ml::OPERATORS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

type Index = FxHashMap<(&'static [u8], &'static [u8]), &'static Operator>;

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        families().map(|operator| ((operator.domain.as_bytes(), operator.name.as_bytes()), operator)).collect()
    })
}

/// The data sheet of an operator; the empty domain is the standard's.
pub fn operator(domain: &[u8], name: &[u8]) -> Option<&'static Operator> {
    index().get(&(onnxpress_ir::graph::canonical_domain(domain), name)).copied()
}

/// The data sheet of a node's operator.
pub fn of(node: &Node) -> Option<&'static Operator> {
    operator(node.domain.as_bytes(), node.op_type.as_bytes())
}

/// Every data sheet, by domain and name.
pub fn all() -> Vec<&'static Operator> {
    let mut all: Vec<_> = families().collect();
    all.sort_by_key(|operator| (operator.domain, operator.name));
    all
}
