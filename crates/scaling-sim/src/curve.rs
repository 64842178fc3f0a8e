use core::time::Duration;

/// Something over time, straight between its points and level before and after them.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Seconds and figures, rising in seconds.
    points: Vec<(f64, f64)>,
    /// Relative deviation from one look to the next.
    pub(crate) noise: f64,
}

impl Curve {
    /// That of these points.
    #[must_use]
    pub const fn of(points: Vec<(f64, f64)>) -> Self {
        Self { points, noise: 0.0 }
    }

    /// Always the same.
    #[must_use]
    pub fn flat(figure: f64) -> Self {
        Self::of(vec![(0.0, figure)])
    }

    /// A day's curve: lowest at its begin, highest in its middle, `days` times.
    #[must_use]
    pub fn daily((low, high): (f64, f64), days: u32) -> Self {
        let points = (0..=days * 96).map(|quarter| {
            let part = f64::from(quarter) / 96.0;
            let wave = 0.5 - 0.5 * (part * core::f64::consts::TAU).cos();
            (part * 86_400.0, low + (high - low) * wave)
        });
        Self::of(points.collect())
    }

    /// A recording: lines of seconds and figures, with a comma between; what does not begin with a digit is
    /// passed over.
    ///
    /// # Errors
    /// The line that is wrong.
    pub fn recorded(text: &str, column: usize) -> Result<Self, String> {
        let is_figures = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
        let mut points: Vec<(f64, f64)> = Vec::new();
        for line in text.lines().filter(is_figures) {
            let mut fields = line.split(',').map(|field| field.trim().parse::<f64>());
            let at = fields.next().and_then(Result::ok);
            let figure = fields.nth(column).and_then(Result::ok);
            let (Some(at), Some(figure)) = (at, figure) else {
                return Err(format!("\"{line}\" is not seconds, ECPUs per second and bytes"));
            };
            if points.last().is_some_and(|(last, _)| *last >= at) {
                return Err(format!("\"{line}\" is not after the line before it"));
            }
            points.push((at, figure));
        }
        if points.is_empty() { Err("no line of figures".to_owned()) } else { Ok(Self::of(points)) }
    }

    /// With figures that scatter.
    #[must_use]
    pub fn noisy(self, noise: f64) -> Self {
        Self { noise, ..self }
    }

    /// Its figure at a time, without noise.
    #[must_use]
    pub fn at(&self, at: Duration) -> f64 {
        let at = at.as_secs_f64();
        let after = self.points.partition_point(|(x, _)| *x <= at);
        match (after.checked_sub(1).map(|before| self.points[before]), self.points.get(after)) {
            (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (at - x0) / (x1 - x0),
            (Some((_, y)), None) | (None, Some(&(_, y))) => y,
            (None, None) => 0.0,
        }
    }

    /// When its last point is.
    #[must_use]
    pub fn end(&self) -> Duration {
        Duration::from_secs_f64(self.points.last().map_or(0.0, |(at, _)| at.max(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_straight_between_its_lines() {
        let curve = Curve::recorded("s,ecpu,bytes\n0, 100, 5\n10,200,6\n", 0).unwrap();
        let at = |seconds| curve.at(Duration::from_secs(seconds));
        assert_eq!((at(0), at(5), at(10), at(99)), (100.0, 150.0, 200.0, 200.0));
        assert_eq!(Curve::recorded("0,1,7", 1).unwrap().at(Duration::ZERO), 7.0);
        for wrong in ["", "0", "1,x", "1,1\n1,2"] {
            assert!(Curve::recorded(wrong, 0).is_err(), "{wrong}");
        }
    }
}
