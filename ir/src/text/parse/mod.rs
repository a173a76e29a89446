//! Reading the text form: a recursive descent over the grammar in [`text`](super), one function a rule.

mod graph;
mod node;
mod tensor;
mod types;

use std::sync::Arc;

use super::Defaults;
use super::cursor::Cursor;
use super::error::{Fault, TextError};
use super::preamble::Preamble;
use super::word::is_type_word;
use crate::attr::Attr;
use crate::build::GraphBuilder;
use crate::carried::Carried;
use crate::graph::{Graph, Input, Opsets, Port};
use crate::model::{Function, Header, Model};
use crate::name::Name;
use crate::types::Type;

/// What holds for a whole text.
struct Reader<'t> {
    cursor: Cursor<'t>,
    ir_version: i64,
    opsets: Arc<Opsets>,
}

/// A model: a header, if there is one, a graph, and functions.
pub(super) fn model(text: &str, defaults: &Defaults) -> Result<Model, TextError> {
    let mut reader = Reader::new(text, defaults);
    let preamble = reader.header()?;
    let graph = reader.graph(true)?.build()?;
    let mut functions = Vec::new();
    while !reader.cursor.at_end() {
        functions.push(reader.function()?);
    }
    Ok(Model { header: Header { ir_version: reader.ir_version, carried: preamble.carried() }, graph, functions })
}

/// A graph, with a header or without, and nothing else.
pub(super) fn graph(text: &str, defaults: &Defaults) -> Result<Graph, TextError> {
    let mut reader = Reader::new(text, defaults);
    reader.header()?;
    let graph = reader.graph(true)?;
    if !reader.cursor.at_end() {
        return Err(reader.cursor.expected("the end"));
    }
    Ok(graph.build()?)
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, defaults: &Defaults) -> Self {
        let opsets = Arc::new(defaults.opsets.clone());
        Self { cursor: Cursor::new(text, defaults.max_elements), ir_version: defaults.ir_version, opsets }
    }

    /// Entries `word: value` in angle brackets, if there are any; each word at most once.
    fn entries(
        &mut self,
        words: &str,
        mut entry: impl FnMut(&mut Self, &'t str) -> Result<bool, TextError>,
    ) -> Result<(), TextError> {
        if !self.cursor.take("<") {
            return Ok(());
        }
        let mut seen = Vec::new();
        loop {
            let at = self.cursor.place();
            let word = self.cursor.expect_identifier(words)?;
            if seen.contains(&word) {
                return Err(self.cursor.error_at(at, Fault::Twice { what: word.to_owned() }));
            }
            seen.push(word);
            self.cursor.expect(":")?;
            if !entry(self, word)? {
                self.cursor.return_to(at);
                return Err(self.cursor.expected(words));
            }
            if !self.cursor.take(",") {
                return self.cursor.expect(">");
            }
        }
    }

    fn integer(&mut self) -> Result<i64, TextError> {
        tensor::whole(&mut self.cursor, crate::dtype::DType::Int64)
    }

    fn header(&mut self) -> Result<Preamble, TextError> {
        const WORDS: &str = "`ir_version`, `opset_import`, `producer_name`, `producer_version`, `domain`, `model_version`, \
                             `doc_string` or `metadata_props`";
        let mut preamble = Preamble::default();
        self.entries(WORDS, |reader, word| {
            match word {
                "ir_version" => reader.ir_version = reader.integer()?,
                "opset_import" => reader.opsets = Arc::new(reader.opset_imports()?),
                "producer_name" => preamble.producer_name = Some(reader.cursor.string()?),
                "producer_version" => preamble.producer_version = Some(reader.cursor.string()?),
                "domain" => preamble.domain = Some(reader.cursor.string()?),
                "model_version" => preamble.model_version = Some(reader.integer()?),
                "doc_string" => preamble.doc_string = Some(reader.cursor.string()?),
                "metadata_props" => preamble.metadata_props = reader.pairs(|reader| reader.cursor.string())?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(preamble)
    }

    fn opset_imports(&mut self) -> Result<Opsets, TextError> {
        let imports = self.pairs(|reader| reader.integer())?;
        Ok(Opsets::new(imports.into_iter().map(|(domain, version)| (Name::from_bytes(domain), version)).collect()))
    }

    /// `["key": value, …]`
    fn pairs<T>(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Result<T, TextError>,
    ) -> Result<Vec<(bytes::Bytes, T)>, TextError> {
        let mut pairs = Vec::new();
        self.cursor.expect("[")?;
        if self.cursor.take("]") {
            return Ok(pairs);
        }
        loop {
            let key = self.cursor.string()?;
            self.cursor.expect(":")?;
            pairs.push((key, value(self)?));
            if !self.cursor.take(",") {
                self.cursor.expect("]")?;
                return Ok(pairs);
            }
        }
    }

    fn function(&mut self) -> Result<Function, TextError> {
        const WORDS: &str = "`domain`, `overload`, `opset_import` or `doc_string`";
        let (mut domain, mut overload) = (Name::empty(), Name::empty());
        let mut opsets = None;
        let mut preamble = Preamble::default();
        self.entries(WORDS, |reader, word| {
            match word {
                "domain" => domain = Name::from_bytes(reader.cursor.string()?),
                "overload" => overload = Name::from_bytes(reader.cursor.string()?),
                "opset_import" => opsets = Some(reader.opset_imports()?),
                "doc_string" => preamble.doc_string = Some(reader.cursor.string()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let name = self.cursor.expect_name("the name of a function")?;
        let (mut required, mut defaults) = (Vec::new(), Vec::new());
        if self.cursor.take("<") {
            loop {
                let parameter = self.cursor.expect_name("the name of an attribute")?;
                if matches!(self.cursor.peek(), Some(b':' | b'=')) {
                    let value = self.attribute_value()?.built()?;
                    defaults.push(Attr { name: parameter, value, carried: Carried::none() });
                } else {
                    required.push(parameter);
                }
                if !self.cursor.take(",") {
                    break;
                }
            }
            self.cursor.expect(">")?;
        }
        // A function without imports of its own speaks the model's operator sets.
        let outer = Arc::clone(&self.opsets);
        self.opsets = opsets.map_or_else(|| Arc::clone(&outer), Arc::new);
        let body = self.function_body(name.clone());
        self.opsets = outer;
        let body = body?.build()?;
        Ok(Function { domain, name, overload, required, defaults, body, carried: preamble.carried() })
    }

    fn function_body(&mut self, name: Name) -> Result<GraphBuilder, TextError> {
        let mut builder = GraphBuilder::new(Arc::clone(&self.opsets));
        builder.set_name(Some(name));
        for (ty, name) in self.value_infos("(", ")")? {
            let port = Port::new(name.clone(), Type::Unknown);
            builder.add_input(Input { port, default: None, declared: Type::Unknown, carried: Carried::none() });
            if !ty.is_unknown() {
                builder.declare(name, ty, Carried::none());
            }
        }
        self.cursor.expect("=>")?;
        for (ty, name) in self.value_infos("(", ")")? {
            builder.add_output(name.clone(), Type::Unknown, Carried::none());
            if !ty.is_unknown() {
                builder.declare(name, ty, Carried::none());
            }
        }
        if self.cursor.peek() == Some(b'<') {
            for (ty, name) in self.value_infos("<", ">")? {
                builder.declare(name, ty, Carried::none());
            }
        }
        self.nodes(&mut builder)?;
        Ok(builder)
    }

    /// Names, each with its type before it or without.
    fn value_infos(&mut self, open: &str, close: &str) -> Result<Vec<(Type, Name)>, TextError> {
        let mut infos = Vec::new();
        self.cursor.expect(open)?;
        if self.cursor.take(close) {
            return Ok(infos);
        }
        loop {
            infos.push(self.value_info()?);
            if !self.cursor.take(",") {
                self.cursor.expect(close)?;
                return Ok(infos);
            }
        }
    }

    fn value_info(&mut self) -> Result<(Type, Name), TextError> {
        let ty = if self.cursor.next_is_type() { types::ty(&mut self.cursor)? } else { Type::Unknown };
        Ok((ty, self.cursor.expect_name("the name of a value")?))
    }
}

/// A word, or words with dots between them.
fn dotted(cursor: &mut Cursor<'_>, expected: &str) -> Result<Name, TextError> {
    let mut name = cursor.expect_name(expected)?.to_bytes().to_vec();
    while cursor.take(".") {
        name.push(b'.');
        name.extend_from_slice(cursor.expect_name("a word")?.as_bytes());
    }
    Ok(Name::from_bytes(name.into()))
}

/// Whether a word can only be the beginning of a type.
fn is_type(word: Option<&str>) -> bool {
    word.is_some_and(is_type_word)
}
