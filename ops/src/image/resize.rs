//! `Resize` and `Upsample`: a tensor resampled to other extents, by scales or by sizes.
//!
//! `Upsample` (opsets 7 to 9; attribute `scales`, then operand 1) and `Resize` 10 know the modes nearest and linear over
//! coordinates `x / scale`; nearest takes the index below, or in `Resize` 10 the one above where an axis shrinks. From 11 on
//! attributes choose coordinates, the nearest neighbour and the cubic kernel, sizes are an operand, and a region can be cut
//! out; from 18 on there are `axes`, `antialias` and a policy that keeps proportions.
//!
//! Source: ONNX operator specification, `Resize`, opsets 10 to 19; `Upsample`, opsets 7 to 10 (deprecated then).

use onnxpress_ir::{Dim, Shape, Tensor};

use super::interpolate::{AxisPlan, Coordinates, Kernel, Method, Nearest, resize_axis};
use super::target::{Aspect, Factors, Target, Targets};
use crate::axes::Axes;
use crate::evaluate::pick::{pick_or, zero};
use crate::evaluate::walk::{Walk, strides};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static RESIZE: Operator = sheet("Resize", infer_resize, relation_resize, evaluate_resize);
pub(crate) static UPSAMPLE: Operator = sheet("Upsample", infer_upsample, relation_upsample, evaluate_upsample);

const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    axes: fn(&NodeCx<'_>) -> Result<String, String>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(infer),
        axes: Axes::With(axes),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("its weights are fixed by the attributes"),
        quantize: Quantize::Moves,
        cost: Cost::None("no operand is a weight"),
        effects: Effects::Pure,
        gradient: Gradient::With(super::gradient::resize),
    }
}

/// What each axis becomes in an `Upsample`.
fn upsampled(p: &dyn Factors, rank: usize) -> Result<Targets, Undecided> {
    let attrs = p.attrs();
    let factors = match p.version() {
        ..7 => {
            let scale = |name| attrs.float_or(name, 1.0).map(Target::Scale);
            if rank != 4 {
                return Err(Undecided::invalid(format!("an image of rank {rank}, not 4")));
            }
            vec![Target::Keep, Target::Keep, scale("height_scale")?, scale("width_scale")?]
        }
        7..9 => attrs.floats("scales")?.unwrap_or_default().into_iter().map(Target::Scale).collect(),
        _ => p.factors(1)?.unwrap_or_default(),
    };
    Targets::placed(factors, (0..rank).collect(), Aspect::Stretch, rank)
}

type Rule = fn(&dyn Factors, usize) -> Result<Targets, Undecided>;

fn infer(cx: &mut InferCx<'_>, rule: Rule) -> Result<(), Undecided> {
    let Some(x) = cx.shape(0) else {
        cx.set_tensor(0, cx.dtype(0), None);
        return Ok(());
    };
    let node: &NodeCx<'_> = cx;
    let shape = match rule(node, x.len()) {
        Ok(targets) => Shape::from(targets.extents(x)),
        Err(Undecided::Unknown) => Shape::of_unknown_extents(x.len()),
        Err(invalid) => return Err(invalid),
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn infer_resize(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer(cx, |p, rank| Targets::of(p, rank))
}

fn infer_upsample(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer(cx, upsampled)
}

/// The axes that stay as they are have their letter, the others none.
fn relation(cx: &NodeCx<'_>, rule: Rule) -> Result<String, String> {
    let x = cx.shape(0).ok_or("the rank is not known")?;
    let targets = rule(cx, x.len()).map_err(|_| "scales and sizes are not known")?;
    let crops = cx.attrs().string("coordinate_transformation_mode").ok().flatten();
    let crops = crops.is_some_and(|mode| mode == "tf_crop_and_resize");
    let letter = |(axis, target): (usize, &Target)| {
        let kept = match target {
            Target::Keep => true,
            _ if crops => false,
            Target::Scale(scale) => *scale == 1.0,
            Target::Factor(factor) => factor.as_const() == Some(1),
            Target::Size(size) => targets.aspect == Aspect::Stretch && size.equals(&x[axis]) == Some(true),
        };
        if kept { format!("s{axis}") } else { "_".to_owned() }
    };
    let row: Vec<String> = targets.by_axis.iter().enumerate().map(letter).collect();
    let row = row.join(" ");
    Ok(format!("{row}{} -> {row}; extents 3", ", *".repeat(cx.operand_count().saturating_sub(1))))
}

fn relation_resize(cx: &NodeCx<'_>) -> Result<String, String> {
    relation(cx, |p, rank| Targets::of(p, rank))
}

fn relation_upsample(cx: &NodeCx<'_>) -> Result<String, String> {
    relation(cx, upsampled)
}

fn evaluate_upsample(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let kernel = match cx.attrs().string_or("mode", "nearest".into())?.as_ref() {
        "nearest" => Kernel::Nearest(Nearest::Floor),
        "linear" | "bilinear" => Kernel::Linear,
        other => return Err(EvalError::invalid(format!("`mode` is `{other}`"))),
    };
    let method = Method { kernel, coordinates: Coordinates::Asymmetric, antialias: false, exclude_outside: false };
    resample(cx, &upsampled(cx, x.rank())?, |_| method, None)
}

fn evaluate_resize(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let targets = Targets::of(cx, x.rank())?;
    if cx.version < 11 {
        let linear = match cx.attrs().string_or("mode", "nearest".into())?.as_ref() {
            "nearest" => false,
            "linear" | "bilinear" => true,
            other => return Err(EvalError::invalid(format!("`mode` is `{other}`"))),
        };
        let method = |plan: &AxisPlan| Method {
            kernel: match linear {
                true => Kernel::Linear,
                false => Kernel::Nearest(if plan.scale < 1.0 { Nearest::Ceil } else { Nearest::Floor }),
            },
            coordinates: Coordinates::Asymmetric,
            antialias: false,
            exclude_outside: false,
        };
        return resample(cx, &targets, method, None);
    }
    let method = Method::of(&cx.attrs())?;
    let region = match cx.optional_tensor(1)? {
        Some(roi) if method.coordinates == Coordinates::CropAndResize => {
            let roi = roi.to_f64s()?;
            if roi.len() != 2 * targets.axes.len() {
                return Err(EvalError::invalid(format!("a region of {} numbers", roi.len())));
            }
            Some(roi)
        }
        None if method.coordinates == Coordinates::CropAndResize => return Err(EvalError::invalid("no region")),
        _ => None,
    };
    resample(cx, &targets, |_| method, region)
}

fn resample(
    cx: &EvalCx<'_>,
    targets: &Targets,
    method: impl Fn(&AxisPlan) -> Method,
    region: Option<Vec<f64>>,
) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let dims: Vec<Dim> = x.dims().iter().map(|&dim| Dim::from_extent(dim)).collect();
    let extents = Shape::from(targets.extents(&dims));
    let extents = extents.as_consts().ok_or_else(|| EvalError::invalid(format!("a size of {extents}")))?;
    let count = cx.room_for(&extents)?;
    if x.is_empty() && count > 0 {
        return Err(EvalError::invalid(format!("{:?} resized to {extents:?}", x.dims())));
    }
    let common = if targets.aspect == Aspect::Stretch { None } else { targets.common_scale(&dims) };
    let plan = |axis: usize| {
        let (input, output) = (x.dims()[axis], extents[axis]);
        let place = targets.axes.iter().position(|&named| named == axis);
        let scale = match (&targets.by_axis[axis], common) {
            (Target::Keep, _) => 1.0,
            (Target::Scale(scale), _) => f64::from(*scale),
            (_, Some(common)) => common,
            _ => output as f64 / input.max(1) as f64,
        };
        let region = region.as_ref().zip(place).map_or((0.0, 1.0), |(roi, at)| (roi[at], roi[targets.axes.len() + at]));
        AxisPlan { input, output, scale, region }
    };
    let plans: Vec<AxisPlan> = (0..x.rank()).map(plan).collect();
    let moves = |plan: &AxisPlan| plan.scale != 1.0 || plan.input != plan.output || plan.region != (0.0, 1.0);
    let outside = f64::from(cx.attrs().float_or("extrapolation_value", 0.0)?);
    if plans.iter().all(|plan| matches!(method(plan).kernel, Kernel::Nearest(_))) {
        let steps = strides(x.dims());
        let walk = Walk::new(&extents, |axis, at| {
            let plan = &plans[axis];
            let method = method(plan);
            let Kernel::Nearest(nearest) = method.kernel else { return None };
            if !moves(plan) {
                return Some(at * steps[axis]);
            }
            Some(plan.nearest(plan.coordinate(method.coordinates, at)?, nearest) * steps[axis])
        });
        let fill = if outside == 0.0 { zero(x.dtype()) } else { Tensor::from_f64s(x.dtype(), &[], &[outside])? };
        return Ok(vec![pick_or(x, &fill, &extents, walk)?.into()]);
    }
    let (mut values, mut dims) = (x.to_f64s()?, x.dims().to_vec());
    for (axis, plan) in plans.iter().enumerate().filter(|(_, plan)| moves(plan)) {
        values = resize_axis(cx, &method(plan), &values, &mut dims, axis, plan, outside)?;
    }
    if !x.dtype().is_float() {
        values.iter_mut().for_each(|value| *value = value.round_ties_even());
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &extents, &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn scales_and_sizes_give_symbolic_extents() {
        let node = op("Resize").input("float[N,C,H,7]").omitted().floats(&[4], &[1.0, 1.0, 1.5, 0.7]);
        assert_eq!(node.infer(), "float[N,C,H + floor(H/2),4]");
        assert_eq!(node.axes(), "s0 s1 _ _, *, * -> s0 s1 _ _; extents 3");
        let node = op("Resize").input("float[N,C,H,W]").omitted().omitted().elements("int64[4]", "N C 2*H 5");
        assert_eq!(node.infer(), "float[N,C,2*H,5]");
        let node = op("Resize").ints("axes", &[-1]).input("float[N,8]").omitted().omitted().elements("int64[1]", "4");
        assert_eq!(node.infer(), "float[N,4]");
        let node = op("Resize").input("float[N,8]").omitted().floats(&[1], &[2.0]);
        assert_eq!(node.infer(), "invalid: 1 scales or sizes for 2 axes");
        let node = op("Resize").input("float[8]").omitted().floats(&[1], &[f32::NAN]);
        assert_eq!(node.infer(), "invalid: a scale of NaN");
    }

    #[test]
    fn proportions_are_kept_by_the_smaller_scale() {
        let node = op("Resize").string("keep_aspect_ratio_policy", "not_larger");
        let node = node.input("float[2,4]").omitted().omitted().elements("int64[2]", "7 8");
        assert_eq!(node.infer(), "float[4,8]");
    }

    #[test]
    fn linear_upsampling_meets_half_way() {
        let node = op("Resize").string("mode", "linear").floats(&[2], &[0.0, 4.0]).omitted().floats(&[1], &[2.0]);
        assert_eq!(node.f32s(), [0.0, 1.0, 3.0, 4.0]);
    }

    #[test]
    fn the_nearest_neighbour_works_for_every_type() {
        let words = onnxpress_ir::Tensor::from_strings(&[2], vec!["a".into(), "b".into()]);
        let node = op("Upsample").version(9).constant(words.expect("two")).floats(&[1], &[2.0]);
        assert_eq!(node.tensor().strings().map(<[_]>::concat), Some(b"aabb".to_vec()));
    }
}
