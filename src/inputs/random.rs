//! A stream of random numbers for each input.

use onnxpress_ir::random::SplitMix64;

/// The stream of one input: independent of those of the others, and of their order.
pub(super) fn stream(seed: u64, name: &str) -> SplitMix64 {
    // FNV-1a, so that the name counts.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    SplitMix64::new(hash ^ SplitMix64::new(seed).bits())
}
