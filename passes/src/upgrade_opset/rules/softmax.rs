//! Softmax, LogSoftmax and Hardmax at 13: over one axis, where they were over all axes from one on.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, Node, Shape, Tensor, ValueId};

use crate::upgrade_opset::site::{Refusal, Site};

/// The axis stays where the axes behind it have one element each; else the tensor is flattened for it.
pub(in crate::upgrade_opset) fn one_axis(site: &mut Site<'_>) -> Result<(), Refusal> {
    let axis = site.int("axis")?.unwrap_or(1);
    if axis == -1 {
        site.set_attr(Attr::int("axis", -1));
        return site.done();
    }
    let shape = site.cx()?.shape(0).cloned().ok_or("the rank of its operand is not known")?;
    let Some(first) = normalize_axis(axis, shape.rank()) else {
        return Err(format!("axis {axis} of a tensor of rank {}", shape.rank()));
    };
    let mut long = (first..shape.rank()).filter(|&axis| shape[axis].as_const() != Some(1));
    let only = long.next().unwrap_or(first);
    if long.next().is_none() {
        let behind = if only + 1 == shape.rank() { -1 } else { i64::try_from(only).unwrap_or(axis) };
        site.set_attr(Attr::int("axis", behind));
        return site.done();
    }
    flattened(site, &shape, first)
}

fn flattened(site: &mut Site<'_>, shape: &Shape, first: usize) -> Result<(), Refusal> {
    let x = site.cx()?.operand(0).ok_or("it has no operand")?;
    let inner: Option<Vec<i64>> = shape.iter().skip(first).map(|dim| dim.as_const().filter(|&n| n > 0)).collect();
    let count = inner.as_ref().and_then(|inner| inner.iter().try_fold(1i64, |count, &n| count.checked_mul(n)));
    let mut softmax = site.copy(1)?;
    softmax.attrs.retain(|attr| attr.name != "axis");
    softmax.attrs.push(Attr::int("axis", -1));
    let back = match inner.zip(count) {
        // The extents before are handed on as they are, so that they may be open, and any.
        Some((inner, count)) => {
            let outer = vec![0; first];
            let flat = reshape(site, x, [outer.as_slice(), &[count]].concat())?;
            let found = site.add(softmax, &[flat])?;
            reshape(site, found, [outer, inner].concat())?
        }
        None => {
            let axis = i64::try_from(first).map_err(|error| error.to_string())?;
            let flat = site.add(Node::new("Flatten", 1).with(Attr::int("axis", axis)), &[x])?;
            let found = site.add(softmax, &[flat])?;
            let extents = site.add(Node::new("Shape", 1), &[x])?;
            site.add(Node::new("Reshape", 1), &[found, extents])?
        }
    };
    site.replace(0, back)?;
    site.remove();
    Ok(())
}

fn reshape(site: &mut Site<'_>, x: ValueId, extents: Vec<i64>) -> Result<ValueId, Refusal> {
    let extents = site.constant("shape", Tensor::vector(extents));
    site.add(Node::new("Reshape", 1), &[x, extents])
}
