//! Reads a line of the table. `ops/schema/generate.py` describes the form.

use onnxpress_ir::{AttrKind, DType};
use winnow::ascii::{dec_int, dec_uint, float};
use winnow::combinator::{alt, delimited, empty, fail, opt, preceded, separated, terminated};
use winnow::error::ContextError;
use winnow::token::take_while;
use winnow::{Parser, Result};

use super::operator::{AttributeSchema, Default, Formal, FormalKind, OpSchema, TypeConstraint, TypeRef};
use super::types::{ElementSet, GROUPS, TypeSet};

/// The table is compiled in, so names can be slices of it.
type Text = &'static str;

/// One line, as an operator of `domain`. The error prints the line with the place where it stops to make sense.
pub(super) fn line(
    domain: &'static str,
    text: Text,
) -> Result<OpSchema, winnow::error::ParseError<Text, ContextError>> {
    operator(domain).parse(text)
}

fn operator(domain: &'static str) -> impl Parser<Text, OpSchema, ContextError> {
    let head = (terminated(word, ' '), terminated(dec_int, ' '), flag("deprecated "), flag("function "));
    let constraints = opt(preceded(" where ", separated(1.., constraint, "; "))).map(Option::unwrap_or_default);
    (head, formals, " -> ", formals, ' ', attributes, constraints).verify_map(
        move |((name, since_version, deprecated, function_body), inputs, _, outputs, _, attributes, constraints)| {
            let constraints: Vec<TypeConstraint> = constraints;
            Some(OpSchema {
                domain,
                name,
                since_version,
                deprecated,
                function_body,
                inputs: resolve(inputs, &constraints)?,
                outputs: resolve(outputs, &constraints)?,
                attributes,
                constraints,
            })
        },
    )
}

fn word(input: &mut Text) -> Result<Text> {
    take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '_').parse_next(input)
}

fn flag(text: &'static str) -> impl Parser<Text, bool, ContextError> {
    opt(text).map(|found| found.is_some())
}

/// A formal whose type parameter is still a name: the constraints come later in the line.
struct Named {
    name: Text,
    kind: FormalKind,
    types: NamedType,
}

enum NamedType {
    Parameter(Text),
    Tensor(DType),
}

fn formals(input: &mut Text) -> Result<Vec<Named>> {
    delimited('(', separated(0.., formal, ", "), ')').parse_next(input)
}

fn formal(input: &mut Text) -> Result<Named> {
    let types = alt((delimited("tensor(", dtype, ')').map(NamedType::Tensor), word.map(NamedType::Parameter)));
    (word, ": ", types, formal_kind).map(|(name, _, types, kind)| Named { name, kind, types }).parse_next(input)
}

fn formal_kind(input: &mut Text) -> Result<FormalKind> {
    let min = alt(('*'.value(0), preceded('+', opt(dec_uint).map(|min: Option<usize>| min.unwrap_or(1)))));
    let variadic = (min, flag(" mixed")).map(|(min, mixed)| FormalKind::Variadic { min, homogeneous: !mixed });
    alt(('?'.value(FormalKind::Optional), variadic, empty.value(FormalKind::Single))).parse_next(input)
}

/// `None` where a parameter has no constraint.
fn resolve(formals: Vec<Named>, constraints: &[TypeConstraint]) -> Option<Vec<Formal>> {
    let formal = |Named { name, kind, types }| {
        let types = match types {
            NamedType::Tensor(dtype) => TypeRef::Tensor(dtype),
            NamedType::Parameter(name) => {
                TypeRef::Parameter(constraints.iter().position(|constraint| constraint.parameter == name)?)
            }
        };
        Some(Formal { name, kind, types })
    };
    formals.into_iter().map(formal).collect()
}

fn attributes(input: &mut Text) -> Result<Vec<AttributeSchema>> {
    delimited('{', separated(0.., attribute, ", "), '}').parse_next(input)
}

fn attribute(input: &mut Text) -> Result<AttributeSchema> {
    let kind = word.verify_map(|word| AttrKind::ALL.into_iter().find(|kind| kind.name() == word));
    let (name, _, kind, required) = (word, ": ", kind, flag("!")).parse_next(input)?;
    let default = opt(preceded(" = ", default(kind))).parse_next(input)?;
    Ok(AttributeSchema { name, kind, required, default })
}

fn default(kind: AttrKind) -> impl FnMut(&mut Text) -> Result<Default> {
    move |input| match kind {
        AttrKind::Float => float.map(Default::Float).parse_next(input),
        AttrKind::Int => dec_int.map(Default::Int).parse_next(input),
        AttrKind::String => quoted.map(Default::String).parse_next(input),
        AttrKind::Floats => list(float).map(Default::Floats).parse_next(input),
        AttrKind::Ints => list(dec_int).map(Default::Ints).parse_next(input),
        AttrKind::Strings => list(quoted).map(Default::Strings).parse_next(input),
        _ => fail(input),
    }
}

fn list<T>(item: impl Parser<Text, T, ContextError>) -> impl Parser<Text, Vec<T>, ContextError> {
    delimited('[', separated(0.., item, ", "), ']')
}

fn quoted(input: &mut Text) -> Result<Text> {
    delimited('"', take_while(0.., |c| c != '"'), '"').parse_next(input)
}

fn constraint(input: &mut Text) -> Result<TypeConstraint> {
    (word, ": ", types).map(|(parameter, _, types)| TypeConstraint { parameter, types }).parse_next(input)
}

fn types(input: &mut Text) -> Result<TypeSet> {
    let mut all = TypeSet::default();
    term(&mut all, input)?;
    while opt(' ').parse_next(input)?.is_some() {
        term(&mut all, input)?;
    }
    Ok(all)
}

/// One word of a set of types, or one constructor with what it holds.
fn term(all: &mut TypeSet, input: &mut Text) -> Result<()> {
    if opt("seq(").parse_next(input)?.is_some() {
        all.sequences = Some(Box::new(terminated(types, ')').parse_next(input)?));
    } else if opt("optional(").parse_next(input)?.is_some() {
        all.optionals = Some(Box::new(terminated(types, ')').parse_next(input)?));
    } else if opt("sparse_tensor(").parse_next(input)?.is_some() {
        all.sparse_tensors = terminated(elements, ')').parse_next(input)?;
    } else if opt("map(").parse_next(input)?.is_some() {
        all.maps.push((terminated(dtype, ", "), terminated(elements, ')')).parse_next(input)?);
    } else {
        all.tensors = all.tensors.union(element.parse_next(input)?);
    }
    Ok(())
}

fn elements(input: &mut Text) -> Result<ElementSet> {
    let sets: Vec<ElementSet> = separated(1.., element, ' ').parse_next(input)?;
    Ok(sets.into_iter().fold(ElementSet::default(), ElementSet::union))
}

/// The word of a group or of an element type.
fn element(input: &mut Text) -> Result<ElementSet> {
    let named = |name: Text| match GROUPS.iter().find(|(group, _)| *group == name) {
        Some((_, members)) => Some(members.iter().copied().collect()),
        None => Some(ElementSet::from_iter([name.parse::<DType>().ok()?])),
    };
    word.verify_map(named).parse_next(input)
}

fn dtype(input: &mut Text) -> Result<DType> {
    word.verify_map(|name: Text| name.parse().ok()).parse_next(input)
}
