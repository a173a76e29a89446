//! Operators that were on trial in the standard's domain until 10, and that converters from Core ML wrote.
//!
//! Source: the kernels of onnxruntime, which are all that is left of them.

use onnxpress_ir::{Node, Tensor, ValueId};

use crate::upgrade_opset::site::{Refusal, Site};

/// `Affine`: `alpha x + beta`, as Mul and Add.
pub(in crate::upgrade_opset) fn affine(site: &mut Site<'_>) -> Result<(), Refusal> {
    let (alpha, beta) = (site.float("alpha")?.unwrap_or(1.0), site.float("beta")?.unwrap_or(0.0));
    let scaled = scaled(site, alpha)?;
    let moved = match beta {
        0.0 => scaled,
        beta => {
            let dtype = site.dtype(0)?;
            let beta = site.scalar("beta", dtype, f64::from(beta))?;
            site.add(Node::new("Add", 1), &[scaled, beta])?
        }
    };
    in_place(site, moved)
}

/// `ImageScaler`: `scale x + bias`, the bias by channel, as Mul and Add.
pub(in crate::upgrade_opset) fn image_scaler(site: &mut Site<'_>) -> Result<(), Refusal> {
    let scale = site.float("scale")?.unwrap_or(1.0);
    let bias = site.attrs()?.floats("bias").map_err(|_| "its `bias` is not known")?.unwrap_or_default();
    let dtype = site.dtype(0)?;
    let scaled = scaled(site, scale)?;
    let values: Vec<f64> = bias.iter().map(|&value| f64::from(value)).collect();
    let tensor = Tensor::from_f64s(dtype, &[values.len(), 1, 1], &values).map_err(|error| error.to_string())?;
    let bias = site.constant("bias", tensor);
    let moved = site.add(Node::new("Add", 1), &[scaled, bias])?;
    in_place(site, moved)
}

/// `Crop`: rows and columns taken away at the borders (left, top, right, bottom), as Slice.
pub(in crate::upgrade_opset) fn crop(site: &mut Site<'_>) -> Result<(), Refusal> {
    if site.cx()?.node.attr("scale").is_some() {
        return Err("its `scale` says how large the rest is".to_owned());
    }
    let border = site.attrs()?.ints("border").map_err(|_| "its `border` is not known")?.unwrap_or_default();
    let &[left, top, right, bottom] = border.as_slice() else {
        return Err(format!("its `border` has {} numbers, not 4", border.len()));
    };
    if border.iter().any(|&width| !(0..=i64::from(i32::MAX)).contains(&width)) {
        return Err("its `border` has a width that is none".to_owned());
    }
    let x = site.cx()?.operand(0).ok_or("it has no operand")?;
    // An end of 0 counts from the back as no other number does.
    let end = |width: i64| if width == 0 { i64::MAX } else { -width };
    let starts = site.constant("starts", Tensor::vector(vec![top, left]));
    let ends = site.constant("ends", Tensor::vector(vec![end(bottom), end(right)]));
    let axes = site.constant("axes", Tensor::vector(vec![2i64, 3]));
    let slice = Node::new("Slice", 1).named(site.cx()?.node.name.clone());
    let rest = site.add(slice, &[x, starts, ends, axes])?;
    in_place(site, rest)
}

/// The operand times this.
fn scaled(site: &mut Site<'_>, scale: f32) -> Result<ValueId, Refusal> {
    let x = site.cx()?.operand(0).ok_or("it has no operand")?;
    let dtype = site.dtype(0)?;
    let scale = site.scalar("scale", dtype, f64::from(scale))?;
    let mul = Node::new("Mul", 1).named(site.cx()?.node.name.clone());
    site.add(mul, &[x, scale])
}

fn in_place(site: &mut Site<'_>, value: ValueId) -> Result<(), Refusal> {
    site.replace(0, value)?;
    site.remove();
    Ok(())
}
