//! The graph that onnxpress compiles.
//!
//! A [`Model`] is a [`Graph`] with functions and a header. Vertices and edges live in [`graph`]; values have [`types`] with
//! symbolic extents ([`dim`]) and labels ([`name`]); weights are shared [`tensor`]s; passes change a graph through an
//! [`Edit`]. This crate knows no operator, no protobuf and no file.

pub mod analysis;
pub mod attr;
pub mod build;
pub mod call;
pub mod carried;
pub mod dim;
pub mod dtype;
pub mod edit;
pub mod graph;
pub mod model;
pub mod name;
pub mod names;
pub mod random;
pub mod shape;
pub mod tensor;
pub mod text;
pub mod types;
pub mod verify;

pub use attr::{Attr, AttrKind, AttrValue};
pub use build::{BuildError, GraphBuilder, NodeDraft};
pub use call::Callables;
pub use carried::Carried;
pub use dim::{Dim, Symbol};
pub use dtype::{DType, Kind};
pub use edit::{Edit, EditError, Fact, InferError, Semantics, Touched};
pub use graph::{
    Capture, Constant, ConstantForm, ConstantValue, Cycle, Declared, Graph, Input, Node, NodeId, Opsets, Order, Origin,
    Output, Port, Slot, Use, ValueId, Vertex,
};
pub use model::{Function, Header, Model};
pub use name::Name;
pub use names::{Assigned, NamePlan, assign_names};
pub use shape::Shape;
pub use tensor::{Element, SparseTensor, Tensor, TensorError, Unmade};
pub use text::TextError;
pub use types::{TensorType, Type, TypeConflict};
