//! A whole model: its graph, its functions, and what stands in the file's header.

use std::sync::Arc;

use crate::attr::Attr;
use crate::carried::Carried;
use crate::graph::{Graph, Opsets};
use crate::name::Name;

/// What a file says of itself, as far as passes need it; the reader's companion has the rest.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// The version of the file format (`ModelProto.ir_version`).
    pub ir_version: i64,
    /// The reader's companion: producer, metadata, training information, device configurations.
    pub carried: Carried,
}

/// A function that the model defines: an operator with a body.
#[derive(Clone, Debug)]
pub struct Function {
    /// The domain of the operator that it defines.
    pub domain: Name,
    /// The operator that it defines.
    pub name: Name,
    /// Which overload; usually empty.
    pub overload: Name,
    /// Attributes that a call must give.
    pub required: Vec<Name>,
    /// Attributes that a call may give, with what they are otherwise.
    pub defaults: Vec<Attr>,
    /// The body. Its inputs have names, and no types.
    pub body: Graph,
    /// The reader's companion.
    pub carried: Carried,
}

/// A model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// What the file says of itself.
    pub header: Header,
    /// The main graph.
    pub graph: Graph,
    /// The functions, in the order of the file.
    pub functions: Vec<Function>,
}

impl Model {
    /// An empty model of the given format and operator set versions.
    pub fn new(ir_version: i64, opsets: Opsets) -> Self {
        Self {
            header: Header { ir_version, carried: Carried::none() },
            graph: Graph::new(Arc::new(opsets)),
            functions: Vec::new(),
        }
    }

    /// A number that grows with every change to the main graph or a function's body.
    pub fn revision(&self) -> u64 {
        {
            let bodies = self.functions.iter().map(|function| function.body.revision());
            // Mixed rather than added, so that a function that goes cannot make up for an edit.
            bodies.fold(self.graph.revision(), |mix, revision| {
                mix.wrapping_mul(0x0100_0000_01b3).wrapping_add(revision + 1)
            })
        }
    }

    /// The function that a node of this operator calls.
    pub fn function(&self, domain: &[u8], name: &Name, overload: &Name) -> Option<&Function> {
        use crate::graph::canonical_domain as canonical;
        self.functions.iter().find(|function| {
            function.name == *name
                && function.overload == *overload
                && canonical(function.domain.as_bytes()) == canonical(domain)
        })
    }

    /// Nodes of the main graph, of its subgraphs at any depth, and of functions.
    pub fn node_count(&self) -> usize {
        self.graph.node_count() + self.functions.iter().map(|function| function.body.node_count()).sum::<usize>()
    }
}
