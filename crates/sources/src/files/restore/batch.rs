//! Entries that go one way together, and how much they are.

use std::sync::Arc;

use resurgam_store::Kind;

use super::node::Node;

/// Entries, and how much they are.
#[derive(Default)]
pub(super) struct Batch<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// Their content.
    pub(super) bytes: u64,
    /// How often the directory changes from one to the next.
    folders: usize,
}

impl<'a> Batch<'a> {
    pub(super) fn push(&mut self, node: Node<'a>) {
        if let Kind::File { size, .. } = &node.entry.kind {
            self.bytes += size;
        }
        let same = self.nodes.last().is_some_and(|last| Arc::ptr_eq(&last.folder, &node.folder));
        self.folders += usize::from(!same);
        self.nodes.push(node);
    }

    /// Whether one of the limits is reached.
    pub(super) fn is_full(&self, nodes: usize, bytes: u64, folders: usize) -> bool {
        self.nodes.len() >= nodes || self.bytes >= bytes || self.folders >= folders
    }
}
