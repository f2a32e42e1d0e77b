//! Tiles: how the elements of a layer are cut up and who plays which part.
//!
//! Comparisons are asymmetric: at every digit one party is the OT sender and the other the OT
//! receiver, and the sender sends four times as much. So a tile has two halves: at the first digit
//! the client is the sender on the first half and the server on the second, and the messages of
//! both halves travel in the same rounds. Both directions of a full-duplex link then carry the
//! same load.

use std::ops::Range;

use fusion_ring::secret::{Element, Wiped};

use super::party::Role;

/// A run of elements that go through a protocol together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    start: usize,
    len: usize,
    client_sends: usize,
}

impl Tile {
    /// The tiles of `n` elements.
    pub(super) fn all(n: usize, half_tile: usize) -> impl Iterator<Item = Self> {
        let step = 2 * half_tile;
        (0..n).step_by(step).map(move |start| {
            let len = (n - start).min(step);
            // A multiple of 64, so that the bitslices of the two halves join without shifting.
            let client_sends = len.div_ceil(2).next_multiple_of(64).min(len);
            Self { start, len, client_sends }
        })
    }

    /// Number of elements.
    pub(super) fn len(self) -> usize {
        self.len
    }

    /// Its elements of a vector of all elements.
    pub(super) fn of<T>(self, all: &[T]) -> &[T] {
        &all[self.start..self.start + self.len]
    }

    /// As [`Tile::of`], to be written.
    pub(super) fn of_mut<T>(self, all: &mut [T]) -> &mut [T] {
        &mut all[self.start..self.start + self.len]
    }

    /// The elements, counted within the tile, on which `role` is the OT sender at the first digit.
    pub(super) fn sent_by(self, role: Role) -> Range<usize> {
        match role {
            Role::Client => 0..self.client_sends,
            Role::Server => self.client_sends..self.len,
        }
    }

    /// The elements, counted within the tile, on which `role` is the OT receiver at the first
    /// digit.
    pub(super) fn received_by(self, role: Role) -> Range<usize> {
        self.sent_by(role.peer())
    }
}

/// Puts the two halves of a vector together: the one on which `role` is the sender at the first
/// digit, and the other.
pub(super) fn join<T: Element>(role: Role, sent: &[T], received: &[T]) -> Wiped<T> {
    let (first, second) = match role {
        Role::Client => (sent, received),
        Role::Server => (received, sent),
    };
    let mut all = Wiped::with_capacity(first.len() + second.len());
    all.append(first);
    all.append(second);
    all
}
