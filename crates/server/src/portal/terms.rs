//! What a policy says, in the words of people.

use accede_app::requests::{Answer, Request};
use accede_domain::Timestamp;
use accede_domain::duration::Duration;
use accede_domain::policy::{Question, QuestionKind, Terms};
use accede_domain::request::State;
use accede_domain::schedule::Expiration;

use super::part::{minute, plural};
use super::words;

/// A length of time: `30 days`, `1 year and 6 months`.
pub fn duration(duration: &Duration) -> String {
    let text = duration.to_string();
    let mut parts = Vec::new();
    let mut number = String::new();
    let mut is_time = false;
    for letter in text.chars() {
        let unit = match (letter, is_time) {
            ('0'..='9' | '.', _) => {
                number.push(letter);
                continue;
            }
            ('T' | 't', _) => {
                is_time = true;
                continue;
            }
            ('Y' | 'y', _) => "year",
            ('M' | 'm', false) => "month",
            ('W' | 'w', _) => "week",
            ('D' | 'd', _) => "day",
            ('H' | 'h', _) => "hour",
            ('M' | 'm', true) => "minute",
            ('S' | 's', _) => "second",
            _ => continue,
        };
        match number.parse::<i64>() {
            Ok(n) => parts.push(plural(n, unit)),
            Err(_) => parts.push(format!("{number} {unit}s")),
        }
        number.clear();
    }
    match parts.as_slice() {
        [] => text.clone(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// How long access lasts under a policy.
pub fn lasts(expiration: &Expiration) -> String {
    match expiration {
        Expiration::NotSpecified | Expiration::NoExpiration => "until it is removed".to_owned(),
        Expiration::AfterDateTime { end } => {
            format!("until {}", minute(*end))
        }
        Expiration::AfterDuration { duration: length } => duration(length),
    }
}

/// When the access that a request asks for begins and ends, as far as that is known: what waits for
/// an approval begins with it.
pub fn period(request: &Request) -> Option<String> {
    // What was never accepted has no period of its own, but one that was asked for.
    let settings = &request.terms.request_approval_settings;
    let is_undecided = match request.state {
        State::PendingApproval => true,
        State::Denied { .. } | State::Canceled { .. } => {
            settings.is_approval_required_for_add && request.assignment.is_none()
        }
        _ => false,
    };
    if is_undecided {
        let from = request.begins.map_or("from its approval".to_owned(), |at| {
            format!("from {}, or from its approval if that is later", minute(at))
        });
        let allowed = &request.terms.expiration;
        let asked = match request.schedule.expiration {
            Expiration::NotSpecified => allowed,
            ref asked => asked,
        };
        let most = if asked == allowed || !is_limit(allowed) {
            String::new()
        } else {
            format!(", but no longer than the policy allows: {}", lasts(allowed))
        };
        let for_how_long = match asked {
            Expiration::AfterDuration { .. } => format!("for {}", lasts(asked)),
            _ => lasts(asked),
        };
        return Some(format!("{for_how_long}, {from}{most}"));
    }
    match (request.begins, request.end) {
        (Some(begins), Some(end)) => Some(format!("{} to {}", minute(begins), minute(end))),
        (Some(begins), None) => Some(format!("from {}, without end", minute(begins))),
        (None, Some(end)) => Some(format!("until {}", minute(end))),
        (None, None) => None,
    }
}

fn is_limit(expiration: &Expiration) -> bool {
    matches!(expiration, Expiration::AfterDateTime { .. } | Expiration::AfterDuration { .. })
}

/// How requests are approved under a policy.
pub fn approval(terms: &Terms) -> String {
    let settings = &terms.request_approval_settings;
    if !settings.is_approval_required_for_add {
        return "No approval".to_owned();
    }
    let stages: Vec<String> = settings
        .stages
        .iter()
        .map(|stage| {
            let sets: Vec<String> =
                stage.primary_approvers.iter().map(words::subject_set).collect();
            let sets = if sets.is_empty() {
                "the fallback approvers".to_owned()
            } else {
                sets.join(" or ")
            };
            format!("{sets}, within {}", duration(&stage.duration_before_automatic_denial))
        })
        .collect();
    capital(&stages.join("; then "))
}

/// The answers of a request: question and answer. `text` is the JSON that is stored.
pub fn answers(questions: &[Question], text: &str) -> Vec<(String, String)> {
    let answers: Vec<Answer> = serde_json::from_str(text).unwrap_or_default();
    let mut told = Vec::new();
    for answer in answers.iter().filter(|answer| !answer.value.is_empty()) {
        let question = questions.iter().find(|question| question.id == answer.question);
        let asked = question.map_or_else(|| "A question".to_owned(), |q| q.text.clone());
        let value = match question.map(|question| &question.kind) {
            Some(QuestionKind::MultipleChoice { choices, .. }) => answer
                .value
                .split(';')
                .map(str::trim)
                .map(|value| {
                    choices
                        .iter()
                        .find(|choice| choice.actual_value == value)
                        .map_or(value, |choice| choice.text.as_str())
                })
                .collect::<Vec<_>>()
                .join(", "),
            _ => answer.display.clone().unwrap_or_else(|| answer.value.clone()),
        };
        told.push((asked, value));
    }
    told
}

/// A date and time as browsers send it, in UTC: nothing if empty.
pub fn moment(text: &str) -> Option<Result<Timestamp, ()>> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    // `2026-06-01T09:00`, with or without seconds.
    let zoned = if text.len() == "2026-06-01T09:00".len() {
        format!("{text}:00Z")
    } else {
        format!("{}Z", text.trim_end_matches('Z'))
    };
    Some(zoned.parse().map_err(drop))
}

/// The same with a capital first.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn durations_are_read_out() {
        for (iso, words) in [
            ("P30D", "30 days"),
            ("P1D", "1 day"),
            ("P1Y6M", "1 year and 6 months"),
            ("PT8H", "8 hours"),
            ("PT90M", "90 minutes"),
            ("P1DT12H30M", "1 day, 12 hours and 30 minutes"),
        ] {
            assert_eq!(duration(&iso.parse().unwrap()), words, "{iso}");
        }
    }

    #[test]
    fn answers_are_told_by_their_questions() {
        let id = "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004";
        let question: Question = serde_json::from_str(&format!(
            "{{\"id\":\"{id}\",\"text\":\"Why?\",\
             \"@odata.type\":\"#microsoft.graph.accessPackageMultipleChoiceQuestion\",\
             \"choices\":[{{\"actualValue\":\"a\",\"text\":\"Project A\"}}],\
             \"isMultipleSelectionAllowed\":true}}"
        ))
        .unwrap();
        let stored = format!("[{{\"question\":\"{id}\",\"value\":\"a; b\"}}]");

        let told = answers(&[question], &stored);

        assert_eq!(told, [("Why?".to_owned(), "Project A, b".to_owned())]);
        assert!(answers(&[], "not JSON").is_empty());
    }
}
