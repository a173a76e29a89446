//! From options to a list of weights with their codes, from the list to the model and its witness.

use std::collections::BTreeMap;

use onnxpress_ir::{DType, Graph, Model, Tensor};
use onnxpress_ops::infer;
use onnxpress_ops::operator::Quantize;
use onnxpress_ops::table;
use rayon::prelude::*;

use super::candidates::{Weight, Weights, bytes_of_codes, part_mut, tensor};
use super::options::{Form, Granularity as Asked, QuantizeWeights, Scales};
use super::plan::{Plan, PlanError, Planned, SCHEMA, axis_and_block};
use super::{decode, fitted, nbits, opset, put};
use crate::calls::each_node;
use crate::digest;
use crate::evidence::EvidenceSource;
use crate::pass::{Pass, PassCx, PassError};
use crate::plan::{LeftAlone, same_samples};
use crate::quantize::folding;
use crate::quantize::sequential;
use crate::quantize::weight::{self, Granularity, Meaning, Quantized, Refusal, Scheme, oldest_opset};
use crate::reading_across::graph_at;
use crate::rewrite::file_size;

const NAME: &str = QuantizeWeights::NAME;

/// The share of the mean diagonal that moments are damped by, unless something else is said.
pub(super) const DAMPING: f64 = 0.01;

/// A weight that is to be quantized, by its place in the list, and how.
#[derive(Debug, Clone, Copy)]
pub(in crate::quantize) struct Order {
    /// Its place.
    pub(in crate::quantize) weight: usize,
    /// In what type, and how it is rounded.
    pub(in crate::quantize) scheme: Scheme,
    /// How scales lie.
    pub(in crate::quantize) granularity: Granularity,
    /// What makes floats of the codes.
    pub(in crate::quantize) form: Form,
}

/// What weights are quantized in, and with.
pub(super) struct Work<'a> {
    /// The model; its functions are inlined where there are samples.
    pub(super) whole: Model,
    pub(super) weights: Weights,
    /// The samples, where they are of use.
    pub(super) source: Option<&'a dyn EvidenceSource>,
    pub(super) damping: f64,
    /// Whether it may go to a newer opset.
    pub(super) upgrade: bool,
    /// The pass, with all its options.
    pub(super) text: String,
    /// The digest of the model as it came, where a plan is wanted.
    pub(super) digest: String,
}

impl<'a> Work<'a> {
    /// On a model.
    ///
    /// # Errors
    /// Where a function cannot be inlined.
    pub(super) fn of(
        model: &Model,
        text: &str,
        source: Option<&'a dyn EvidenceSource>,
        damping: f64,
        cx: &mut PassCx<'_>,
    ) -> Result<Self, PassError> {
        let digest = if cx.request.plans { digest::of(model) } else { String::new() };
        let whole = sequential::inlined(model, source, cx)?;
        let weights = Weights::of(&whole);
        Ok(Self { whole, weights, source, damping, upgrade: true, text: text.to_owned(), digest })
    }

    /// The version of the standard that the model reaches, of those that orders need.
    fn reach(&self, orders: &[Order], cx: &PassCx<'_>) -> Result<i64, PassError> {
        let mut aside = PassCx::new(cx.request);
        raised(&self.whole, orders, &self.weights, self.upgrade, &mut aside).map(|(_, _, to)| to)
    }

    /// Whether a version of the standard has what an order needs.
    fn reached(&self, order: &Order, to: i64) -> bool {
        needed(&self.whole, &self.weights, order).is_some_and(|version| version <= to)
    }

    /// Carries orders out, puts the result into `out`, and says what was done in the name of `pass`. Orders that need a newer version
    /// of the standard than the model reaches are declined.
    ///
    /// # Errors
    /// Where the samples do not suit the model.
    pub(super) fn settle(
        &self,
        orders: Vec<Order>,
        out: &mut Model,
        pass: &'static str,
        cx: &mut PassCx<'_>,
    ) -> Result<(), PassError> {
        let (mut result, from, to) = raised(&self.whole, &orders, &self.weights, self.upgrade, cx)?;
        let (orders, beyond): (Vec<Order>, Vec<Order>) = orders.into_iter().partition(|order| self.reached(order, to));
        for order in beyond {
            let reason = format!("its codes need a newer opset than {to}, which is as far as the model goes");
            cx.declined(pass, self.weights.list[order.weight].label(), reason);
        }
        for (name, reason) in &self.weights.others {
            cx.declined(pass, name.clone(), reason.clone());
        }
        let mut witness = self.whole.clone();
        let models = (&self.whole, &mut result, &mut witness);
        let taken = done(&orders, &self.weights, models, (pass, self.damping), self.source, cx)?;
        if cx.request.plans {
            let declined = cx.declines().iter().filter(|decline| decline.rule == pass);
            let left = declined.map(|one| LeftAlone { tensor: one.site.clone(), reason: one.reason.clone() }).collect();
            cx.set_plan(&Plan {
                schema: SCHEMA,
                pass: self.text.clone(),
                model: self.digest.clone(),
                data: self.source.map(EvidenceSource::describe),
                damping: self.source.map(|_| self.damping),
                layers: taken.iter().map(|order| planned(&self.whole, &self.weights, order)).collect(),
                left,
            });
        }
        if taken.is_empty() {
            notice_quantized(&self.whole, cx);
            return Ok(());
        }
        if from < to {
            cx.notice(format!("the model goes from opset {from} to {to}, which its codes need"));
        }
        finish(out, result, witness, (pass, taken.len()), cx);
        Ok(())
    }
}

/// Does what the options ask for, and says what was done.
pub(super) fn run(
    options: &QuantizeWeights,
    text: &str,
    model: &mut Model,
    cx: &mut PassCx<'_>,
) -> Result<(), PassError> {
    let source = options.source(cx)?;
    let work = Work { upgrade: options.upgrade, ..Work::of(model, text, source, options.damping, cx)? };
    let (whole, weights) = (&work.whole, &work.weights);
    let wanted = weights.wanted(&options.keep, &options.only, NAME, cx)?;
    let before = cx.declines().len();
    let mut orders = orders(options, (options.granularity, options.block()), whole, weights, &wanted, cx);
    let to = work.reach(&orders, cx)?;
    if !orders.iter().all(|order| work.reached(order, to)) {
        // One scale a weight is what older versions can say.
        cx.notice(format!("opset {to} is as far as the model goes, so its weights have one scale each"));
        cx.forget_declines_from(before);
        orders = self::orders(options, (Asked::Tensor, None), whole, weights, &wanted, cx);
    }
    work.settle(orders, model, NAME, cx)
}

fn finish(
    model: &mut Model,
    mut result: Model,
    witness: Model,
    (pass, taken): (&'static str, usize),
    cx: &mut PassCx<'_>,
) {
    infer::model(&mut result);
    cx.applied(pass, taken);
    cx.set_witness(witness);
    *model = result;
}

/// Repeats what a plan says, on the model that it was made for.
///
/// # Errors
/// Where the plan is none for this model, or says what cannot be.
pub(crate) fn apply_plan(plan: serde_json::Value, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), String> {
    let plan: Plan = serde_json::from_value(plan).map_err(|error| error.to_string())?;
    let source = same_samples(plan.data.as_deref(), cx).map_err(|error| error.to_string())?;
    let digest = digest::of(model);
    let whole = sequential::inlined(model, source, cx).map_err(|error| error.to_string())?;
    let out = model;
    let model = &whole;
    let weights = Weights::of(model);
    let orders = ordered(&plan, &digest, model, &weights).map_err(|error| error.to_string())?;
    let (mut result, from, to) = raised(model, &orders, &weights, true, cx).map_err(|error| error.to_string())?;
    for order in &orders {
        let label = weights.list[order.weight].label();
        match needed(model, &weights, order) {
            Some(version) if version <= to => {}
            _ => return Err(format!("weight `{label}`: opset {to}, as far as the model goes, has no such codes")),
        }
    }
    let declined = cx.declines().len();
    let mut witness = model.clone();
    let damping = plan.damping.unwrap_or(DAMPING);
    let taken = done(&orders, &weights, (model, &mut result, &mut witness), (NAME, damping), source, cx);
    let taken = taken.map_err(|error| error.to_string())?;
    if let Some(decline) = cx.declines().get(declined) {
        return Err(format!("weight `{}`: {}", decline.site, decline.reason));
    }
    if taken.is_empty() {
        return Ok(());
    }
    if from < to {
        cx.notice(format!("the model goes from opset {from} to {to}, which its codes need"));
    }
    cx.set_plan(&plan);
    finish(out, result, witness, (NAME, taken.len()), cx);
    Ok(())
}

/// Carries orders out, with samples where there are some.
fn done(
    orders: &[Order],
    weights: &Weights,
    (model, result, witness): (&Model, &mut Model, &mut Model),
    (pass, damping): (&'static str, f64),
    source: Option<&dyn EvidenceSource>,
    cx: &mut PassCx<'_>,
) -> Result<Vec<Order>, PassError> {
    let taken = match source {
        Some(source) => fitted::carry_out(orders, weights, (result, witness), (pass, damping), source, cx),
        None => carry_out(orders, weights, (model, result, witness), pass, cx),
    }?;
    if taken.iter().any(|order| order.form == Form::Matmulnbits) {
        nbits::import_domain(result);
    }
    let folded = taken.iter().filter(|order| decode::is_folded(order.form, order.scheme.meaning)).filter_map(|order| {
        let weight = &weights.list[order.weight];
        Some((weight.label(), tensor(model, weight)?.0))
    });
    let by_table = taken.iter().any(|order| order.scheme.meaning == Meaning::Nf4);
    folding::notice(folded, if by_table { "Gather and Mul" } else { "Cast and Mul" }, cx);
    Ok(taken)
}

fn ordered(plan: &Plan, digest: &str, model: &Model, weights: &Weights) -> Result<Vec<Order>, PlanError> {
    crate::plan::of_format(plan.schema, SCHEMA)?;
    crate::plan::for_digest(&plan.model, digest)?;
    let mut seen = std::collections::BTreeSet::new();
    let one = |planned: &Planned| {
        let (id, tensor) = (planned.id, planned.tensor.clone());
        let known = weights.list.get(id).filter(|weight| weight.label() == tensor && !weight.site.given_out);
        let axis = planned.axis.unwrap_or(0);
        let Some((found, _)) = known.and_then(|weight| super::candidates::tensor(model, weight)) else {
            return Err(PlanError::Weight { id, tensor });
        };
        if axis >= found.rank() {
            return Err(PlanError::Word { tensor, what: "axis of it", found: axis.to_string() });
        }
        if !seen.insert(id) {
            return Err(PlanError::Twice { id, tensor });
        }
        let scheme = planned.scheme()?;
        if scheme.rounding.needs_data() && plan.data.is_none() {
            return Err(PlanError::Word {
                tensor,
                what: "way to round without samples",
                found: planned.rounding.clone(),
            });
        }
        Ok(Order { weight: id, scheme, granularity: planned.granularity(), form: planned.form()? })
    };
    plan.layers.iter().map(one).collect()
}

fn planned(model: &Model, weights: &Weights, order: &Order) -> Planned {
    let weight = &weights.list[order.weight];
    let (axis, block) = axis_and_block(order.granularity);
    Planned {
        id: order.weight,
        tensor: weight.label(),
        reader: weight.site.reader.clone(),
        codes: match order.scheme.meaning {
            Meaning::Nf4 => "nf4".to_owned(),
            Meaning::Number => order.scheme.dtype.to_string(),
        },
        bits: order.scheme.bits,
        scales: order.scheme.scales.map(|dtype| dtype.to_string()),
        axis,
        block,
        symmetric: order.scheme.symmetric,
        rounding: order.scheme.rounding.text().to_owned(),
        form: order.form.text().to_owned(),
        bytes: tensor(model, weight).map_or((0, 0), |(tensor, name)| bytes(tensor, name, order)),
    }
}

/// Bytes of a weight before and after.
pub(in crate::quantize) fn bytes(tensor: &Tensor, name: Option<&onnxpress_ir::Name>, order: &Order) -> (usize, usize) {
    let before = file_size::new_tensor(tensor, name, file_size::Written::Initializer);
    (before, bytes_of_codes(tensor, name, &order.scheme, order.granularity))
}

/// Those of the wanted weights that become smaller; the others are declined.
pub(super) fn orders(
    options: &QuantizeWeights,
    (asked, block): (Asked, Option<usize>),
    model: &Model,
    weights: &Weights,
    wanted: &[usize],
    cx: &mut PassCx<'_>,
) -> Vec<Order> {
    let mut orders = Vec::new();
    let mut decoded: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut widened = Vec::new();
    for &index in wanted {
        let weight = &weights.list[index];
        let Some((tensor, name)) = tensor(model, weight) else { continue };
        let granularity = weight.granularity(tensor.dims(), asked, block);
        let scales = options.scales.filter(|_| half_holds(tensor, &options.scheme())).map(Scales::dtype);
        let scheme = Scheme { scales, ..options.scheme() };
        let mut order = Order { weight: index, scheme, granularity, form: options.form };
        if order.form == Form::Matmulnbits
            && let Some(reason) = nbits::unable(model, weight, &order.scheme, granularity)
        {
            order.form = Form::Dequantize;
            decoded.entry(reason).or_default().push(weight.label());
        }
        if order.form == Form::Dequantize && scheme.dtype.bits() == 2 && nbits::misread(model, weight) {
            let wider = if scheme.dtype == DType::Int2 { DType::Int4 } else { DType::Uint4 };
            order.scheme = Scheme { dtype: wider, bits: Some(2), ..order.scheme };
            widened.push(weight.label());
        }
        let (before, after) = bytes(tensor, name, &order);
        if after >= before {
            cx.declined(NAME, weight.label(), "codes and scales take no less than the weight");
        } else if too_small(tensor, &order.scheme) {
            cx.declined(NAME, weight.label(), format!("its numbers are too small for scales of {}", tensor.dtype()));
        } else if let Some(reason) = decode::unable(tensor.dims(), &order.scheme, granularity, order.form) {
            cx.declined(NAME, weight.label(), reason);
        } else if needed(model, weights, &order).is_none() {
            cx.declined(NAME, weight.label(), format!("nothing makes {} of codes", tensor.dtype()));
        } else {
            orders.push(order);
        }
    }
    if !widened.is_empty() {
        cx.notice(format!(
            "{} in codes of four bits, of which two are used: onnxruntime misreads codes of two bits in products whose columns are no \
             multiple of four",
            several(&widened)
        ));
    }
    for (reason, names) in &decoded {
        cx.notice(format!("{} decoded by DequantizeLinear: {reason}", several(names)));
    }
    orders
}

/// Whether a weight is of numbers so small that runtimes may take its scales for 0: below the least of full precision.
fn too_small(tensor: &Tensor, scheme: &Scheme) -> bool {
    tensor.values::<f32>().is_ok_and(|values| {
        let peak = values.iter().fold(0f32, |peak, value| peak.max(value.abs()));
        peak > 0.0 && peak < f32::MIN_POSITIVE * 2f32.powi(code_exponent(scheme))
    })
}

/// The power of two that no code goes beyond.
fn code_exponent(scheme: &Scheme) -> i32 {
    // Floats of eight bits go up to 2¹⁶.
    if scheme.dtype.is_float() { 16 } else { scheme.dtype.bits() as i32 - 1 }
}

/// Whether scales of a weight in binary16 are of full precision where they matter: that of its largest elements is.
pub(in crate::quantize) fn half_holds(tensor: &Tensor, scheme: &Scheme) -> bool {
    // Codes of 16 bits are finer than such scales. The least number that binary16 holds in full precision is 2⁻¹⁴.
    let usable = 2f32.powi(code_exponent(scheme) - 14)..65504.0;
    let peak = tensor.values::<f32>().map(|values| values.iter().fold(0f32, |peak, value| peak.max(value.abs())));
    scheme.dtype.bits() <= 8 && peak.is_ok_and(|peak| usable.contains(&peak))
}

/// The first of some names, and how many there are.
pub(in crate::quantize) fn several(names: &[String]) -> String {
    let first = names.first().map_or("", String::as_str);
    match names.len() {
        0 | 1 => format!("`{first}`"),
        count => format!("`{first}` and {} more", count - 1),
    }
}

/// The version of the standard that an order needs.
fn needed(model: &Model, weights: &Weights, order: &Order) -> Option<i64> {
    let (tensor, _) = tensor(model, &weights.list[order.weight])?;
    match order.form {
        _ if order.scheme.meaning == Meaning::Nf4 => decode::oldest_opset(order.scheme.dtype, DType::Int32),
        Form::Dequantize => oldest_opset(order.scheme.dtype, tensor.dtype(), order.granularity),
        Form::Cast => decode::oldest_opset(order.scheme.dtype, tensor.dtype()),
        // Codes are bytes there, which any version has.
        Form::Matmulnbits => Some(0),
    }
}

/// The model in the version of the standard that orders need, or as far as it goes; and its version before and after.
fn raised(
    model: &Model,
    orders: &[Order],
    weights: &Weights,
    upgrade: bool,
    cx: &mut PassCx<'_>,
) -> Result<(Model, i64, i64), PassError> {
    let mut result = model.clone();
    let wanted = orders.iter().filter_map(|order| needed(model, weights, order)).max().unwrap_or(0);
    let (from, to) = opset::raise(&mut result, wanted, upgrade, cx)?;
    Ok((result, from, to))
}

/// Quantizes weights of a model, and puts them into `result`, the same model or that in a newer version, and what they stand for
/// into `witness`. Answers those that were not declined.
///
/// # Errors
/// Where the graph does not take what is made: a defect.
pub(in crate::quantize) fn carry_out(
    orders: &[Order],
    weights: &Weights,
    (model, result, witness): (&Model, &mut Model, &mut Model),
    pass: &'static str,
    cx: &mut PassCx<'_>,
) -> Result<Vec<Order>, PassError> {
    let made: Vec<Result<Quantized, Refusal>> = orders
        .par_iter()
        .map(|order| match tensor(model, &weights.list[order.weight]) {
            Some((tensor, _)) => weight::quantize(tensor, order.granularity, &order.scheme),
            None => Err(Refusal::Empty),
        })
        .collect();
    let mut taken = Vec::new();
    for (order, made) in orders.iter().zip(made) {
        let weight = &weights.list[order.weight];
        let quantized = match made {
            Ok(quantized) => quantized,
            Err(refusal) => {
                cx.declined(pass, weight.label(), refusal.to_string());
                continue;
            }
        };
        let stays = tensor(result, weight)
            .is_some_and(|(found, _)| tensor(model, weight).is_some_and(|(tensor, _)| tensor.same_as(found)));
        if !stays {
            cx.declined(pass, weight.label(), "a newer opset writes it in another way");
            continue;
        }
        put::round(graph_of(witness, weight), weight, &quantized, pass)?;
        let behind = weight.is_behind_lookup(order.scheme.dtype, order.granularity);
        let placed = put::Placing { pass, form: order.form, behind, scales: order.scheme.scales };
        placed.put(graph_of(result, weight), weight.site.constant, &quantized)?;
        cx.coded(&weight.label(), &quantized.codes, order.scheme.used_bits());
        taken.push(*order);
    }
    Ok(taken)
}

/// The graph that a weight is in.
pub(super) fn graph_of<'m>(model: &'m mut Model, weight: &Weight) -> &'m mut Graph {
    graph_at(part_mut(model, weight.function), &weight.site.path)
}

/// Says so where nothing is left to do because it was done before.
pub(in crate::quantize) fn notice_quantized(model: &Model, cx: &mut PassCx<'_>) {
    let (mut count, mut first) = (0usize, None);
    let bodies = model.functions.iter().map(|function| &function.body);
    for graph in std::iter::once(&model.graph).chain(bodies) {
        each_node(graph, &mut |node| {
            let is = table::of(node).is_some_and(|sheet| sheet.quantize == Quantize::Quantized);
            if is {
                count += 1;
                first.get_or_insert_with(|| node.op_type.clone());
            }
        });
    }
    if let Some(first) = first {
        cx.notice(format!("the model is quantized already: it has {count} nodes as {first}"));
    }
}
