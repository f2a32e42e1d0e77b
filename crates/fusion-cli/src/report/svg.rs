//! Figures of the HTML page.

use std::fmt::{Result, Write};

use fusion::mix::interval::Interval;

use super::words::{ends, percent};

/// The horizontal coordinates of 0% and 100%.
const LEFT: f64 = 24.0;
const RIGHT: f64 = 376.0;

/// A rate and its interval above an axis from 0% to 100%.
pub(super) fn axis(out: &mut String, interval: &Interval, rate: f64) -> Result {
    let x = |rate: f64| LEFT + (RIGHT - LEFT) * rate.clamp(0.0, 1.0);
    let (ends, percent_right) = (ends(interval), percent(rate));
    write!(
        out,
        "<svg class=\"axis\" viewBox=\"0 0 400 76\" role=\"img\" aria-label=\"{percent_right} right, interval {ends}\">\
         <path d=\"M{LEFT} 44H{RIGHT}\" stroke=\"#888\"/>"
    )?;
    for quarter in 0..=4 {
        let (at, name) = (x(f64::from(quarter) / 4.0), 25 * quarter);
        write!(out, "<path d=\"M{at} 44v6\" stroke=\"#888\"/><text x=\"{at}\" y=\"66\" text-anchor=\"middle\">{name} %</text>")?;
    }
    // The numbers stand above the middle, but not beyond the edge.
    let middle = (0.5 * (x(interval.low) + x(interval.high))).clamp(80.0, 320.0);
    write!(
        out,
        "<path d=\"M{:.1} 34H{:.1}\" stroke=\"#36c\" stroke-width=\"10\"/><circle cx=\"{:.1}\" cy=\"34\" r=\"6\" fill=\"#124\"/>\
         <text x=\"{middle:.1}\" y=\"18\" text-anchor=\"middle\">{ends}</text></svg>",
        x(interval.low),
        x(interval.high),
        x(rate)
    )
}

/// A chance of `2^log2` as a bar of so many bits; the longest one has `most`.
pub(super) fn bits(out: &mut String, log2: f64, most: f64) -> Result {
    let width = 120.0 * (-log2 / most.max(1.0)).clamp(0.0, 1.0);
    write!(
        out,
        "<svg class=\"bits\" viewBox=\"0 0 120 12\" role=\"img\" aria-label=\"{:.1} bits\"><path d=\"M0 6H120\" stroke=\"#ddd\"/>\
         <rect width=\"{width:.1}\" height=\"12\" fill=\"#36c\"/></svg>",
        -log2
    )
}
