//! Seeded inputs that suit a model.
//!
//! What suits a model is guessed from types and readers: normal floats, whole numbers small enough to be indices, masks of
//! ones, flags that are set. The same seed gives the same values on every machine.

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::tensor::element_count;
use onnxpress_ir::{Dim, Kind, Model, NodeId, Shape, Symbol, Tensor, Type};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer;
use onnxpress_proto::Bytes;

use super::random::stream;
use super::ranges;
use super::sizes::{self, Sizes};
use crate::runner::at_types;

/// The most elements of all inputs together, so that sizes that a model only seems to want do not take all memory.
const ELEMENT_LIMIT: usize = 1 << 28;

/// Elements of a sequence, entries of a map.
const LENGTH: usize = 2;

/// Why no inputs can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The type says too little, or nobody but the model's author knows values of it.
    #[error("no values can be made for input `{name}` of type {ty}")]
    Type {
        /// The input.
        name: String,
        /// Its type.
        ty: Type,
    },
    /// The user gives a size to a dimension that no input has.
    #[error("no input has a dimension `{name}`; the model wants {wanted}")]
    UnknownDim {
        /// The dimension.
        name: String,
        /// All inputs with their types.
        wanted: String,
    },
    /// The user gives a size that is none.
    #[error("dimension `{name}` cannot have the size {size}")]
    Size {
        /// The dimension.
        name: String,
        /// The size.
        size: i64,
    },
    /// The inputs would take more memory than is good.
    #[error("the inputs have more than {ELEMENT_LIMIT} elements")]
    TooLarge,
}

/// Makes inputs for one model.
#[derive(Debug)]
pub struct Generator {
    /// Annotated, with a symbol for every open extent of the inputs.
    model: Model,
    choices: Vec<Sizes>,
}

impl Generator {
    /// `dims` gives sizes to dimensions: by name, as the file has it, or by input and axis, as in `x:0`.
    ///
    /// # Errors
    /// Where an input is of a type that nothing can be made for, or `dims` names what is not there.
    pub fn new(model: &Model, dims: &[(String, i64)]) -> Result<Self, GenerateError> {
        let mut annotated = model.clone();
        infer::graph(&mut annotated.graph, &annotated.functions);
        let fixed = fixed(&annotated, dims)?;
        let graph = &annotated.graph;
        for &id in graph.inputs() {
            if graph.input(id).default.is_none() && !can_make(&graph.input(id).declared) {
                let (name, ty) = (graph.label(id.port(0)), graph.input(id).declared.clone());
                return Err(GenerateError::Type { name, ty });
            }
        }
        let mut choices = sizes::candidates(graph, &fixed);
        let generator = Self { model: annotated, choices: Vec::new() };
        if choices.len() > 1 {
            // Ahead of the others goes the first with which no operator contradicts its operands and most extents follow: of a
            // window that never fits they do not.
            let mut best: Option<(usize, usize)> = None;
            for (index, sizes) in choices.iter().enumerate() {
                let (model, found) = at_types(model, &generator.types(sizes));
                if !found.invalid.is_empty() || has_empty(&model) {
                    continue;
                }
                let open = open_extents(&model);
                if best.is_none_or(|(_, least)| open < least) {
                    best = Some((index, open));
                }
                if open == 0 {
                    break;
                }
            }
            if let Some((best, _)) = best {
                choices[..=best].rotate_right(1);
            }
        }
        Ok(Self { choices, ..generator })
    }

    /// How many ways there are to choose the sizes that the model leaves open.
    pub fn choices(&self) -> usize {
        self.choices.len()
    }

    /// One entry an input, in the model's order; `None` for those that have a default. `choice` counts from the most likely
    /// sizes on; there is always the one of number 0.
    ///
    /// # Errors
    /// Where the inputs would be too large.
    pub fn values(&self, choice: usize, seed: u64) -> Result<Vec<Option<Value>>, GenerateError> {
        let no_sizes = Sizes::new();
        let sizes = self.choices.get(choice).unwrap_or(&no_sizes);
        let graph = &self.model.graph;
        let mut left = ELEMENT_LIMIT;
        let types = self.types(sizes);
        // Filling those that fit takes its time, so look at them all first.
        let elements = types.iter().flatten().filter_map(|ty| element_count(&ty.shape()?.as_consts()?));
        if elements.fold(0, usize::saturating_add) > ELEMENT_LIMIT {
            return Err(GenerateError::TooLarge);
        }
        let value = |(&id, ty): (&NodeId, Option<Type>)| {
            let Some(ty) = ty else { return Ok(None) };
            let name = graph.label(id.port(0));
            let mut maker = Maker {
                random: stream(seed, &name),
                is_mask: name.to_lowercase().contains("mask"),
                limit: ranges::limit(graph, id.port(0)),
                left: &mut left,
            };
            match maker.value(&ty) {
                Some(value) => Ok(Some(value)),
                None => Err(GenerateError::TooLarge),
            }
        };
        graph.inputs().iter().zip(types).map(value).collect()
    }

    /// The types of the inputs at these sizes; `None` for those that have a default.
    fn types(&self, sizes: &Sizes) -> Vec<Option<Type>> {
        let graph = &self.model.graph;
        let input = |&id: &NodeId| graph.input(id).default.is_none().then(|| settled(graph.ty(id.port(0)), sizes));
        graph.inputs().iter().map(input).collect()
    }
}

fn can_make(ty: &Type) -> bool {
    match ty {
        Type::Tensor(tensor) => tensor.dtype.is_some(),
        Type::Sequence(element) | Type::Optional(element) => can_make(element),
        Type::Map(key, element) => (key.is_integer() || key.kind() == Kind::String) && can_make(element),
        _ => false,
    }
}

/// Whether any node of the main graph computes nothing at all: sizes so small that windows slide over nothing.
fn has_empty(model: &Model) -> bool {
    let ports = model.graph.nodes().flat_map(|(_, node)| node.ports());
    ports
        .filter_map(|port| port.ty.shape())
        .any(|shape| shape.iter().any(|dim| dim.as_const().is_some_and(|extent| extent <= 0)))
}

/// How many extents of computed values are not constant.
fn open_extents(model: &Model) -> usize {
    let ports = model.graph.nodes().flat_map(|(_, node)| node.ports());
    ports
        .filter_map(|port| port.ty.shape())
        .map(|shape| shape.iter().filter(|dim| dim.as_const().is_none()).count())
        .sum()
}

fn fixed(model: &Model, dims: &[(String, i64)]) -> Result<Sizes, GenerateError> {
    let mut fixed = Sizes::new();
    for (name, size) in dims {
        if *size < 0 {
            return Err(GenerateError::Size { name: name.clone(), size: *size });
        }
        let symbols = symbols_of(model, name);
        if symbols.is_empty() {
            return Err(GenerateError::UnknownDim { name: name.clone(), wanted: super::describe(model) });
        }
        fixed.extend(symbols.into_iter().map(|symbol| (symbol, *size)));
    }
    Ok(fixed)
}

/// The open extents that are meant by a name, or by input and axis as in `x:0` or `x.0`.
fn symbols_of(model: &Model, name: &str) -> Vec<Symbol> {
    let graph = &model.graph;
    let mut symbols = Vec::new();
    for &id in graph.inputs() {
        let Some(shape) = graph.ty(id.port(0)).shape() else { continue };
        let input = graph.label(id.port(0));
        for (axis, dim) in shape.iter().enumerate() {
            let here = name == format!("{input}.{axis}") || name == format!("{input}:{axis}");
            let meant = |symbol: &Symbol| here || matches!(symbol, Symbol::Named(known) if **known == *name);
            symbols.extend(dim.symbols().into_iter().filter(meant));
        }
    }
    symbols
}

/// Whether an input of the model has an open extent that is meant by this name.
pub(crate) fn has_dim(model: &Model, name: &str) -> bool {
    let mut annotated = model.clone();
    infer::graph(&mut annotated.graph, &annotated.functions);
    !symbols_of(&annotated, name).is_empty()
}

/// The type at these sizes; what is still open then has extent 1, and an unknown rank is 0.
fn settled(ty: &Type, sizes: &Sizes) -> Type {
    match ty {
        Type::Tensor(tensor) => {
            let extent = |dim: &Dim| dim.eval(|symbol| sizes.get(symbol).copied()).filter(|&extent| extent >= 0);
            let shape = tensor.shape.as_ref().map(|shape| shape.iter().map(|dim| Dim::from(extent(dim).unwrap_or(1))));
            Type::tensor(tensor.dtype, shape.map_or_else(Shape::scalar, Iterator::collect::<Shape>))
        }
        Type::Sequence(element) => Type::Sequence(Box::new(settled(element, sizes))),
        Type::Optional(element) => Type::Optional(Box::new(settled(element, sizes))),
        Type::Map(key, element) => Type::Map(*key, Box::new(settled(element, sizes))),
        other => other.clone(),
    }
}

struct Maker<'a> {
    random: SplitMix64,
    is_mask: bool,
    limit: i64,
    left: &'a mut usize,
}

impl Maker<'_> {
    /// `None` where the elements would be too many.
    fn value(&mut self, ty: &Type) -> Option<Value> {
        Some(match ty {
            Type::Sequence(element) => {
                Value::Sequence((0..LENGTH).map(|_| self.value(element)).collect::<Option<_>>()?)
            }
            Type::Optional(element) => Value::Optional(Some(Box::new(self.value(element)?))),
            Type::Map(key, element) => {
                let keys = match key.kind() {
                    Kind::String => {
                        let words = (0..LENGTH).map(|index| Bytes::from(format!("key {index}"))).collect();
                        Tensor::from_strings(&[LENGTH], words).ok()?
                    }
                    _ => Tensor::from_i64s(*key, &[LENGTH], &(0..LENGTH as i64).collect::<Vec<_>>()).ok()?,
                };
                Value::Map(keys, (0..LENGTH).map(|_| self.value(element)).collect::<Option<_>>()?)
            }
            other => Value::Tensor(self.tensor(other)?),
        })
    }

    fn tensor(&mut self, ty: &Type) -> Option<Tensor> {
        let dtype = ty.dtype()?;
        let dims = ty.shape()?.as_consts()?;
        let count = element_count(&dims)?;
        *self.left = self.left.checked_sub(count)?;
        let tensor = match dtype.kind() {
            Kind::Float => {
                let values: Vec<f64> = (0..count).map(|_| self.random.nearly_normal()).collect();
                Tensor::from_f64s(dtype, &dims, &values)
            }
            Kind::Signed | Kind::Unsigned => {
                let (is_mask, limit) = (self.is_mask, self.limit);
                let values: Vec<i64> =
                    (0..count).map(|_| if is_mask { 1 } else { (self.random.unit() * limit as f64) as i64 }).collect();
                Tensor::from_i64s(dtype, &dims, &values)
            }
            Kind::Bool => Tensor::from_values(&dims, vec![true; count]),
            Kind::String => Tensor::from_strings(&dims, vec![Bytes::from_static(b"a small example"); count]),
            Kind::Complex => {
                let parts: Vec<f64> = (0..2 * count).map(|_| self.random.nearly_normal()).collect();
                let bytes: Vec<u8> = match dtype.bits() {
                    64 => parts.iter().flat_map(|&part| (part as f32).to_le_bytes()).collect(),
                    _ => parts.iter().flat_map(|part| part.to_le_bytes()).collect(),
                };
                Tensor::from_bytes(dtype, &dims, Bytes::from(bytes))
            }
        };
        tensor.ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn generator(text: &str, dims: &[(&str, i64)]) -> Result<Generator, GenerateError> {
        let dims: Vec<_> = dims.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        Generator::new(&Model::from_text(text).unwrap(), &dims)
    }

    /// The inputs of the first choice of sizes, as a line.
    fn first(text: &str, dims: &[(&str, i64)]) -> String {
        let generator = generator(text, dims).unwrap();
        let values = generator.values(0, 0).unwrap();
        let show =
            |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), |v| crate::inputs::type_of(v).to_string());
        values.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn open_sizes_are_one_or_what_the_user_says() {
        let text = "g (float[N,3,H,?] x, int64[N] k) => (y) { y = Relu(x) }";
        assert_eq!(first(text, &[]), "float[1,3,1,1] int64[1]");
        assert_eq!(first(text, &[("N", 2), ("x.3", 5)]), "float[2,3,1,5] int64[2]");
        let error = generator(text, &[("M", 2)]).unwrap_err();
        assert_eq!(error.to_string(), "no input has a dimension `M`; the model wants x: float[N,3,H,?], k: int64[N]");
    }

    #[test]
    fn sizes_that_operators_demand_are_solved_for() {
        let joined = "g (float[N,C] x) => (y) <float[2,8] w = iota>
            { t = Concat <axis = 1> (x, x)  y = Concat <axis = 0> (t, w) }";
        assert_eq!(first(joined, &[]), "float[1,4]");
        let reshape = "g (float[N,3,T] x) => (y) <int64[2] s = {2, 9}> { y = Reshape(x, s) }";
        assert_eq!(first(reshape, &[("N", 1)]), "float[1,3,6]");
    }

    #[test]
    fn sizes_too_small_for_a_window_are_passed_over() {
        let text = "g (float[N,1,H,H] x) => (y) <float[1,1,4,4] w = iota> { p = Conv(x, w)  y = Conv(p, w) }";
        assert_eq!(first(text, &[]), "float[1,1,8,8]");
    }

    #[test]
    fn whole_numbers_do_not_pick_beyond_the_table() {
        let text = "g (int64[100] i, int32[100] other, int64[4] attention_mask) => (y)
            <float[2,3] table = iota> { j = Unsqueeze(i, zero)  y = Gather(table, j)  zero = Constant <value = int64[1] {0}> () }";
        let values = generator(text, &[]).unwrap().values(0, 0).unwrap();
        let ints = |index: usize| values[index].as_ref().unwrap().as_tensor().unwrap().to_i64s().unwrap();
        assert_eq!(ints(0).iter().max(), Some(&1));
        assert_eq!((ints(1).iter().min(), ints(1).iter().max()), (Some(&0), Some(&3)));
        assert_eq!(ints(2), [1; 4]);
    }

    #[test]
    fn seeds_change_values_and_defaults_are_left_to_the_model() {
        let text = "g (float[3] x, seq(string[2]) s, optional(bool[1]) o) => (x) {}";
        let generator = generator(text, &[]).unwrap();
        assert_eq!(generator.values(0, 7), generator.values(0, 7));
        assert_ne!(generator.values(0, 7), generator.values(0, 8));
        let values = generator.values(0, 0).unwrap();
        assert!(matches!(&values[1], Some(Value::Sequence(list)) if list.len() == 2));
        assert!(matches!(&values[2], Some(Value::Optional(Some(_)))));
    }

    #[test]
    fn types_that_say_too_little_and_sizes_that_say_too_much_are_refused() {
        let unknown = generator("g (?[2] x) => (x) {}", &[]);
        assert_eq!(unknown.unwrap_err().to_string(), "no values can be made for input `x` of type ?[2]");
        let huge = generator("g (float[65536,N] x) => (x) {}", &[("N", 1 << 40)]).unwrap();
        assert_eq!(huge.values(0, 0), Err(GenerateError::TooLarge));
    }
}
