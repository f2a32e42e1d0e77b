//! Wiping of long secrets: zeros that the compiler may not leave out, sixteen bytes at a time. Element by element, as `zeroize` does it, would take as long as making them.

use bytemuck::Pod;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Overwrites with zeros.
pub fn wipe<T: Pod>(values: &mut [T]) {
    let (head, blocks, tail) = bytemuck::pod_align_to_mut::<u8, u128>(bytemuck::cast_slice_mut(values));
    head.zeroize();
    blocks.zeroize();
    tail.zeroize();
}

/// Memory that never moves or grows, so that no copies stay behind; wiped on drop.
pub struct Wiped<T: Pod>(Vec<T>);

impl<T: Pod> Wiped<T> {
    /// `len` zeros.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self(vec![T::zeroed(); len])
    }
}

impl<T: Pod> std::ops::Deref for Wiped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Pod> std::ops::DerefMut for Wiped<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Pod> Drop for Wiped<T> {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl<T: Pod> ZeroizeOnDrop for Wiped<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_overwritten_whatever_the_alignment() {
        for start in 0..20 {
            for end in start..40 {
                let mut bytes = Wiped::<u8>::new(40);
                bytes.fill(7);
                wipe(&mut bytes[start..end]);
                assert!(bytes.iter().enumerate().all(|(i, &byte)| byte == if (start..end).contains(&i) { 0 } else { 7 }), "{start}..{end}");
            }
        }
    }
}
