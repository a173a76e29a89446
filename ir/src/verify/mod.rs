//! The structural verifier: whether a model is one, whatever its operators mean.
//!
//! It checks that edges and vertices agree, that nodes can be put in order, that interfaces have names, that constants are of
//! their tensors' types and declared types can be true, that captures lead somewhere, and that functions do not call
//! themselves. What operators ask of their nodes is `onnxpress-ops`' to verify; what can be written to a file, the writer's.
//! All findings are gathered, so one run tells everything; each has the line of the vertex that it is about.
//!
//! Where there is a choice onnxruntime is the yardstick: what it runs has no [`Severity::Error`]. Shapes that contradict a
//! declaration are therefore a warning, element types an error.

mod functions;
mod problem;
mod sparse;
#[cfg(test)]
mod tests;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

pub use problem::{Finding, Problem, Severity};

use crate::attr::AttrValue;
use crate::graph::{ConstantForm, ConstantValue, Graph, NodeId, ValueId, Vertex};
use crate::model::{Function, Model};
use crate::name::Name;
use crate::names::NamePlan;
use crate::shape::Shape;
use crate::text;
use crate::types::{Type, TypeConflict};

/// Checks the main graph, its subgraphs and the functions of a model. Findings come graph by graph, those of a subgraph with
/// the node that holds it.
pub fn verify(model: &Model) -> Vec<Finding> {
    let mut verifier = Verifier::default();
    verifier.graph(&model.graph, Role::Main);
    for function in &model.functions {
        verifier.place.push(functions::site(function));
        verifier.function = Some(function);
        verifier.graph(&function.body, Role::Function);
        verifier.place.clear();
    }
    verifier.functions(&model.functions);
    verifier.findings
}

/// Checks a graph by itself, as the main graph of a model.
pub fn verify_graph(graph: &Graph) -> Vec<Finding> {
    let mut verifier = Verifier::default();
    verifier.graph(graph, Role::Main);
    verifier.findings
}

/// What a graph is in.
#[derive(Clone, Copy)]
enum Role<'m> {
    Main,
    Function,
    Subgraph { around: &'m Graph, holder: NodeId },
}

#[derive(Default)]
struct Verifier<'m> {
    findings: Vec<Finding>,
    /// Where the graph at hand is, from the outside inwards; nothing for the main graph.
    place: Vec<String>,
    function: Option<&'m Function>,
}

/// A graph, and the names for its lines once one is needed.
struct Scene<'m> {
    graph: &'m Graph,
    names: OnceCell<NamePlan>,
    sound: bool,
    /// How often a vertex was reported.
    reported: RefCell<HashMap<(NodeId, Severity), usize>>,
}

/// Findings of one severity about one vertex; beyond these it is only said that there are more. A hostile node may have
/// millions, and each has the node's own line.
const MAX_FINDINGS: usize = 16;

/// Characters of a site or a line that are shown.
const MAX_SHOWN: usize = 400;

/// Text of a length that people read.
fn clipped(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl<'m> Verifier<'m> {
    fn graph(&mut self, graph: &'m Graph, role: Role<'m>) {
        let misfits = graph.misfits();
        let scene = Scene { graph, names: OnceCell::new(), sound: misfits.is_empty(), reported: RefCell::default() };
        for (id, misfit) in misfits {
            self.report(&scene, id, Severity::Error, Problem::Misfit(misfit));
        }
        // Nothing that follows can be asked of a graph whose edges lie.
        if !scene.sound {
            return;
        }
        if let Err(cycle) = graph.topological() {
            let site = self.site(None);
            self.findings.push(Finding { severity: Severity::Error, site, line: None, problem: Problem::Cycle(cycle) });
        }
        self.interface(&scene, role);
        for (id, vertex) in graph.vertices() {
            match vertex {
                Vertex::Constant(constant) => self.constant(&scene, id, &constant.value, &constant.port.ty),
                Vertex::Capture(capture) => self.capture(&scene, id, capture.operand, role),
                Vertex::Node(_) => self.node(&scene, id),
                Vertex::Input(_) | Vertex::Output(_) => {}
            }
        }
        for entry in &graph.declared {
            let live = entry.value.filter(|value| exists(graph, *value));
            if let Some(value) = live {
                self.agree(&scene, value.node, "declared type", &entry.ty, graph.ty(value));
            }
        }
    }

    /// Where a vertex, or the graph at hand, is; empty for the main graph.
    fn site(&self, vertex: Option<String>) -> String {
        let parts: Vec<_> = vertex.into_iter().chain(self.place.iter().rev().cloned()).map(clipped).collect();
        parts.join(" in ")
    }

    fn report(&mut self, scene: &Scene<'_>, id: NodeId, severity: Severity, problem: Problem) {
        let mut reported = scene.reported.borrow_mut();
        let count = reported.entry((id, severity)).or_default();
        *count += 1;
        let problem = match *count {
            1..=MAX_FINDINGS => problem,
            count if count == MAX_FINDINGS + 1 => Problem::More,
            _ => return,
        };
        let site = self.site(Some(scene.graph.describe(id)));
        let line = scene.sound.then(|| {
            let names = scene.names.get_or_init(|| NamePlan::of_graph(scene.graph));
            clipped(text::line(scene.graph, id, names))
        });
        self.findings.push(Finding { severity, site, line, problem });
    }

    /// Reports two descriptions of one value that cannot both be true.
    fn agree(&mut self, scene: &Scene<'_>, id: NodeId, what: &'static str, said: &Type, known: &Type) {
        if let Err(conflict) = said.merge(known) {
            let severity = match conflict {
                TypeConflict::Shape(_) => Severity::Warning,
                TypeConflict::Kind(..) => Severity::Error,
            };
            self.report(scene, id, severity, Problem::Conflict { what, conflict });
        }
    }

    fn interface(&mut self, scene: &Scene<'_>, role: Role<'m>) {
        let graph = scene.graph;
        let main = matches!(role, Role::Main);
        let listed =
            graph.constants().filter(|(_, constant)| matches!(constant.form, ConstantForm::ListedAsInput { .. }));
        let inputs: Vec<_> = graph.inputs().iter().copied().chain(listed.map(|(id, _)| id)).collect();
        let mut by_name: HashMap<&Name, ValueId> = HashMap::new();
        for id in inputs {
            let value = id.port(0);
            match graph.port(value).name.as_ref().filter(|name| !name.is_empty()) {
                None => self.report(scene, id, Severity::Error, Problem::Nameless),
                Some(name) => self.unique(scene, id, name, value, &mut by_name),
            }
            let Vertex::Input(input) = graph.vertex(id) else { continue };
            self.agree(scene, id, "declared type", &input.declared, &input.port.ty);
            if main && input.declared.is_unknown() {
                self.report(scene, id, Severity::Warning, Problem::NoType);
            }
            if let Some(default) = &input.default {
                self.constant(scene, id, default, &type_of(default));
                self.agree(scene, id, "default", &type_of(default), &input.declared);
                if matches!(role, Role::Function) {
                    self.report(scene, id, Severity::Error, Problem::FunctionDefault);
                }
            }
        }
        for &id in graph.outputs() {
            let output = graph.output(id);
            let Some(value) = graph.operand(id, 0) else { continue };
            if output.name.is_empty() {
                self.report(scene, id, Severity::Error, Problem::Nameless);
            } else {
                self.unique(scene, id, &output.name, value, &mut by_name);
            }
            self.agree(scene, id, "declared type", &output.declared, graph.ty(value));
            if main && output.declared.is_unknown() {
                self.report(scene, id, Severity::Warning, Problem::NoType);
            }
        }
    }

    /// Enters a name of the interface. One name may stand for one value twice, as where an output gives out an input.
    fn unique<'n>(
        &mut self,
        scene: &Scene<'n>,
        id: NodeId,
        name: &'n Name,
        value: ValueId,
        by_name: &mut HashMap<&'n Name, ValueId>,
    ) {
        let other = *by_name.entry(name).or_insert(value);
        if other != value {
            let other = scene.graph.describe(other.node);
            self.report(scene, id, Severity::Error, Problem::SameName { name: name.to_string(), other });
        }
    }

    fn constant(&mut self, scene: &Scene<'_>, id: NodeId, value: &ConstantValue, ty: &Type) {
        let expected = type_of(value);
        if *ty != expected {
            self.report(scene, id, Severity::Error, Problem::ConstantType { found: ty.clone(), expected });
        }
        if let ConstantValue::Sparse(tensor) = value
            && let Some(fault) = sparse::fault(tensor)
        {
            self.report(scene, id, Severity::Error, Problem::Sparse(fault));
        }
    }

    fn capture(&mut self, scene: &Scene<'_>, id: NodeId, operand: u32, role: Role<'m>) {
        let Role::Subgraph { around, holder } = role else {
            return self.report(scene, id, Severity::Error, Problem::NothingAround);
        };
        let mut implicit = around.implicit_operands(holder);
        let count = implicit.len();
        match implicit.nth(operand as usize) {
            None => self.report(scene, id, Severity::Error, Problem::CaptureRange { operand, count }),
            Some(None) => self.report(scene, id, Severity::Error, Problem::CaptureNothing { operand }),
            Some(Some(value)) => self.agree(scene, id, "type outside", around.ty(value), scene.graph.ty(id.port(0))),
        }
    }

    fn node(&mut self, scene: &Scene<'m>, id: NodeId) {
        let graph = scene.graph;
        let Some(node) = graph.node(id) else { return };
        if node.op_type.is_empty() {
            self.report(scene, id, Severity::Error, Problem::NoOperator);
        }
        for attr in &node.attrs {
            match &attr.value {
                AttrValue::Reference { name, kind } => {
                    if let Some(problem) = functions::reference(self.function, &attr.name, name, *kind) {
                        self.report(scene, id, Severity::Error, problem);
                    }
                }
                AttrValue::SparseTensor(tensor) => {
                    if let Some(fault) = sparse::fault(tensor) {
                        self.report(scene, id, Severity::Error, Problem::Sparse(fault));
                    }
                }
                value => {
                    for inner in value.graphs() {
                        self.place.push(format!("`{}` of {}", attr.name, graph.describe(id)));
                        self.graph(inner, Role::Subgraph { around: graph, holder: id });
                        self.place.pop();
                    }
                }
            }
        }
        if node.capture_count() > 0 {
            let mut captured = vec![false; node.capture_count()];
            for (_, capture) in node.subgraphs().flat_map(Graph::captures) {
                if let Some(captured) = captured.get_mut(capture.operand as usize) {
                    *captured = true;
                }
            }
            for (operand, _) in captured.into_iter().enumerate().filter(|(_, captured)| !captured) {
                self.report(scene, id, Severity::Warning, Problem::NotCaptured { operand });
            }
        }
    }
}

fn exists(graph: &Graph, value: ValueId) -> bool {
    graph.get(value.node).is_some_and(|vertex| (value.port as usize) < vertex.ports().len())
}

/// The type of a constant's tensor: dense or sparse, a value is a tensor.
fn type_of(value: &ConstantValue) -> Type {
    Type::tensor(value.dtype(), Shape::from_extents(value.dims()))
}
