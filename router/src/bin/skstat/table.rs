//! Tables with a title, a header, a rule and rows, or as comma-separated values. Each column is as
//! wide as its widest cell.

use skupper_proto::amqp::Value;

use super::cell;

/// The form of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Number,
    /// A number with commas.
    Commas,
    /// A size in bytes, with units.
    Size,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    form: Form,
}

/// Creates a column of text.
pub(super) const fn column(title: &'static str) -> Column {
    Column { title, form: Form::Text }
}

impl Column {
    /// Returns the column with another form.
    pub(super) const fn of(self, form: Form) -> Self {
        Self { form, ..self }
    }
}

#[derive(Debug)]
pub(super) struct Table {
    title: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

/// A printed block: a table, or a line instead of one.
#[derive(Debug)]
pub(super) enum Block {
    Table(Table),
    Line(String),
}

/// The text before each line of a table.
const PREFIX: &str = "  ";
/// Blanks between two columns.
const GAP: usize = 2;

impl Table {
    pub(super) fn new(title: impl Into<String>, columns: Vec<Column>) -> Self {
        Self { title: title.into(), columns, rows: Vec::new() }
    }

    /// Adds a row, which must have a cell for each column.
    pub(super) fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// Sorts the rows by the text of a column. Equal rows stay in order.
    pub(super) fn sort(&mut self, title: &str) {
        if let Some(at) = self.columns.iter().position(|column| column.title == title) {
            let text = |row: &[Value]| row.get(at).map(cell::text).unwrap_or_default();
            self.rows.sort_by_cached_key(|row| text(row));
        }
    }

    /// Returns the printed form of all cells.
    fn cells(&self) -> Vec<Vec<String>> {
        let form = |(column, value): (&Column, &Value)| match (value, column.form) {
            (Value::Null, _) => String::new(),
            (value, Form::Text) => cell::text(value),
            (value, Form::Number) => cell::plain(value),
            (value, Form::Commas) => cell::commas(&cell::text(value)),
            (value, Form::Size) => cell::size(value),
        };
        self.rows.iter().map(|row| self.columns.iter().zip(row).map(form).collect()).collect()
    }

    fn print(&self, csv: bool, out: &mut String) {
        out.push_str(&self.title);
        out.push('\n');
        let cells = self.cells();
        if cells.is_empty() {
            return;
        }
        let titles: Vec<String> =
            self.columns.iter().map(|column| column.title.to_owned()).collect();
        let lines = std::iter::once(&titles).chain(&cells);
        if csv {
            for line in lines {
                let fields: Vec<String> = line.iter().map(|text| field(text)).collect();
                out.push_str(&fields.join(","));
                out.push('\n');
            }
            return;
        }
        let mut widths = vec![0; titles.len()];
        for line in lines.clone() {
            for (width, text) in widths.iter_mut().zip(line) {
                *width = text.chars().count().max(*width);
            }
        }
        for (number, line) in lines.enumerate() {
            out.push_str(PREFIX);
            for (at, (text, width)) in line.iter().zip(&widths).enumerate() {
                out.push_str(text);
                if at + 1 < titles.len() {
                    let blanks = width + GAP - text.chars().count();
                    out.extend(std::iter::repeat_n(' ', blanks));
                }
            }
            out.push('\n');
            if number == 0 {
                let rule = widths.iter().map(|width| width + GAP).sum();
                out.push_str(PREFIX);
                out.extend(std::iter::repeat_n('=', rule));
                out.push('\n');
            }
        }
    }
}

/// Returns a field of comma-separated values.
fn field(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

impl Block {
    /// Prints the block with a line end.
    pub(super) fn print(&self, csv: bool, out: &mut String) {
        match self {
            Self::Table(table) => table.print(csv, out),
            Self::Line(line) => {
                out.push_str(&crate::text::lines(line));
                out.push('\n');
            }
        }
    }
}
