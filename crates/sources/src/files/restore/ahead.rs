//! What is looked ahead, and the order in which it is made.

use std::collections::HashMap;

use resurgam_store::{Kind, Reader};

use super::{JOB_HANDLES, batch::Batch, node::Node};

/// Entries that are looked ahead at most.
const NODES_MAX: usize = 8192;
/// And bytes of content.
const BYTES_MAX: u64 = 96 << 20;
/// The same from a far place, whose frames are on their way or wait meanwhile.
const BYTES_MAX_FAR: u64 = 24 << 20;

/// Entries in path order, not given to anybody yet.
pub(super) struct Ahead<'a> {
    batch: Batch<'a>,
    bytes_max: u64,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(reader: &Reader) -> Self {
        let bytes_max = if reader.is_far() { BYTES_MAX_FAR } else { BYTES_MAX };
        Self { batch: Batch::default(), bytes_max }
    }

    pub(super) fn push(&mut self, node: Node<'a>) {
        self.batch.push(node);
    }

    pub(super) fn is_full(&self) -> bool {
        self.batch.is_full(NODES_MAX, self.bytes_max, JOB_HANDLES)
    }

    /// All of them: what lies in one frame together, when the first of it is due.
    pub(super) fn take(&mut self, reader: &Reader) -> Vec<Node<'a>> {
        let nodes = std::mem::take(&mut self.batch).nodes;
        let mut frames = HashMap::new();
        let turn = |(number, node): (usize, &Node<'_>)| match &node.entry.kind {
            Kind::File { content, .. } => {
                reader.first_frame(content).map_or(number, |frame| *frames.entry(frame).or_insert(number))
            }
            _ => number,
        };
        let turns: Vec<usize> = nodes.iter().enumerate().map(turn).collect();
        let mut in_order: Vec<(usize, Node<'a>)> = turns.into_iter().zip(nodes).collect();
        in_order.sort_by_key(|(turn, _)| *turn);
        in_order.into_iter().map(|(_, node)| node).collect()
    }
}
