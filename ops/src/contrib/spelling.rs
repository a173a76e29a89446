//! onnxruntime's fusions spelled out in the operators that they were fused of.

use onnxpress_ir::{Attr, Node, ValueId};

use crate::gradient::{GradientCx, GradientError, function, of};

/// The attributes of a `FusedGemm` that are those of its product.
const OF_PRODUCT: [&str; 4] = ["alpha", "beta", "transA", "transB"];

type Spelled = Result<Vec<Option<ValueId>>, GradientError>;

/// `FusedMatMul`: transposed operands, a product, a factor.
pub(super) fn fused_mat_mul(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let mut operands = Vec::new();
    for index in [0, 1] {
        let value = cx.operand(index)?;
        let order = super::fused_mat_mul::order(&cx.node().attrs(), index, cx.rank(value)?)?;
        operands.push(cx.transpose(value, order.into_iter().map(|axis| axis as i64).collect())?);
    }
    let alpha = f64::from(cx.node().attrs().float_or("alpha", 1.0)?);
    let product = cx.apply("MatMul", &operands)?;
    Ok(vec![Some(if alpha == 1.0 { product } else { cx.write(&(of(product) * alpha))? })])
}

/// `FusedGemm`: a product and an activation.
pub(super) fn fused_gemm(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let attrs = cx.node().node.attrs.iter();
    let of_product = attrs.filter(|attr| OF_PRODUCT.iter().any(|name| attr.name == *name));
    let gemm = of_product.cloned().fold(Node::new("Gemm", 1), Node::with);
    let name = cx.node().attrs().string_or("activation", "".into())?.into_owned();
    let mut activation = Node::new(name.clone(), 1);
    for parameter in ["alpha", "beta"] {
        if let Some(value) = cx.node().attrs().float(&format!("activation_{parameter}"))? {
            activation = activation.with(Attr::float(parameter, value));
        }
    }
    let operands: Vec<ValueId> = cx.operands_from(0).into_iter().map(|(_, value)| value).collect();
    let product = cx.add(gemm, &operands)?;
    Ok(vec![Some(if name.is_empty() { product } else { cx.add(activation, &[product])? })])
}

/// Vectors normalized; about their mean where they are to be centred.
fn normalized(
    cx: &mut GradientCx<'_, '_>,
    sum: ValueId,
    [scale, bias]: [Option<ValueId>; 2],
    centred: bool,
) -> Result<ValueId, GradientError> {
    let epsilon = cx.node().attrs().float_or("epsilon", 1e-12)?;
    let scale = scale.ok_or_else(|| GradientError::not_possible("the scale is missing"))?;
    // The standard's normalizations are younger than the versions that gradients are written in.
    let centre = if centred { Some(cx.mean(sum)?) } else { None };
    let apart = match centre {
        Some(mean) => cx.write(&(of(sum) - mean))?,
        None => sum,
    };
    let square = cx.write(&of(apart).squared())?;
    let mean = cx.mean(square)?;
    let scaled = of(apart) / function("Sqrt", of(mean) + f64::from(epsilon)) * scale;
    let scaled = match bias {
        Some(bias) => scaled + bias,
        None => scaled,
    };
    cx.write(&scaled)
}

fn skip(cx: &mut GradientCx<'_, '_>, parameters: [Option<ValueId>; 2], bias: usize, centred: bool) -> Spelled {
    let mut sum = of(cx.operand(0)?) + cx.operand(1)?;
    if let Some(bias) = cx.optional(bias) {
        sum = sum + bias;
    }
    let sum = cx.write(&sum)?;
    let y = normalized(cx, sum, parameters, centred)?;
    Ok(vec![Some(y), None, None, Some(sum)])
}

/// `SkipLayerNormalization`.
pub(super) fn skip_layer_normalization(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let parameters = [cx.optional(2), cx.optional(3)];
    skip(cx, parameters, 4, true)
}

/// `SkipSimplifiedLayerNormalization`.
pub(super) fn skip_simplified_layer_normalization(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let parameters = [cx.optional(2), None];
    skip(cx, parameters, 3, false)
}

/// `EmbedLayerNormalization`: rows of tables, added up and normalized.
pub(super) fn embed_layer_normalization(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let (ids, words, places) = (cx.operand(0)?, cx.operand(2)?, cx.operand(3)?);
    let positions = match cx.optional(8) {
        Some(positions) => positions,
        None => cx.indices_along(ids, 1)?,
    };
    let mut sum = of(cx.apply("Gather", &[words, ids])?) + cx.apply("Gather", &[places, positions])?;
    if let (Some(segments), Some(kinds)) = (cx.optional(1), cx.optional(4)) {
        sum = sum + cx.apply("Gather", &[kinds, segments])?;
    }
    let sum = cx.write(&sum)?;
    let parameters = [cx.optional(5), cx.optional(6)];
    let y = normalized(cx, sum, parameters, true)?;
    // The lengths that the mask counts have no gradient to pass on.
    Ok(vec![Some(y), None, Some(sum)])
}
