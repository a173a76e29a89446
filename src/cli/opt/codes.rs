//! What codes of weights take, in the report of a run.

use serde::Serialize;

use crate::inspect::human;
use crate::passes::CodeBytes;

/// The codes of a weight.
#[derive(Serialize)]
pub(super) struct Codes {
    tensor: String,
    r#type: String,
    bits: u32,
    codes: usize,
    bytes: usize,
    zstd_bytes: usize,
    /// Bits a code.
    entropy: f64,
}

impl Codes {
    pub(super) fn of(all: &[CodeBytes]) -> Vec<Self> {
        let one = |it: &CodeBytes| Self {
            tensor: it.tensor.clone(),
            r#type: it.dtype.to_string(),
            bits: it.bits,
            codes: it.codes,
            bytes: it.raw,
            zstd_bytes: it.zstd,
            entropy: it.entropy,
        };
        all.iter().map(one).collect()
    }

    /// What all of them take, in a sentence; `None` where there are none.
    pub(super) fn sentence(all: &[Self]) -> Option<String> {
        let sum = |of: &dyn Fn(&Self) -> f64| all.iter().map(of).sum::<f64>();
        let codes = sum(&|it| it.codes as f64);
        let mean = |of: &dyn Fn(&Self) -> f64| sum(&|it| of(it) * it.codes as f64) / codes.max(1.0);
        (!all.is_empty()).then(|| {
            format!(
                "codes of {:.1} bits: {}B, {}B after zstd, {:.2} bits of entropy",
                mean(&|it| f64::from(it.bits)),
                human(sum(&|it| it.bytes as f64) as u64),
                human(sum(&|it| it.zstd_bytes as f64) as u64),
                mean(&|it| it.entropy),
            )
        })
    }
}
