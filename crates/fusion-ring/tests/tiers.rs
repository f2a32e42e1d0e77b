//! Which instruction tiers and AES kernels were tested on this machine, and that none is missing.
//!
//! Every kernel has a test beside it that walks `simd::available()`. Here whole processes run under
//! `FUSION_SIMD` and must agree, and what ran is written to `simd-tiers.txt` in the directory for
//! temporary files of the build, from where CI prints it.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

use fusion_ring::bits::bitslice::{bitslice_of_bytes, bitslice_of_words};
use fusion_ring::gemm::{PackedWeights, Reduction, WordRows};
use fusion_ring::ot::bit_products::{masks_of_bitslice, negated_where};
use fusion_ring::ot::half_tree::{self, HalfTreeLevel};
use fusion_ring::ot::lookup::sender::{TableInputs, masked_tables};
use fusion_ring::ot::lpn::LocalCode;
use fusion_ring::ot::small_vole::LeafStreams;
use fusion_ring::poly::fft::{DEGREE, Product, Small, Wide};
use fusion_ring::poly::{noise, words};
use fusion_ring::secret::Wiped;
use fusion_ring::simd::{AesTier, available, select, tier};
use fusion_ring::symmetric::aes::Aes128;
use fusion_ring::symmetric::digest::{Digest, Hasher};
use fusion_ring::symmetric::gf128::Multiplier;
use fusion_ring::symmetric::prg::AesPrg;
use fusion_ring::symmetric::{gf128, hash};

/// What marks the line in which a child prints its digest.
const MARK: &str = "digest of all kernels: ";

/// A digest of what every kernel computes on some fixed inputs.
fn digest() -> Digest {
    let mut out = Hasher::default();
    let mut prg = AesPrg::new([1; 16]);

    let mut blocks = vec![0u128; 1 << 10];
    prg.fill_blocks(&mut blocks);
    let key = Aes128::new(&[2; 16]);
    hash::tmmo(&key, &mut blocks, 5, 3);
    let level = HalfTreeLevel { offset: 7, keep: u128::MAX << 3 };
    let sums = [half_tree::expand(&key, &mut blocks, 1, &level), half_tree::expand_last(&key, &mut blocks, &level)];
    let mut encoded = vec![0; 100];
    LocalCode::new([3; 16], 10).encode(4, &blocks, &mut encoded);
    let mut pads = vec![0u8; 8 * blocks.len()];
    key.mmo_multiples(&blocks, &[1, 2, 3, 4, 5, 6, 7, 8], |pad| pad as u8, &mut pads, &mut || ());
    for block in blocks.iter().chain(&encoded).chain(sums.as_flattened()).chain([&gf128::dot(&blocks, &blocks)]) {
        out.update(&block.to_le_bytes());
    }
    out.update(&pads);
    let (mut columns, mut all) = (vec![0; 8 * 100], vec![0; 100]);
    LeafStreams::new(8, &blocks[..256], true).expand(0, u128::from(u64::MAX), &mut columns, &mut all);
    let form = Multiplier::new(blocks[..60].to_vec()).bilinear(&blocks[60..70], &blocks[..600]);
    columns.iter().chain(&all).chain([&form]).for_each(|block| out.update(&block.to_le_bytes()));

    let mut words = vec![0u32; 300];
    prg.fill_words(u32::MAX, &mut words);
    let bytes: Vec<u8> = words.iter().map(|&word| word as u8).collect();
    let bits = bitslice_of_words(&words, 9);
    let narrow: Vec<u16> = words.iter().map(|&word| word as u16).collect();
    let inputs = TableInputs { index_bits: 4, pads: &narrow, digits: &words, shift: 5, carry: Some(&bits), permutations: &words };
    let tables = masked_tables(inputs);
    [&masks_of_bitslice(&bits, words.len()), &negated_where(&bits, &words), &tables.entries]
        .into_iter()
        .for_each(|words| words.iter().for_each(|word| out.update(&word.to_le_bytes())));
    [&bits, &bitslice_of_bytes(&bytes), &tables.masks]
        .into_iter()
        .for_each(|words| words.iter().for_each(|word| out.update(&word.to_le_bytes())));

    let mut sum = vec![0u32; DEGREE];
    prg.fill_words(u32::MAX, &mut sum);
    words::add_four_uniforms(&mut sum, &mut prg, 20);
    let (mut secret, mut errors) = (vec![0i8; DEGREE], vec![0i8; DEGREE]);
    noise::ternary(&mut prg, &mut secret);
    noise::binomial(&mut prg, 21, &mut errors);
    let mut product = Product::default();
    product.set(&Wide::new(&sum), &Small::new(&secret));
    product.add_to(0, &mut sum);
    words::add_small(&mut sum, &errors);
    let mut rounded = sum.clone();
    words::round_to_top(&mut rounded, 23);
    words::add_shifted(&mut sum, &rounded, 9);
    words::from_top(&mut rounded, 23);
    let taps: [&[usize]; 3] = [&[0, 2, 9], &[0, 2, 9], &[4]];
    let weights = PackedWeights::new(Reduction::new(&taps), 7, |output, row, tap| [3, -200, 511][(output + row + tap) % 3]);
    let mut rows = WordRows::zeros(&weights, DEGREE);
    (0..3).for_each(|row| rows.write(row, 0, &sum));
    let mut products = Wiped::default();
    weights.multiply(&rows, 0, DEGREE - 9, &mut products);
    [&sum, &rounded, &products[..]].into_iter().for_each(|words| words.iter().for_each(|word| out.update(&word.to_le_bytes())));
    out.finish()
}

/// Runs [`kernels_of_the_tier_in_use`] in a process of its own under `FUSION_SIMD=name`.
fn child(name: &str) -> Output {
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--exact", "kernels_of_the_tier_in_use", "--nocapture"]).env("FUSION_SIMD", name).output().unwrap()
}

#[test]
fn kernels_of_the_tier_in_use() {
    assert_eq!(select(), Ok(tier()));
    println!("{MARK}{}", digest());
}

/// The tiers that the kernel of Linux says this CPU has.
fn by_an_independent_look() -> Vec<&'static str> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags: Vec<&str> = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default().split_whitespace().collect();
    let has = |wanted: &[&str]| cfg!(target_arch = "x86_64") && wanted.iter().all(|flag| flags.contains(flag));
    let avx2 = has(&["avx2", "fma"]);
    let avx512 = avx2 && has(&["avx512f", "avx512bw", "avx512dq", "avx512vl"]);
    let vnni = [("avxvnni", avx2 && has(&["avx_vnni"])), ("avx512vnni", avx512 && has(&["avx512_vnni"]))];
    let tiers = [("portable", true), ("avx2", avx2), ("avx512", avx512)].into_iter().chain(vnni);
    let vaes = has(&["aes", "vaes"]);
    let aes = [("aes-ni", avx2 && has(&["aes"])), ("vaes256", avx2 && vaes), ("vaes512", avx512 && vaes)];
    tiers.chain(aes).filter(|tier| tier.1).map(|tier| tier.0).collect()
}

#[test]
fn every_tier_of_this_machine_computes_the_same() {
    let (tiers, kernels) = (available(), AesTier::available());
    let names: Vec<&str> = tiers.iter().map(|tier| tier.name()).collect();
    let aes: Vec<&str> = kernels.iter().map(|kernel| kernel.name()).collect();
    for wanted in by_an_independent_look() {
        assert!(names.contains(&wanted) || aes.contains(&wanted), "/proc/cpuinfo has {wanted}, and {names:?} {aes:?} were detected");
    }
    let digest_on = |name: &str| {
        let Output { status, stdout, .. } = child(name);
        let stdout = String::from_utf8(stdout).unwrap();
        let digest = stdout.lines().find_map(|line| Some(line.split_once(MARK)?.1.trim().parse::<Digest>().unwrap()));
        assert!(status.success(), "{name}: {stdout}");
        digest.unwrap_or_else(|| panic!("{name}: {stdout}"))
    };
    let portable = digest_on("portable");
    for name in &names {
        assert_eq!(digest_on(name), portable, "{name}");
    }
    for kernel in kernels {
        // FIPS 197, appendix C.1.
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let plain = u128::from_le_bytes(std::array::from_fn(|i| 0x11 * i as u8));
        let expect = 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55au128.swap_bytes();
        assert_eq!(Aes128::with_tier(&key, kernel).encrypt_one(plain), expect, "{kernel:?}");
    }
    let line = format!("SIMD tiers tested: {}; AES kernels tested: {}", names.join(" "), aes.join(" "));
    println!("{line}");
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/simd-tiers.txt"), line + "\n").unwrap();
}

#[test]
fn a_name_that_is_no_tier_of_this_machine_is_an_error() {
    for name in ["avx3", "", "AVX2", "portable "] {
        let Output { status, stderr, .. } = child(name);
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(!status.success(), "FUSION_SIMD={name:?} was accepted");
        let expect = format!("FUSION_SIMD={name:?} is no instruction tier (portable, avx2, avxvnni, avx512 and avx512vnni are)");
        assert!(stderr.contains(&expect), "{stderr}");
    }
    if available().iter().all(|tier| tier.name() != "avx512vnni") {
        let Output { status, stderr, .. } = child("avx512vnni");
        assert!(!status.success());
        let best = available().last().unwrap().name();
        let expect = format!("this CPU cannot run FUSION_SIMD=avx512vnni (its best tier is {best})");
        assert!(String::from_utf8(stderr).unwrap().contains(&expect));
    }
}
