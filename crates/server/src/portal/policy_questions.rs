//! The questions of a policy as rows of its form. Rows without a word are no questions.

use accede_app::policies::{MAX_QUESTION, MAX_QUESTIONS};
use accede_domain::policy::{AnswerChoice, Question, QuestionKind};
use uuid::Uuid;

use super::form::Fields;
use super::form_page::{Faults, Wrong};
use super::input::{Input, choice};

/// Empty rows that are offered after the last one with words.
const SPARE: usize = 2;

/// What answers may be: the value sent, and words.
const KINDS: [(&str, &str); 4] = [
    ("line", "A line of text"),
    ("lines", "Several lines of text"),
    ("one", "One choice of a list"),
    ("several", "Any choices of a list"),
];

/// The name of a field of a row.
pub fn name(row: usize, field: &str) -> String {
    format!("q{}.{field}", row + 1)
}

/// The questions in the order in which they are asked.
fn in_order(questions: &[Question]) -> Vec<&Question> {
    let mut sorted: Vec<&Question> = questions.iter().collect();
    sorted.sort_by_key(|question| question.sequence);
    sorted
}

/// Writes questions into the fields of a form.
pub fn write(questions: &[Question], fields: &mut Fields) {
    let sorted = in_order(questions);
    let ids: Vec<String> = sorted.iter().map(|question| question.id.to_string()).collect();
    fields.add("questions", ids.join(" "));
    for (row, question) in sorted.into_iter().enumerate() {
        fields.add(name(row, "text"), one_line(&question.text));
        if question.is_required {
            fields.add(name(row, "required"), "yes");
        }
        let kind = match &question.kind {
            QuestionKind::TextInput { is_single_line_question, regex_pattern } => {
                if let Some(pattern) = regex_pattern {
                    fields.add(name(row, "pattern"), one_line(pattern));
                }
                if *is_single_line_question { "line" } else { "lines" }
            }
            QuestionKind::MultipleChoice { choices, is_multiple_selection_allowed } => {
                let lines: Vec<String> = choices.iter().map(choice_line).collect();
                fields.add(name(row, "choices"), lines.join("\n"));
                if *is_multiple_selection_allowed { "several" } else { "one" }
            }
        };
        fields.add(name(row, "kind"), kind);
    }
}

/// A text as a field of one line shows it.
fn one_line(text: &str) -> String {
    text.replace("\r\n", " ").replace(['\n', '\r'], " ")
}

/// A choice as a line: its text, with the value before it where that differs.
fn choice_line(choice: &AnswerChoice) -> String {
    let (value, text) = (one_line(&choice.actual_value), one_line(&choice.text));
    if value == text { text } else { format!("{value} = {text}") }
}

/// The ids of the rows that are questions already, as the form carries them.
fn ids(fields: &Fields) -> Vec<Uuid> {
    let text = fields.get("questions").unwrap_or_default();
    text.split(' ').filter_map(|id| id.parse().ok()).take(MAX_QUESTIONS).collect()
}

/// Whether somebody wrote into a row.
fn is_filled(fields: &Fields, row: usize) -> bool {
    ["text", "pattern", "choices"].iter().any(|field| fields.has(&name(row, field)))
}

/// The inputs of every row.
pub fn inputs(typed: &Fields, wrong: &Wrong) -> Vec<Input> {
    let known = ids(typed).len();
    let last = (0..MAX_QUESTIONS).rev().find(|row| is_filled(typed, *row)).map_or(0, |row| row + 1);
    let rows = (last.max(known) + SPARE).min(MAX_QUESTIONS);
    (0..rows).flat_map(|row| row_inputs(typed, wrong, row, row < known)).collect()
}

fn row_inputs(typed: &Fields, wrong: &Wrong, row: usize, is_known: bool) -> Vec<Input> {
    let number = row + 1;
    let named = |field: &str| name(row, field);
    let value = |field: &str| typed.typed(&named(field));
    let told = |field: &str| wrong.with(&named(field));
    let kind = typed.get(&named("kind")).unwrap_or("line");
    let kinds = KINDS.iter().map(|(value, label)| choice(*value, *label, *value == kind));
    let mut inputs = vec![
        Input::heading(named("part"), format!("Question {number}")),
        Input::line(
            named("text"),
            format!("Text of question {number}"),
            value("text"),
            MAX_QUESTION,
        )
        .wrong(told("text")),
        Input::select(named("kind"), format!("Answer to question {number}"), kinds.collect()),
        Input::line(
            named("pattern"),
            format!("Pattern of the answer to question {number}"),
            value("pattern"),
            MAX_QUESTION,
        )
        .hint("A regular expression that the whole answer must match, such as [0-9]{4}. Optional.")
        .when(&named("kind"), &["line", "lines"])
        .wrong(told("pattern")),
        Input::text(named("choices"), format!("Choices of question {number}"), value("choices"), 0)
            .hint(
                "One per line. To store something else than is shown, write it first: \
             spring = The spring campaign.",
            )
            .when(&named("kind"), &["one", "several"])
            .wrong(told("choices")),
        Input::check(
            named("required"),
            format!("Question {number} must be answered"),
            typed.has(&named("required")),
        ),
    ];
    if is_known {
        inputs.push(Input::check(
            named("remove"),
            format!("Remove question {number}"),
            typed.has(&named("remove")),
        ));
    }
    inputs
}

/// The questions of a form, each with its row. What the form does not show of a question that is
/// there already stays as it is, and so does the order of those.
/// What is wrong is noted, field by field.
pub fn read(
    fields: &Fields,
    stored: &[Question],
    before: &Fields,
    faults: &mut Faults,
) -> Vec<(usize, Question)> {
    let ids = ids(fields);
    let shown = in_order(stored);
    let mut next = stored.iter().map(|question| question.sequence).max().unwrap_or(0);
    let mut found = Vec::new();
    for row in 0..MAX_QUESTIONS {
        if !is_filled(fields, row) || fields.has(&name(row, "remove")) {
            continue;
        }
        // The row in which the question stands now: somebody else may have moved it.
        let at = ids.get(row).and_then(|id| shown.iter().position(|known| known.id == *id));
        let known = at.and_then(|at| shown.get(at).copied());
        let old = Old { fields: before, row: at };
        let Some(mut question) = one(fields, row, known, old, faults) else { continue };
        if known.is_none() {
            next = next.saturating_add(1);
            question.sequence = next;
        }
        found.push((row, question));
    }
    let place = |id: Uuid| stored.iter().position(|known| known.id == id).unwrap_or(usize::MAX);
    found.sort_by_key(|(_, question)| place(question.id));
    found
}

/// What the form showed of a row when it was opened.
#[derive(Clone, Copy)]
struct Old<'a> {
    fields: &'a Fields,
    row: Option<usize>,
}

impl Old<'_> {
    fn value(&self, field: &str) -> Option<String> {
        self.row.map(|row| self.fields.typed(&name(row, field)))
    }

    /// Whether a field has what it had.
    fn is_same(&self, field: &str, typed: &str) -> bool {
        self.value(field).is_some_and(|old| lines(&old) == lines(typed))
    }
}

/// The lines of a text that say something.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

fn one(
    fields: &Fields,
    row: usize,
    known: Option<&Question>,
    old: Old<'_>,
    faults: &mut Faults,
) -> Option<Question> {
    let typed = |field: &str| fields.typed(&name(row, field));
    let text = fields.get(&name(row, "text")).unwrap_or_default();
    if text.is_empty() {
        faults.add(name(row, "text"), "write what is asked, or empty the whole row");
    }
    let text = match known {
        Some(known) if old.is_same("text", text) => known.text.clone(),
        _ => text.to_owned(),
    };
    let kind = match fields.get(&name(row, "kind")).unwrap_or("line") {
        kind @ ("line" | "lines") => {
            if is_left_over("choices", &typed("choices"), old) {
                let advice = "only a list has choices: empty them, or choose a list as answer";
                faults.add(name(row, "choices"), advice);
            }
            let stored = match known.map(|known| &known.kind) {
                Some(QuestionKind::TextInput { regex_pattern, .. }) => regex_pattern.clone(),
                _ => None,
            };
            QuestionKind::TextInput {
                is_single_line_question: kind == "line",
                regex_pattern: match fields.get(&name(row, "pattern")) {
                    Some(pattern) if old.is_same("pattern", pattern) => stored,
                    Some(pattern) => Some(pattern.to_owned()),
                    None => stored.filter(|stored| stored.trim().is_empty()),
                },
            }
        }
        kind @ ("one" | "several") => {
            if is_left_over("pattern", &typed("pattern"), old) {
                let advice = "only text has a pattern: empty it, or choose text as answer";
                faults.add(name(row, "pattern"), advice);
            }
            let stored = match known.map(|known| &known.kind) {
                Some(QuestionKind::MultipleChoice { choices, .. }) => choices.as_slice(),
                _ => &[],
            };
            let text = typed("choices");
            let choices: Vec<AnswerChoice> =
                lines(&text).into_iter().map(|line| one_choice(line, stored)).collect();
            if choices.is_empty() {
                faults.add(name(row, "choices"), "write at least one choice");
            }
            QuestionKind::MultipleChoice {
                choices,
                is_multiple_selection_allowed: kind == "several",
            }
        }
        _ => {
            faults.add(name(row, "text"), "choose what the answer may be");
            return None;
        }
    };
    Some(Question {
        id: known.map_or(Uuid::nil(), |known| known.id),
        text,
        is_required: fields.has(&name(row, "required")),
        is_answer_editable: known.is_none_or(|known| known.is_answer_editable),
        sequence: known.map_or(0, |known| known.sequence),
        kind,
    })
}

/// Whether something was written into a field that does not go with the kind of answer, unless it
/// stood there before and the kind was changed.
fn is_left_over(field: &str, typed: &str, old: Old<'_>) -> bool {
    !lines(typed).is_empty() && !old.is_same(field, typed)
}

fn one_choice(line: &str, stored: &[AnswerChoice]) -> AnswerChoice {
    if let Some(known) = stored.iter().find(|known| choice_line(known).trim() == line) {
        return known.clone();
    }
    let (value, text) = match line.split_once(" = ") {
        Some((value, text)) => (value.trim(), text.trim()),
        None => (line, line),
    };
    AnswerChoice { actual_value: value.to_owned(), text: text.to_owned() }
}

/// The field of this form that a path into a policy's questions is about.
pub fn field(path: &str, rows: &[usize]) -> Option<String> {
    let (at, rest) = path.strip_prefix("questions[")?.split_once("].")?;
    let row = *rows.get(at.parse::<usize>().ok()?)?;
    let field = match rest {
        "regexPattern" => "pattern",
        rest if rest.starts_with("choices") => "choices",
        _ => "text",
    };
    Some(name(row, field))
}
