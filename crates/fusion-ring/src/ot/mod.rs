//! Kernels of oblivious transfer and of the layers on it: codes, trees, look-ups, products. They
//! move data; the protocols are `fusion-ot`'s and `fusion-nn`'s.

pub mod bit_products;
pub mod half_tree;
pub mod lookup;
pub mod lpn;
