//! The sub-system attack from end to end, at a size where it can be played, on the real code.

use fusion_ring::ot::lpn::LocalCode;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::core::Peeling;

const LOG_K: u32 = 8;
const K: usize = 1 << LOG_K;
const BLOCK: usize = 100;
const BLOCKS: usize = 34;
const N: usize = BLOCK * BLOCKS;
/// Rows beyond the secrets: what tells a wrong solution from the right one.
const SPARE: usize = 24;

/// A bit vector of the secrets and, last, the sample.
type Equation = [u64; K / 64 + 1];

fn set(equation: &mut Equation, at: usize) {
    equation[at / 64] ^= 1 << (at % 64);
}

/// A solution of `equations`; `None` if they contradict each other.
fn solve(mut equations: Vec<Equation>) -> Option<Vec<(usize, bool)>> {
    let bit = |equation: &Equation, at: usize| equation[at / 64] >> (at % 64) & 1 == 1;
    let mut pivots = Vec::new();
    for column in 0..K {
        let done = pivots.len();
        let Some(row) = (done..equations.len()).find(|&row| bit(&equations[row], column)) else { continue };
        equations.swap(done, row);
        let pivot = equations[done];
        for (other, equation) in equations.iter_mut().enumerate() {
            if other != done && bit(equation, column) {
                equation.iter_mut().zip(pivot).for_each(|(a, b)| *a ^= b);
            }
        }
        pivots.push(column);
    }
    let contradicted = equations[pivots.len()..].iter().any(|equation| bit(equation, K));
    (!contradicted).then(|| pivots.iter().enumerate().map(|(row, &column)| (column, bit(&equations[row], K))).collect())
}

/// Trials until the core's rows are clean and its secrets found.
fn trials(seed: u64, cores: &mut Vec<usize>) -> u32 {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut code_seed = [0; 16];
    rng.fill_bytes(&mut code_seed);
    let code = LocalCode::new(code_seed, LOG_K);
    let secret: Vec<u128> = (0..K).map(|_| u128::from(rng.next_u32() & 1)).collect();
    let mut samples = vec![0; N];
    for block in 0..BLOCKS {
        samples[block * BLOCK + rng.next_u32() as usize % BLOCK] = 1;
    }
    code.encode(0, &secret, &mut samples);
    for trial in 1.. {
        let mut peeling = Peeling::new(&code, K, N);
        peeling.peel(K / 20, SPARE, &mut rng, |_, _| ());
        cores.push(peeling.left().0);
        let equations = peeling.rows().zip(&samples).filter(|((alive, _), _)| *alive).map(|((_, row), &sample)| {
            let mut equation = [0; K / 64 + 1];
            row.iter().filter(|&&v| (v as usize) < K).for_each(|&v| set(&mut equation, v as usize));
            equation[K / 64] = sample as u64;
            equation
        });
        if let Some(found) = solve(equations.collect()) {
            // Not merely consistent: right. Rows add an even number of secrets, so that all secrets
            // may as well be flipped, and what no row determines is anybody's guess.
            let right = found.iter().filter(|&&(v, bit)| secret[v] == u128::from(bit)).count();
            let (right, all) = (right.max(found.len() - right), found.len());
            assert!(right * 100 > all * 95, "a false solution: {right} of {all}");
            return trial;
        }
    }
    unreachable!("the trials do not end")
}

/// The attack finds the secrets of the core, in as many trials as the formula says, and in fewer
/// than any k rows would take.
#[test]
fn the_attack_works_as_often_as_the_formula_says() {
    const INSTANCES: u32 = 120;
    let mut cores = Vec::new();
    let all: u32 = (0..INSTANCES).map(|seed| trials(seed.into(), &mut cores)).sum();
    let mean = f64::from(all) / f64::from(INSTANCES);
    let core = cores.iter().sum::<usize>() as f64 / cores.len() as f64;
    let expect = |rows: f64| (1.0 - rows / N as f64).powi(-(BLOCKS as i32));
    let (here, naive) = (expect(core + SPARE as f64), expect((K + SPARE) as f64));
    println!("core {:.3} of the secrets, {mean:.1} trials, formula {here:.1}, without the core {naive:.1}", core / K as f64);
    assert!(core < 0.8 * K as f64);
    // A geometric mean of 120 instances strays by a tenth.
    assert!((mean / here - 1.0).abs() < 0.35 && mean < 0.8 * naive);
}
