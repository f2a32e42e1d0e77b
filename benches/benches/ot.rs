//! The inner loops of the silent extension, for development; `cargo xtask bench-ot` measures the
//! whole.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fusion_ring::bits::transpose::transpose128;
use fusion_ring::ot::half_tree;
use fusion_ring::ot::half_tree::HalfTreeLevel;
use fusion_ring::ot::lpn::LocalCode;
use fusion_ring::symmetric::aes::{Aes128, Block};
use fusion_ring::symmetric::{gf128, hash};

/// Leaves of a tree, and blocks of every other loop.
const LEAVES: usize = 2048;

fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("ot kernels");
    group.throughput(Throughput::Elements(LEAVES as u64));
    let mut blocks: Vec<Block> = (0..LEAVES as Block).collect();
    for log_len in [16, 17, 18, 19] {
        let secret: Vec<Block> = (0..1 << log_len).map(|i: Block| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let code = LocalCode::new([1; 16], log_len);
        let mut first = 0;
        group.bench_function(format!("encode with a secret of 2^{log_len} blocks"), |b| {
            b.iter(|| {
                code.encode(first, &secret, &mut blocks);
                first += LEAVES as u64;
            });
        });
    }
    let key = Aes128::new(&[5; 16]);
    let how = HalfTreeLevel { offset: 7, keep: Block::MAX };
    group.bench_function("half-tree", |b| {
        b.iter(|| {
            for level in 0..LEAVES.ilog2() {
                half_tree::expand(&key, &mut blocks[..2 << level], 1, &how);
            }
        });
    });
    group.bench_function("half-tree, last level", |b| b.iter(|| half_tree::expand_last(&key, &mut blocks, &how)));
    group.bench_function("pads of 1-of-8 OTs", |b| {
        let (aes, multiples, mut pads) = (Aes128::new(&[3; 16]), [7; 8], vec![0u8; 8 * LEAVES]);
        b.iter(|| aes.mmo_multiples(&blocks, &multiples, |pad| pad as u8, &mut pads, &mut || ()));
    });
    group.bench_function("pads by two calls", |b| b.iter(|| hash::tmmo(&key, &mut blocks, 5, 8)));
    let other = blocks.clone();
    group.bench_function("inner product", |b| b.iter(|| gf128::dot(&blocks, &other)));
    let (squares, _) = blocks.as_chunks_mut::<128>();
    group.bench_function("transpose", |b| b.iter(|| squares.iter_mut().for_each(transpose128)));
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
