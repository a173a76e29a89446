//! The primitive changes. Crate-private but for what readers and inference need: passes go through `Edit`.

use petgraph::graph::{EdgeIndex, NodeIndex};

use super::*;

impl Graph {
    /// Puts a vertex without operands into the graph.
    fn seat_vertex(&mut self, vertex: Vertex) -> NodeId {
        let stamp = self.next_stamp;
        self.next_stamp = self.next_stamp.wrapping_add(1);
        self.revision += 1;
        let index = self.store.add_node(Seat { stamp, vertex });
        NodeId { slot: index.index() as u32, stamp }
    }

    pub(super) fn seat_any(&mut self, vertex: Vertex) -> ValueId {
        self.seat_vertex(vertex).port(0)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Vertex> {
        let seat = self.store.node_weight_mut(NodeIndex::new(id.slot())).filter(|seat| seat.stamp == id.stamp)?;
        Some(&mut seat.vertex)
    }

    /// Adds an input after the others.
    pub fn add_input(&mut self, input: Input) -> ValueId {
        let id = self.seat_vertex(Vertex::Input(Box::new(input)));
        self.inputs.push(id);
        id.port(0)
    }

    /// Adds a constant. Its type is read off its value.
    pub fn add_constant(&mut self, mut constant: Constant) -> ValueId {
        let shape =
            constant.value.dims().iter().map(|&dim| Dim::from(i64::try_from(dim).unwrap_or(i64::MAX))).collect();
        let dtype = constant.value.dtype();
        constant.port.ty = Type::tensor(dtype, Some(shape));
        constant.port.elements = constant.value.dense().and_then(capture::small_elements);
        self.seat_vertex(Vertex::Constant(Box::new(constant))).port(0)
    }

    /// Adds a node with these operands (`None`: left out).
    pub fn add_node(&mut self, mut node: Node, operands: &[Option<ValueId>]) -> NodeId {
        node.operands = operands.iter().map(|_| None).collect();
        node.captures.clear();
        let id = self.seat_vertex(Vertex::Node(Box::new(node)));
        for (index, &operand) in operands.iter().enumerate() {
            self.connect(id, Slot::Operand(index as u32), operand);
        }
        id
    }

    /// Adds an output after the others.
    pub fn add_output(&mut self, name: Name, declared: Type, carried: Carried, value: ValueId) -> NodeId {
        let id = self.seat_vertex(Vertex::Output(Box::new(Output { name, declared, carried, operand: None })));
        self.connect(id, Slot::Operand(0), Some(value));
        self.outputs.push(id);
        id
    }

    fn edge_slot(&mut self, id: NodeId, slot: Slot) -> &mut Option<EdgeIndex> {
        let vertex = self.get_mut(id).expect("an id of a vertex that was removed");
        match (vertex, slot) {
            (Vertex::Node(node), Slot::Operand(index)) => &mut node.operands[index as usize],
            (Vertex::Node(node), Slot::Capture(index)) => &mut node.captures[index as usize],
            (Vertex::Output(output), Slot::Operand(0)) => &mut output.operand,
            _ => unreachable!("the vertex has no such operand"),
        }
    }

    /// Makes an existing slot read `value` (or nothing) from now on; answers what it read before.
    pub(crate) fn connect(&mut self, id: NodeId, slot: Slot, value: Option<ValueId>) -> Option<ValueId> {
        self.revision += 1;
        let old = *self.edge_slot(id, slot);
        let before = old.map(|edge| self.source(edge));
        if let Some(edge) = old {
            self.store.remove_edge(edge);
        }
        let new = value.map(|value| {
            assert!(self.contains(value.node), "an operand must exist");
            let reading = Reading { from_port: value.port, to: slot };
            self.store.add_edge(NodeIndex::new(value.node.slot()), NodeIndex::new(id.slot()), reading)
        });
        *self.edge_slot(id, slot) = new;
        before
    }

    /// Appends an operand to a node, or an implicit one.
    pub(crate) fn push_slot(&mut self, id: NodeId, capture: bool, value: Option<ValueId>) -> Slot {
        let node = self.node_mut(id);
        let list = if capture { &mut node.captures } else { &mut node.operands };
        let index = list.len() as u32;
        list.push(None);
        let slot = if capture { Slot::Capture(index) } else { Slot::Operand(index) };
        self.connect(id, slot, value);
        slot
    }

    /// Removes a node's last operand; answers what it read.
    pub(crate) fn pop_operand(&mut self, id: NodeId) -> Option<ValueId> {
        let last = self.node(id).map_or(0, Node::operand_count).checked_sub(1)?;
        let before = self.connect(id, Slot::Operand(last as u32), None);
        self.node_mut(id).operands.pop();
        before
    }

    /// Removes a vertex that nothing reads, its own readings first.
    pub(crate) fn remove(&mut self, id: NodeId) -> Vertex {
        assert!(!self.is_read(id), "a vertex that is read cannot be removed");
        let (operands, captures) = self.slots(id);
        let (operands, captures) = (operands.len(), captures.len());
        for index in 0..operands {
            self.connect(id, Slot::Operand(index as u32), None);
        }
        for index in 0..captures {
            self.connect(id, Slot::Capture(index as u32), None);
        }
        self.inputs.retain(|&input| input != id);
        self.outputs.retain(|&output| output != id);
        self.revision += 1;
        self.store.remove_node(NodeIndex::new(id.slot())).expect("the vertex is in the graph").vertex
    }

    /// Makes one reading of a value read another.
    ///
    /// # Panics
    /// If reader or value were removed.
    pub fn read_instead(&mut self, reading: Use, value: ValueId) {
        self.connect(reading.node, reading.slot, Some(value));
    }

    /// Takes away an input that nothing reads.
    ///
    /// # Panics
    /// If it is read, or no input.
    pub fn take_input(&mut self, id: NodeId) -> Input {
        match self.remove(id) {
            Vertex::Input(input) => *input,
            _ => unreachable!("the vertex is no input"),
        }
    }

    fn vertex_mut(&mut self, id: NodeId) -> &mut Vertex {
        self.revision += 1;
        self.get_mut(id).expect("an id of a vertex that was removed")
    }

    /// The node, to be changed in what is no data flow.
    ///
    /// # Panics
    /// If the vertex was removed or is no node.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        match self.vertex_mut(id) {
            Vertex::Node(node) => node,
            _ => unreachable!("the vertex is no node"),
        }
    }

    /// The constant, to be changed. Its type must stay that of its value: use [`set_constant`](Self::set_constant) for that.
    ///
    /// # Panics
    /// If the vertex was removed or is no constant.
    pub fn constant_mut(&mut self, id: NodeId) -> &mut Constant {
        match self.vertex_mut(id) {
            Vertex::Constant(constant) => constant,
            _ => unreachable!("the vertex is no constant"),
        }
    }

    /// Puts another tensor in the place of a constant's.
    ///
    /// # Panics
    /// If the vertex was removed or is no constant.
    pub fn set_constant(&mut self, id: NodeId, tensor: Tensor) {
        let shape = tensor.dims().iter().map(|&dim| Dim::from(i64::try_from(dim).unwrap_or(i64::MAX))).collect();
        let constant = self.constant_mut(id);
        constant.port.ty = Type::tensor(tensor.dtype(), Some(shape));
        constant.port.elements = capture::small_elements(&tensor);
        constant.value = ConstantValue::Dense(tensor);
    }

    /// The input, to be changed.
    ///
    /// # Panics
    /// If the vertex was removed or is no input.
    pub fn input_mut(&mut self, id: NodeId) -> &mut Input {
        match self.vertex_mut(id) {
            Vertex::Input(input) => input,
            _ => unreachable!("the vertex is no input"),
        }
    }

    /// The output, to be changed in what is no data flow.
    ///
    /// # Panics
    /// If the vertex was removed or is no output.
    pub fn output_mut(&mut self, id: NodeId) -> &mut Output {
        match self.vertex_mut(id) {
            Vertex::Output(output) => output,
            _ => unreachable!("the vertex is no output"),
        }
    }

    /// Records what is known of a value. Knowledge is no change: the revision stays.
    ///
    /// # Panics
    /// If the producer was removed or has no such port.
    pub fn set_fact(&mut self, value: ValueId, ty: Type, elements: Option<Arc<[Dim]>>) {
        let port = self.port_mut(value);
        port.ty = ty;
        port.elements = elements;
    }

    /// Gives a value another label. The name of what a graph output gives out is the output's and cannot be changed here.
    ///
    /// # Panics
    /// If the producer was removed or has no such port.
    pub fn set_name(&mut self, value: ValueId, name: Option<Name>) {
        self.port_mut(value).name = name;
        self.revision += 1;
    }

    fn port_mut(&mut self, value: ValueId) -> &mut Port {
        let vertex = self.get_mut(value.node).expect("an id of a vertex that was removed");
        vertex.ports_mut().get_mut(value.port as usize).expect("a port that its vertex does not have")
    }

    /// Sets the count of changes back, after what was changed has been changed back.
    pub(crate) fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Counts a change that was made to the graph's public fields.
    pub fn touch(&mut self) {
        self.revision += 1;
    }
}
