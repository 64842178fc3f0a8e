//! Columns in line.

/// Rows of cells, to be printed with each column as wide as its widest cell.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns `.0 .. .1` are flush right.
    right: (usize, usize),
}

impl Table {
    /// A table without rows, all columns flush left.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Puts the columns from `first` on flush right.
    pub(super) fn right_from(self, first: usize) -> Self {
        Self { right: (first, usize::MAX), ..self }
    }

    /// Puts the columns before `end` flush right.
    pub(super) fn right_before(self, end: usize) -> Self {
        Self { right: (0, end), ..self }
    }

    /// Puts the columns from `first` and before `end` flush right.
    pub(super) fn right_between(self, first: usize, end: usize) -> Self {
        Self { right: (first, end), ..self }
    }

    /// Adds a row; it may have fewer cells than others.
    pub(super) fn row<I>(&mut self, cells: I)
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The rows under a title; nothing where there are no rows.
    pub(super) fn section(&self, title: &str) -> String {
        if self.rows.is_empty() { String::new() } else { format!("{title}\n{}", self.render()) }
    }

    /// The rows, each indented by two blanks and without blanks at its end.
    pub(super) fn render(&self) -> String {
        let widths = self.widths();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let is_right = column >= self.right.0 && column < self.right.1;
                line.push_str(&if is_right {
                    format!(" {cell:>width$} ")
                } else {
                    format!(" {cell:<width$} ")
                });
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(widest).collect()
    }
}
