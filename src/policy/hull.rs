//! The concave hull of a cost and what it buys.

/// Indices of the corners of the upper concave hull of points `(cost, value)` that ascend by cost, the first point and the last
/// included.
pub fn concave_hull(points: &[(f64, f64)]) -> Vec<usize> {
    let mut hull: Vec<usize> = Vec::new();
    for (at, &(cost, value)) in points.iter().enumerate() {
        while let [.., from, over] = hull[..] {
            let ((c0, v0), (c1, v1)) = (points[from], points[over]);
            // The corner between stays only above the line from the one before it to this point.
            if (v1 - v0) * (cost - c0) > (value - v0) * (c1 - c0) {
                break;
            }
            hull.pop();
        }
        hull.push(at);
    }
    hull
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_point_is_above_the_hull_and_its_slopes_fall(values in prop::collection::vec((0.01..1.0f64, 0.0..1.0f64), 1..20)) {
            let mut cost = 0.0;
            let points: Vec<(f64, f64)> = values.iter().map(|&(more, value)| { cost += more; (cost, value) }).collect();
            let hull = concave_hull(&points);
            prop_assert_eq!((hull[0], hull[hull.len() - 1]), (0, points.len() - 1));
            let slope = |a: usize, b: usize| (points[b].1 - points[a].1) / (points[b].0 - points[a].0);
            for corners in hull.windows(3) {
                prop_assert!(slope(corners[0], corners[1]) > slope(corners[1], corners[2]) - 1e-9);
            }
            for corners in hull.windows(2) {
                for between in corners[0] + 1..corners[1] {
                    prop_assert!(slope(corners[0], between) <= slope(corners[0], corners[1]) + 1e-9);
                }
            }
        }
    }
}
