//! Pieces of SVG and HTML.

use crate::report::format;

/// How large a chart is drawn: each is drawn twice, and the page shows the one that fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// The class by which the page knows it, and what sets its ids apart.
    pub name: &'static str,
    /// In the chart's own pixels, as all that follows.
    pub width: f64,
    /// Left of the plot, for the axis.
    pub left: f64,
    /// Right of the plot, for labels of the lines.
    pub right: f64,
    /// Whether it is for a phone.
    pub is_narrow: bool,
}

/// For a desk's screen.
pub(super) const WIDE: Size =
    Size { name: "wide", width: 1080.0, left: 64.0, right: 92.0, is_narrow: false };

/// For a phone's.
pub(super) const NARROW: Size =
    Size { name: "narrow", width: 380.0, left: 46.0, right: 12.0, is_narrow: true };

impl Size {
    /// From where to where the plot reaches.
    pub(super) fn plot(&self) -> (f64, f64) {
        (self.left, self.width - self.right)
    }
}

/// Text from outside, to stand in an element or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in format::one_line(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// At most `chars_max` characters of `text`, with an ellipsis where some are missing.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// A chart of both sizes in a `figure` that says in words what is to be seen.
pub(super) fn figure(alternative: &str, caption: &str, draw: impl Fn(Size) -> Drawing) -> String {
    let mut out = String::from("<figure>");
    for size in [WIDE, NARROW] {
        let drawing = draw(size);
        out.push_str(&format!(
            "<svg class=\"{}\" viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" tabindex=\"0\" \
             aria-label=\"{}\">{}</svg>",
            size.name,
            size.width,
            drawing.height,
            escape(alternative),
            drawing.content
        ));
    }
    out.push_str(&format!("<figcaption>{}</figcaption></figure>\n", escape(caption)));
    out
}

/// The inside of a chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawing {
    /// Elements.
    pub content: String,
    /// The height that they take.
    pub height: f64,
}

/// Text at a place. `class` says how it looks and on which side of the place it stands.
pub(super) fn text(x: f64, y: f64, class: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escape(text))
}

/// A straight line.
pub(super) fn line(from: (f64, f64), to: (f64, f64), class: &str) -> String {
    format!("<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" class=\"{class}\"/>", from.0, from.1, to.0, to.1)
}

/// A rectangle between two opposite corners.
pub(super) fn area(from: (f64, f64), to: (f64, f64), class: &str) -> String {
    format!(
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" class=\"{class}\"/>",
        from.0,
        from.1,
        (to.0 - from.0).max(0.0),
        (to.1 - from.1).max(0.0)
    )
}

/// An area that shows `told`, lines of text, when it is pointed at.
pub(super) fn hit(from: (f64, f64), to: (f64, f64), told: &str) -> String {
    let lines: Vec<String> = told.lines().map(escape).collect();
    format!(
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{:.1}\" class=\"hit\"><title>{}\
         </title></rect>",
        from.0,
        from.1,
        (to.0 - from.0).max(0.0),
        (to.1 - from.1).max(0.0),
        lines.join("\n")
    )
}

/// A line through points that is broken where there are none; a point alone is a dot, and all are
/// dots where they are few.
pub(super) fn polyline(points: &[Option<(f64, f64)>], class: &str) -> String {
    const FEW: usize = 20;
    let mut path = String::new();
    let mut dots = String::new();
    for run in points.chunk_by(|a, b| a.is_some() && b.is_some()) {
        let run: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
        for (index, (x, y)) in run.iter().enumerate() {
            if run.len() > 1 {
                path.push_str(&format!("{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" }));
            }
            if run.len() == 1 || points.len() <= FEW {
                dots.push_str(&format!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" class=\"{class} dot\"/>"
                ));
            }
        }
    }
    if path.is_empty() { dots } else { format!("<path d=\"{path}\" class=\"{class}\"/>{dots}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_text() {
        assert_eq!(
            escape("<script>\"a\" & 'b'\x07</script>"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;\\u{7}&lt;/script&gt;"
        );
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        assert_eq!(shortened("drain node-2", 20), "drain node-2");
        assert_eq!(shortened("drain node-2", 7), "drain…");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }

    #[test]
    fn a_line_is_broken_where_a_point_is_missing() {
        let at = |x: f64| Some((x, 1.0));
        let mut points: Vec<_> = (0..30).map(|x| at(f64::from(x))).collect();
        points[10] = None;
        points[12] = None;
        let drawn = polyline(&points, "p50");
        assert_eq!(drawn.matches('M').count(), 2, "{drawn}");
        assert_eq!(drawn.matches("<circle").count(), 1, "{drawn}");
    }
}
