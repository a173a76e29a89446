//! A model of gigabytes, and what it costs to copy as many bytes in memory.

use std::path::Path;
use std::time::Instant;

use onnxpress::proto::schema::TensorProto;
use onnxpress::proto::{Bytes, write_atomically};

use crate::generate::{model, node};
use crate::medians::{RUNS, median};

/// 113 weights of 16 MiB: 1.9 GB.
const WEIGHTS: usize = 113;

/// So many numbers that look random, evenly around zero, as bytes.
pub(crate) fn noise(count: usize) -> Bytes {
    let mut state = 1u32;
    let number = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 16_777_216.0 - 0.5).to_le_bytes()
    });
    Bytes::from_iter(number.take(count).flatten())
}

/// A chain of matrix products with weights of 16 MiB, 1.9 GB in all.
pub(crate) fn large(path: &Path) {
    products(path, WEIGHTS, 2048);
}

/// A chain of products with so many matrices of `side` by `side`.
pub(crate) fn products(path: &Path, weights: usize, side: usize) {
    let noise = noise(side * side + weights);
    let weight = |index: usize| TensorProto {
        name: Some(format!("w{index}").into()),
        dims: vec![side as i64; 2],
        data_type: Some(1),
        // Different weights, so that nothing is stored once for many.
        raw_data: Some(noise.slice(4 * index..4 * (index + side * side))),
        ..TensorProto::default()
    };
    let nodes =
        (0..weights).map(|i| node("MatMul", &[format!("v{i}"), format!("w{i}")], format!("v{}", i + 1))).collect();
    let made = model(nodes, (0..weights).map(weight).collect(), side as i64, &format!("v{weights}"));
    write_atomically(path, &made).unwrap();
}

/// Seconds that a copy of so many bytes takes in memory.
pub(crate) fn memcpy_seconds(bytes: usize) -> f64 {
    let from = vec![1u8; bytes];
    let mut to = vec![0u8; bytes];
    let times = (0..RUNS).map(|_| {
        let clock = Instant::now();
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
        clock.elapsed().as_secs_f64()
    });
    median(times.collect())
}
