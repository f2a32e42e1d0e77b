//! Memory for long secrets. It is wiped by stores that the compiler may not remove, sixteen bytes
//! at a time: element by element, as `zeroize` does it, wiping would take as long as computing the
//! values.

/// What may be kept in [`Wiped`] memory: plain numbers.
pub use bytemuck::Pod as Element;
use bytemuck::Pod;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Overwrites with zeros.
pub fn wipe<T: Pod>(values: &mut [T]) {
    let (head, blocks, tail) = bytemuck::pod_align_to_mut::<u8, u128>(bytemuck::cast_slice_mut(values));
    head.zeroize();
    blocks.zeroize();
    tail.zeroize();
}

/// Memory that is wiped on drop, and when it is replaced by larger memory: no copies stay behind.
/// Cannot be printed or compared.
pub struct Wiped<T: Pod>(Vec<T>);

impl<T: Pod> Wiped<T> {
    /// `len` zeros.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self(vec![T::zeroed(); len])
    }

    /// The first `len` of `values`; zeros where there are fewer.
    #[must_use]
    pub fn filled(len: usize, values: impl IntoIterator<Item = T>) -> Self {
        let mut out = Self::new(len);
        out.0.iter_mut().zip(values).for_each(|(out, value)| *out = value);
        out
    }

    /// Nothing yet, with room for `len` values.
    #[must_use]
    pub fn with_capacity(len: usize) -> Self {
        Self(Vec::with_capacity(len))
    }

    /// Makes room for exactly `len` values in all: wiping touches every page, so spare room costs
    /// time.
    pub fn reserve(&mut self, len: usize) {
        if len > self.0.capacity() {
            let mut larger = Vec::with_capacity(len);
            larger.extend_from_slice(&self.0);
            // The assignment drops, and so wipes, what was here.
            *self = Self(larger);
        }
    }

    /// Changes the length; new values are zero.
    pub fn resize(&mut self, len: usize) {
        self.reserve(len);
        self.0.resize(len, T::zeroed());
    }

    /// Appends `values`.
    pub fn append(&mut self, values: &[T]) {
        let len = self.0.len() + values.len();
        if len > self.0.capacity() {
            // Doubling, so that many small appends do not move the values each time.
            self.reserve(len.max(2 * self.0.capacity()));
        }
        self.0.extend_from_slice(values);
    }
}

impl<T: Pod> Default for Wiped<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Takes over the memory of a vector. Copies that the vector left behind while it grew are not
/// wiped.
impl<T: Pod> From<Vec<T>> for Wiped<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
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

impl<'a, T: Pod> IntoIterator for &'a Wiped<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Pod> Drop for Wiped<T> {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl<T: Pod> Zeroize for Wiped<T> {
    fn zeroize(&mut self) {
        // Also wipes values beyond the end, which a longer content may have left. It stays within
        // the capacity, so nothing moves.
        self.0.resize(self.0.capacity(), T::zeroed());
        wipe(&mut self.0);
    }
}

impl<T: Pod> ZeroizeOnDrop for Wiped<T> {}

/// Refuses to compile where values of a type can be printed or compared, so that no share or key
/// gets into a log, and no comparison of secrets takes a time that depends on them.
///
/// ```
/// struct Share(u32);
/// fusion_ring::opaque!(Share, fusion_ring::secret::Wiped<u8>);
/// ```
/// ```compile_fail
/// #[derive(Debug)]
/// struct Share(u32);
/// fusion_ring::opaque!(Share);
/// ```
/// ```compile_fail
/// #[derive(PartialEq)]
/// struct Share(u32);
/// fusion_ring::opaque!(Share);
/// ```
#[macro_export]
macro_rules! opaque {
    ($($type:ty),+ $(,)?) => {$(
        const _: () = {
            #[allow(dead_code, reason = "these only tell implementations apart")]
            enum Printed {}
            #[allow(dead_code, reason = "as above")]
            enum Compared {}
            // A type that has one of the traits has two of these implementations, and the compiler
            // cannot choose.
            trait Opaque<Why> {
                const HOLDS: () = ();
            }
            impl<T: ?Sized> Opaque<()> for T {}
            impl<T: ?Sized + ::core::fmt::Debug> Opaque<Printed> for T {}
            impl<T: ?Sized + ::core::cmp::PartialEq> Opaque<Compared> for T {}
            <$type as Opaque<_>>::HOLDS
        };
    )+};
}

opaque!(Wiped<u8>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_keeps_the_values_and_room_is_used_before_memory_moves() {
        let mut values = Wiped::filled(3, [1u32, 2, 3, 4]);
        assert_eq!(values[..], [1, 2, 3]);
        values.reserve(10);
        let place = values.as_ptr();
        values.append(&[5; 6]);
        values.resize(2);
        values.resize(4);
        assert_eq!((&values[..], values.as_ptr()), (&[1, 2, 0, 0][..], place));
        values.append(&[7; 100]);
        assert_eq!((values.len(), values[3], values[103]), (104, 0, 7));
        assert_eq!(Wiped::filled(3, [9u8])[..], [9, 0, 0]);
    }

    #[test]
    fn what_a_longer_content_left_is_wiped_too() {
        let mut values = Wiped::from(vec![7u64; 50]);
        values.resize(1);
        values.zeroize();
        assert!(values.len() >= 50 && values.iter().all(|&value| value == 0));
    }

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
