//! What would import as something else than it is, or as more than there is memory for, found by an
//! attack: refused by name.

use super::*;

fn message(build: impl Fn(&mut ModelBuilder, &str) -> String) -> String {
    let (mut b, image) = ModelBuilder::new(1, [4, 4, 4]);
    let weights = b.random(&[4, 4, 1, 1], 0.5);
    let x = b.node("Conv", &[&image.0, &weights], &[]);
    let scores = build(&mut b, &x);
    import(&b.finish(&scores, 4)).map_or_else(|error| error.to_string(), |_| "imported".to_owned())
}

fn flat(b: &mut ModelBuilder, x: &str) -> String {
    b.node("Flatten", &[x], &[])
}

#[test]
fn what_would_be_something_else_is_refused() {
    for to in [2, 3, 6, 7, 9] {
        let cast = message(|b, x| {
            let y = b.node("Cast", &[x], &[Attribute::Int("to", to)]);
            flat(b, &y)
        });
        assert!(cast.contains("another type"), "{cast}");
    }
    let dropout = message(|b, x| {
        let (ratio, training) = (b.constant(&[], vec![0.5]), b.integers(&[1]));
        let y = b.node("Dropout", &[x, &ratio, &training], &[]);
        flat(b, &y)
    });
    assert!(dropout.contains("training mode"), "{dropout}");
    // Along the columns, not the channels.
    let slopes = message(|b, x| {
        let slopes = b.random(&[4], 0.5);
        let y = b.node("PRelu", &[x, &slopes], &[]);
        flat(b, &y)
    });
    assert!(slopes.contains("[C, 1, 1]"), "{slopes}");
    let squeezed = message(|b, x| {
        let y = b.node("GlobalAveragePool", &[x], &[]);
        b.node("Squeeze", &[&y], &[])
    });
    assert!(squeezed.contains("name the axes"), "{squeezed}");
    let column = message(|b, x| {
        let y = flat(b, x);
        let (weights, bias) = (b.random(&[4, 64], 0.5), b.random(&[4, 1], 0.5));
        b.node("Gemm", &[&y, &weights, &bias], &[Attribute::Int("transB", 1)])
    });
    assert!(column.contains("differs between samples"), "{column}");
}

/// One score says yes above zero, or above a half behind one sigmoid; of any other it is not known.
#[test]
fn single_scores_of_bounded_functions_are_refused() {
    let head = |end: &dyn Fn(&mut ModelBuilder, &str) -> String| {
        message(|b, x| {
            let y = flat(b, x);
            let weights = b.random(&[64, 1], 0.5);
            let score = b.node("MatMul", &[&y, &weights], &[]);
            end(b, &score)
        })
    };
    assert_eq!(head(&|_, score| score.to_owned()), "imported");
    assert_eq!(head(&|b, score| b.node("Sigmoid", &[score], &[])), "imported");
    let turned = |b: &mut ModelBuilder, score: &str| {
        let (one, y) = (b.constant(&[], vec![1.0]), b.node("Sigmoid", &[score], &[]));
        b.node("Sub", &[&one, &y], &[])
    };
    let twice = |b: &mut ModelBuilder, score: &str| {
        let y = b.node("Sigmoid", &[score], &[]);
        b.node("Sigmoid", &[&y], &[])
    };
    assert!(head(&turned).contains("--output"));
    assert!(head(&twice).contains("--output"));
    assert!(head(&|b, score| b.node("HardSigmoid", &[score], &[])).contains("--output"));
    assert!(head(&|b, score| b.node("Softmax", &[score], &[])).contains("same for every image"));
}

#[test]
fn small_files_do_not_ask_for_all_memory() {
    let doubled = message(|b, x| {
        let mut y = x.to_owned();
        for _ in 0..40 {
            y = b.node("Concat", &[&y, &y], &[Attribute::Int("axis", 1)]);
        }
        flat(b, &y)
    });
    assert!(doubled.contains("elements"), "{doubled}");
    let padded = message(|b, x| {
        let mut y = x.to_owned();
        for _ in 0..30 {
            let pads = b.integers(&[0, 0, 4096, 4096, 0, 0, 4096, 4096]);
            y = b.node("Pad", &[&y, &pads], &[]);
        }
        flat(b, &y)
    });
    assert!(padded.contains("elements"), "{padded}");
    // No elements, but an axis of any size.
    for shape in [&[0, 1 << 36][..], &[1 << 36, 0], &[0, 1 << 20, 1 << 20]] {
        for operator in ["ConstantOfShape", "Expand"] {
            let empty = message(|b, x| {
                let (one, shape) = (b.constant(&[1], vec![1.0]), b.integers(shape));
                let y = if operator == "Expand" { b.node(operator, &[&one, &shape], &[]) } else { b.node(operator, &[&shape], &[]) };
                let y = b.node("Add", &[x, &y], &[]);
                flat(b, &y)
            });
            assert!(empty.contains(operator) || empty.contains("Add"), "{empty}");
        }
    }
}
