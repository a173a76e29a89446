//! Graphs: interface, initializers and declared types, nodes.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::error::TextError;
use super::{Reader, tensor};
use crate::build::GraphBuilder;
use crate::carried::Carried;
use crate::graph::{Constant, ConstantForm, ConstantValue, Input, Order, Port};
use crate::name::Name;
use crate::types::Type;

/// What is added to a graph after its nodes.
struct Rest {
    outputs: Vec<(Type, Name)>,
    infos: Vec<(Type, Name)>,
}

impl Rest {
    fn add_to(self, builder: &mut GraphBuilder) {
        for (ty, name) in self.outputs {
            builder.add_output(name, ty, Carried::none());
        }
        for (ty, name) in self.infos {
            builder.declare(name, ty, Carried::none());
        }
    }
}

impl Reader<'_> {
    /// `name (inputs) => (outputs) <initializers and types> { nodes }`
    pub(super) fn graph(&mut self, main: bool) -> Result<Box<GraphBuilder>, TextError> {
        let name = self.cursor.expect_name("the name of a graph")?;
        self.graph_named(name, main)
    }

    /// What follows the name of a graph; `_` stands for none.
    pub(super) fn graph_named(&mut self, name: Name, main: bool) -> Result<Box<GraphBuilder>, TextError> {
        let (mut builder, rest) = self.signature(name, main)?;
        self.nodes(&mut builder)?;
        rest.add_to(&mut builder);
        Ok(builder)
    }

    /// All but the nodes.
    fn signature(&mut self, name: Name, main: bool) -> Result<(Box<GraphBuilder>, Rest), TextError> {
        let mut builder = Box::new(GraphBuilder::new(Arc::clone(&self.opsets)));
        builder.set_name(Some(name).filter(|name| *name != "_"));
        let mut inputs = Vec::new();
        let mut initializers = Vec::new();
        let mut infos = Vec::new();
        if self.cursor.peek() == Some(b'(') {
            self.entries_of_graph("(", ")", |(ty, name), value| {
                if let Some(value) = value {
                    initializers.push((name.clone(), value));
                }
                inputs.push((ty, name));
            })?;
        }
        self.cursor.expect("=>")?;
        let outputs = self.value_infos("(", ")")?;
        if self.cursor.peek() == Some(b'<') {
            self.entries_of_graph("<", ">", |(ty, name), value| match value {
                Some(value) => initializers.push((name, value)),
                None => infos.push((ty, name)),
            })?;
        }
        self.interface(&mut builder, inputs, initializers, main);
        Ok((builder, Rest { outputs, infos }))
    }

    /// Names with their types before them, and values after some of them.
    fn entries_of_graph(
        &mut self,
        open: &str,
        close: &str,
        mut entry: impl FnMut((Type, Name), Option<ConstantValue>),
    ) -> Result<(), TextError> {
        self.cursor.expect(open)?;
        if self.cursor.take(close) {
            return Ok(());
        }
        loop {
            let at = self.cursor.place();
            let (ty, name) = self.value_info()?;
            let value = match self.cursor.take("=") {
                true => Some(tensor::value(&mut self.cursor, &ty, at, true)?),
                false => None,
            };
            entry((ty, name), value);
            if !self.cursor.take(",") {
                return self.cursor.expect(close);
            }
        }
    }

    /// An initializer with the name of an input is what the input is unless the caller overrides it; before version 4 of the
    /// format, and in subgraphs, where nobody can, it is a constant that the interface lists.
    fn interface(
        &self,
        builder: &mut GraphBuilder,
        inputs: Vec<(Type, Name)>,
        initializers: Vec<(Name, ConstantValue)>,
        main: bool,
    ) {
        let mut places = HashMap::new();
        for (place, (_, name)) in (0u32..).zip(&inputs) {
            places.entry(name.clone()).or_insert(place);
        }
        let mut defaults = HashMap::new();
        let overridable = main && self.ir_version >= 4;
        for (name, value) in initializers {
            let form = match places.get(&name) {
                Some(&place) if defaults.contains_key(&place) => ConstantForm::Initializer,
                Some(&place) if overridable => {
                    defaults.insert(place, Some(value));
                    continue;
                }
                Some(&place) => {
                    defaults.insert(place, None);
                    ConstantForm::ListedAsInput { place, carried: Carried::none() }
                }
                None => ConstantForm::Initializer,
            };
            let port = Port { name: Some(name), ..Port::default() };
            builder.add_constant(Constant { value, port, form, order: Order::default() });
        }
        for (place, (declared, name)) in (0u32..).zip(inputs) {
            let default = defaults.remove(&place);
            if default.as_ref().is_some_and(Option::is_none) {
                continue;
            }
            let port = Port::new(name, Type::Unknown);
            builder.add_input(Input { port, default: default.flatten(), declared, carried: Carried::none() });
        }
    }

    /// Nodes in braces.
    pub(super) fn nodes(&mut self, builder: &mut GraphBuilder) -> Result<(), TextError> {
        self.cursor.expect("{")?;
        while !self.cursor.take("}") {
            if self.cursor.at_end() {
                return Err(self.cursor.expected("a node or `}`"));
            }
            self.node(builder)?;
        }
        Ok(())
    }
}
