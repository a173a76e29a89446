//! `inspect --channels`: what can be pruned together, what cannot, and why.

use std::collections::HashMap;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::draw::Family;
use crate::inspect::human;
use crate::ir::NodeId;
use crate::passes::prune_channels::{ChannelGroup, Channels};

/// The version of the layout of what `--json` prints.
const SCHEMA: u32 = 1;

/// What `--channels --json` prints.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    schema: u32,
    groups: &'a [ChannelGroup],
}

impl<'a> Listed<'a> {
    pub(super) fn new(channels: &'a Channels) -> Self {
        Self { schema: SCHEMA, groups: &channels.groups }
    }
}

/// A line a group; those that may lose channels first.
pub(super) fn table(channels: &Channels) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["channels", "parameters", "MACs", "weights", "group", ""]);
    let free = |group: &&ChannelGroup| group.pinned.is_none();
    let pinned = channels.groups.iter().filter(|group| !free(group));
    for group in channels.groups.iter().filter(free).chain(pinned) {
        table.add_row([
            group.channels.to_string(),
            human(group.parameters),
            human(group.macs),
            group.members.len().to_string(),
            group.name.clone(),
            group.pinned.as_ref().map(|reason| format!("stays: {reason}")).unwrap_or_default(),
        ]);
    }
    for column in 0..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let count = channels.groups.iter().filter(free).count();
    let all: usize = channels.groups.iter().filter(free).map(|group| group.channels).sum();
    let stay = channels.groups.len() - count;
    format!("{table}\n\n{count} groups with {all} channels can be pruned, {stay} stay as they are")
}

/// For the drawing: a colour and a line for each node whose output has channels of a group.
pub(super) fn sets(channels: &Channels) -> HashMap<NodeId, (Family, String)> {
    let one = |&(node, place): &(NodeId, usize)| {
        let group = &channels.groups[place];
        let set = match &group.pinned {
            None => {
                let colour = (place % usize::from(Family::SETS)) as u8;
                (Family::Set(colour), format!("group {}", group.name))
            }
            Some(reason) => (Family::Other, format!("stays: {reason}")),
        };
        (node, set)
    };
    channels.nodes.iter().map(one).collect()
}
