//! Which tensors are equal, without reading more of a large model than it takes.
//!
//! Of tensors that alone have their type and shape no element is read; of others a few, spread over the whole; only those
//! that agree in these are read, and compared bit for bit.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use onnxpress_ir::{DType, Tensor};

use super::tree::Found;

/// Places that are looked at before a tensor is read.
const SAMPLES: usize = 16;

/// Bytes that are looked at at each place.
const RUN: usize = 8;

/// Tensors that agree in type, shape and samples, from which on digests are compared and not each with each.
const MANY: usize = 4;

/// Lists of constants that are equal, by their numbers, ascending; those that equal no other are left out.
pub(super) fn classes(constants: &[Found<'_>]) -> Vec<Vec<usize>> {
    let mut shaped: BTreeMap<(DType, &[usize]), Vec<usize>> = BTreeMap::new();
    for (index, found) in constants.iter().enumerate() {
        shaped.entry((found.tensor.dtype(), found.tensor.dims())).or_default().push(index);
    }
    let mut classes = Vec::new();
    for list in several(shaped) {
        let mut sampled: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for index in list {
            sampled.entry(sample(constants[index].tensor)).or_default().push(index);
        }
        for list in several(sampled) {
            if list.len() < MANY {
                classes.extend(one_by_one(constants, list));
                continue;
            }
            let mut digested: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
            for index in list {
                digested.entry(constants[index].tensor.digest()).or_default().push(index);
            }
            classes.extend(several(digested));
        }
    }
    classes.sort();
    classes
}

fn several<K>(lists: BTreeMap<K, Vec<usize>>) -> impl Iterator<Item = Vec<usize>> {
    lists.into_values().filter(|list| list.len() > 1)
}

fn one_by_one(constants: &[Found<'_>], list: Vec<usize>) -> Vec<Vec<usize>> {
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for index in list {
        let tensor = constants[index].tensor;
        match classes.iter_mut().find(|class| constants[class[0]].tensor.same_as(tensor)) {
            Some(class) => class.push(index),
            None => classes.push(vec![index]),
        }
    }
    classes.retain(|class| class.len() > 1);
    classes
}

/// A number that equal tensors share and others hardly.
fn sample(tensor: &Tensor) -> u64 {
    let mut hasher = DefaultHasher::new();
    match (tensor.bytes(), tensor.strings()) {
        (Some(bytes), _) => {
            let last = bytes.len().saturating_sub(RUN);
            for place in 0..SAMPLES {
                let at = last / (SAMPLES - 1) * place;
                hasher.write(&bytes[at..(at + RUN).min(bytes.len())]);
            }
            hasher.write(&bytes[last..]);
        }
        (_, Some(strings)) => strings.iter().take(SAMPLES).for_each(|string| hasher.write(string)),
        _ => {}
    }
    hasher.finish()
}
