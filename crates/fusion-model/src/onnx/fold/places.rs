//! Axes of constants, and the places of their elements.

/// Elements that a folded constant may have, if none of its inputs has more.
pub(super) const MAX_ELEMENTS: usize = 1 << 16;

/// Elements of a constant of these dimensions; `None` if there are too many to count, or none
/// though it has several axes: the other axes of such a constant may have any size.
pub(super) fn volume(dims: &[usize]) -> Option<usize> {
    let count = dims.iter().try_fold(1usize, |all, &size| all.checked_mul(size))?;
    (count > 0 || dims.len() <= 1).then_some(count)
}

/// An axis that may count from the end.
pub(super) fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// Elements of one step along each axis.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(dims[axis]);
    }
    strides
}

/// The source places of a constant of shape `dims`, whose place `i` along an axis is
/// `chosen[axis][i]` of the source.
pub(super) fn places(source: &[usize], chosen: &[Vec<usize>]) -> Vec<usize> {
    let strides = strides(source);
    let mut places = vec![0];
    for (axis, chosen) in chosen.iter().enumerate() {
        places = places
            .iter()
            .flat_map(|&place| chosen.iter().map(move |&at| (place, at)))
            .map(|(place, at)| place + at * strides[axis])
            .collect();
    }
    places
}
