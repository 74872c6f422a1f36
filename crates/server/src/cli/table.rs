//! Tables, key-value lists and progress for people.

use std::io::{IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;

/// How wide the bar of a progress line is.
const BAR: usize = 30;

/// Text without signs that a terminal would act on; it may come from anybody.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// A value as a cell: nothing for null.
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(other) => plain(&other.to_string()),
    }
}

/// The value at a JSON pointer, as a cell.
pub fn at(value: &Value, pointer: &str) -> String {
    cell(value.pointer(pointer))
}

/// An instant as people read it: to the second, without its letters.
pub fn when(value: &Value, pointer: &str) -> String {
    let text = at(value, pointer);
    let short = text.get(..19).filter(|_| text.ends_with('Z'));
    short.map_or_else(|| text.clone(), |short| short.replace('T', " "))
}

/// A table, or a sentence if it has no row.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, none: &str) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        // Whoever reads it by program wants one row a line.
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}

/// `Name: value` lines, names aligned; empty values are left out.
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .collect();
    lines.join("\n")
}

/// Progress on standard error: one line that is drawn anew on a terminal, a line for each change
/// elsewhere.
#[derive(Debug, Default)]
pub struct Progress {
    shown: String,
}

impl Progress {
    /// Shows how far it is.
    pub fn show(&mut self, done: u64, total: u64, words: &str) {
        let share = if total == 0 { BAR } else { scaled(done, total) };
        let bar = format!("{}{}", "█".repeat(share), "░".repeat(BAR.saturating_sub(share)));
        let line = format!("{bar} {done}/{total} {}", plain(words));
        if line == self.shown {
            return;
        }
        let mut out = std::io::stderr();
        let _ = if out.is_terminal() {
            write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{line}")
        };
        self.shown = line;
    }

    /// Ends the line.
    pub fn end(&self) {
        if std::io::stderr().is_terminal() && !self.shown.is_empty() {
            eprintln!();
        }
    }
}

fn scaled(done: u64, total: u64) -> usize {
    let bar = u64::try_from(BAR).unwrap_or(0);
    usize::try_from(done.min(total).saturating_mul(bar) / total).unwrap_or(BAR)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_not_passed_on() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\u{9b}31m"), "a·[2Jb··c·31m");
        assert_eq!(cell(Some(&json!("x\u{7}"))), "x·");
    }

    #[test]
    fn instants_are_shortened_and_nothing_else() {
        let value = json!({ "at": "2026-11-24T12:08:54.123Z", "other": "soon" });
        assert_eq!(when(&value, "/at"), "2026-11-24 12:08:54");
        assert_eq!(when(&value, "/other"), "soon");
        assert_eq!(when(&value, "/none"), "");
    }

    #[test]
    fn a_bar_is_full_only_when_all_is_done() {
        assert_eq!(scaled(0, 7), 0);
        assert_eq!(scaled(6, 7), 25);
        assert_eq!(scaled(7, 7), BAR);
        assert_eq!(scaled(9, 7), BAR);
    }

    #[test]
    fn an_empty_table_is_a_sentence() {
        assert_eq!(table(&["A"], Vec::new(), "Nothing failed."), "Nothing failed.");
        assert!(table(&["A"], vec![vec!["x".to_owned()]], "").contains('x'));
    }
}
