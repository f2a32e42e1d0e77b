//! Kernels of oblivious transfer and of the layers on it: codes, trees, look-ups, products. They
//! only compute; the protocols are in `fusion-ot` and `fusion-nn`.

pub mod bit_products;
pub mod half_tree;
pub mod lookup;
pub mod lpn;
pub mod small_vole;
