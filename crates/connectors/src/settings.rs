//! Reads a target's settings and secrets strictly: what is unknown, missing or of the wrong form is
//! an error that names the field and the remedy.

use std::collections::BTreeMap;

use accede_domain::SignedDuration;
use accede_domain::drift::{Extra, Missing};
use accede_domain::duration::Duration;
use accede_domain::retry::Retry;
use serde_json::{Map, Value};

/// What can be wrong with the settings of a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {sentence}")]
pub struct Problem {
    /// Which field, such as `settings.baseUrl`.
    pub path: String,
    /// What is wrong with it and what to do; reads on after the field's name.
    pub sentence: String,
}

impl Problem {
    /// A problem of one field.
    pub fn new(path: impl Into<String>, sentence: impl Into<String>) -> Problem {
        Problem { path: path.into(), sentence: sentence.into() }
    }
}

/// One setting or secret, for people: all that the portal's forms and the documents know of it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in `settings` or `secrets`.
    pub name: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What it is for, its values and its default.
    pub meaning: &'static str,
    /// How people fill it in.
    pub form: Form,
    /// Whether a target cannot do without it.
    pub required: bool,
}

/// How people fill in a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line of text: a word, a number, an address.
    Line,
    /// Several lines, such as a certificate.
    Lines,
    /// Yes or no.
    Flag,
    /// A list of texts.
    List,
    /// One of these values; what is left out has a default.
    OneOf(&'static [&'static str]),
}

impl Field {
    /// A line of text that may be left out.
    pub const fn new(name: &'static str, label: &'static str, meaning: &'static str) -> Field {
        Field { name, label, meaning, form: Form::Line, required: false }
    }

    /// The same, filled in otherwise.
    pub const fn form(mut self, form: Form) -> Field {
        self.form = form;
        self
    }

    /// The same, which a target cannot do without.
    pub const fn required(mut self) -> Field {
        self.required = true;
        self
    }
}

/// Largest number of calls to one target at once; its pace is kept by the worker.
pub const MAX_CONCURRENCY: u64 = 32;

/// Settings that every kind has.
pub const COMMON: &[Field] = &[
    Field::new(
        "concurrency",
        "Calls at once",
        "how many calls each server may have in flight at once, 1 to 32; default 8",
    ),
    Field::new(
        "retryBase",
        "First wait before trying again, at most",
        "an ISO 8601 duration such as `PT5S`, `PT0.1S` to `PT1H`; default: the server's \
         `delivery.backoff_base`",
    ),
    Field::new(
        "retryCap",
        "Longest wait before trying again",
        "an ISO 8601 duration such as `PT1H`, at least the first wait, at most `P1D`; default: the \
         server's `delivery.backoff_cap`",
    ),
    Field::new(
        "retryWindow",
        "How long a role that is wanted is tried",
        "an ISO 8601 duration such as `P1D`, `PT1S` to `P90D`; default: the server's \
         `delivery.grant_window`. A role that is to go is never given up",
    ),
    Field::new(
        "drift",
        "A role that somebody takes away there",
        "what is done about a role that is wanted and was taken away in the target: `repair` gives it \
         again, `report` tells it and waits for a person; default: the server's `drift.missing`",
    )
    .form(Form::OneOf(&Missing::NAMES)),
    Field::new(
        "driftExtra",
        "Access there that nothing gives",
        "what is done about a role that a known person holds in the target and no assignment gives \
         them: `report` tells it, `revoke` takes it away; default: the server's `drift.extra`",
    )
    .form(Form::OneOf(&Extra::NAMES)),
];

/// What is done about a role that somebody takes away: the server's `default`, where the target's
/// settings say nothing else.
///
/// # Errors
///
/// Names the setting that is no such word.
pub fn drift(settings: &Value, default: Missing) -> Result<Missing, Problem> {
    match settings.get("drift") {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_str().and_then(Missing::parse).ok_or_else(|| {
            let said = format!("must be one of `repair`, `report`, not `{}`", short(value));
            problem("drift", said)
        }),
    }
}

/// What is done about access that nothing gives: the server's `default`, where the target's settings
/// say nothing else.
///
/// # Errors
///
/// Names the setting that is no such word.
pub fn drift_extra(settings: &Value, default: Extra) -> Result<Extra, Problem> {
    match settings.get("driftExtra") {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_str().and_then(Extra::parse).ok_or_else(|| {
            let said = format!("must be one of `report`, `revoke`, not `{}`", short(value));
            problem("driftExtra", said)
        }),
    }
}

/// How a target is tried again: the server's `default`, where the target's settings say nothing else.
///
/// # Errors
///
/// Names the setting that is no such duration.
pub fn retry(settings: &Value, default: &Retry) -> Result<Retry, Problem> {
    let read = |name: &str, least: &str, most: &str| match settings.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let wrong = || {
                let said = format!("must be an ISO 8601 duration from `{least}` to `{most}`");
                problem(name, said)
            };
            let length = |text: &str| {
                let fixed = text.parse::<Duration>().ok().and_then(|given| given.fixed());
                fixed.and_then(|fixed| SignedDuration::try_from(fixed).ok())
            };
            let given = value.as_str().and_then(|text| length(text.trim())).ok_or_else(wrong)?;
            let fits = length(least) <= Some(given) && Some(given) <= length(most);
            if fits { Ok(Some(given)) } else { Err(wrong()) }
        }
    };
    let base = read("retryBase", "PT0.1S", "PT1H")?;
    let cap = read("retryCap", "PT0.1S", "P1D")?;
    let window = read("retryWindow", "PT1S", "P90D")?;
    let retry = Retry {
        base: base.unwrap_or(default.base),
        cap: cap.unwrap_or(default.cap),
        grant_window: window.unwrap_or(default.grant_window),
        ..*default
    };
    if retry.cap < retry.base {
        let name = if cap.is_some() { "retryCap" } else { "retryBase" };
        let said = "makes the longest wait shorter than the first; `retryCap` must be at least `retryBase`";
        return Err(problem(name, said));
    }
    Ok(retry)
}

/// The settings of one target while they are read.
pub struct Reader<'a> {
    settings: &'a Map<String, Value>,
    secrets: &'a BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    /// Takes the settings of a kind, all of whose fields must be known.
    pub fn new(
        settings: &'a Value,
        secrets: &'a BTreeMap<String, String>,
        known_settings: &[Field],
        known_secrets: &[Field],
    ) -> Result<Reader<'a>, Problem> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let settings = match settings {
            Value::Object(settings) => settings,
            Value::Null => &EMPTY,
            _ => return Err(Problem::new("settings", "must be an object")),
        };
        for name in settings.keys() {
            check_known("settings", name, &[known_settings, COMMON].concat())?;
        }
        for name in secrets.keys() {
            check_known("secrets", name, known_secrets)?;
        }
        let reader = Reader { settings, secrets };
        reader.number("concurrency", 8, 1..=MAX_CONCURRENCY)?;
        Ok(reader)
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.settings.get(name).filter(|value| !value.is_null())
    }

    /// A setting as it was given, for forms of its own.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.get(name)
    }

    /// Answers whether a setting was given.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A text that may be left out.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim())),
            Some(_) => Err(problem(name, "must be a text that is not empty")),
        }
    }

    /// A text that must be given; `example` shows its form.
    pub fn required(&self, name: &str, example: &str) -> Result<&'a str, Problem> {
        self.text(name)?
            .ok_or_else(|| problem(name, format!("is missing; give it like `{example}`")))
    }

    /// A yes or no.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Problem> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(problem(name, "must be `true` or `false`")),
        }
    }

    /// A whole number within a range.
    pub fn number(
        &self,
        name: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Problem> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_u64().filter(|number| range.contains(number)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            problem(name, format!("must be a whole number from {least} to {most}"))
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        default: Option<T>,
        choices: &[(&str, T)],
    ) -> Result<T, Problem> {
        let words =
            || choices.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let Some(value) = self.get(name) else {
            return default
                .ok_or_else(|| problem(name, format!("is missing; give one of {}", words())));
        };
        let chosen = value.as_str().and_then(|text| choices.iter().find(|(word, _)| *word == text));
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            problem(name, format!("must be one of {}, not `{}`", words(), short(value)))
        })
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Problem> {
        let wrong = || problem(name, "must be a list of texts");
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => {
                list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A secret that may be left out.
    pub fn given_secret(&self, name: &str) -> Option<&'a str> {
        self.secrets.get(name).map(String::as_str).filter(|secret| !secret.is_empty())
    }

    /// A secret that must be given and not be empty.
    pub fn secret(&self, name: &str, purpose: &str) -> Result<&'a str, Problem> {
        self.given_secret(name).ok_or_else(|| {
            Problem::new(format!("secrets.{name}"), format!("is missing; give {purpose}"))
        })
    }
}

/// A problem of one setting.
pub fn problem(name: &str, sentence: impl Into<String>) -> Problem {
    Problem::new(format!("settings.{name}"), sentence)
}

fn short(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).chars().take(60).collect()
}

fn check_known(list: &str, name: &str, known: &[Field]) -> Result<(), Problem> {
    if known.iter().any(|field| field.name == name) {
        return Ok(());
    }
    let names = known.iter().map(|field| field.name);
    let sentence = match nearest(name, names.clone()) {
        Some(near) => format!("is not known; did you mean `{near}`?"),
        None => {
            let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>();
            match names.is_empty() {
                true => "is not known; this kind of target has none".to_owned(),
                false => format!("is not known; known are {}", names.join(", ")),
            }
        }
    };
    Err(Problem::new(format!("{list}.{name}"), sentence))
}

/// The known name that a misspelled one is closest to, if it is close at all.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_lowercase();
    let (distance, near) = known
        .into_iter()
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= name.chars().count().max(3) / 2).then_some(near)
}

/// How many letters must be typed anew to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((b, above), above_left) in other.iter().zip(row.iter().skip(1)).zip(row.iter()) {
            let left = next.last().copied().unwrap_or(i + 1);
            next.push((above + 1).min(left + 1).min(above_left + usize::from(a != *b)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: &[Field] = &[Field::new("baseUrl", "", ""), Field::new("createAccounts", "", "")];

    fn read(settings: Value) -> Result<(), Problem> {
        let secrets = BTreeMap::new();
        let reader = Reader::new(&settings, &secrets, KNOWN, &[])?;
        reader.required("baseUrl", "https://wiki.example/scim")?;
        reader.flag("createAccounts", false)?;
        Ok(())
    }

    #[test]
    fn a_target_may_be_tried_again_in_its_own_way() {
        let default = Retry::default();
        let said = |settings: Value| retry(&settings, &default).unwrap_err().to_string();

        assert_eq!(retry(&json!({}), &default).unwrap(), default);
        let own = json!({"retryBase": "PT1S", "retryCap": "PT30S", "retryWindow": "P2D"});
        let own = retry(&own, &default).unwrap();
        assert_eq!((own.base.as_secs(), own.cap.as_secs()), (1, 30));
        assert_eq!(own.grant_window.as_hours(), 48);
        assert_eq!(
            said(json!({"retryWindow": "P1Y"})),
            "`settings.retryWindow` must be an ISO 8601 duration from `PT1S` to `P90D`"
        );
        assert_eq!(
            said(json!({"retryBase": 5})),
            "`settings.retryBase` must be an ISO 8601 duration from `PT0.1S` to `PT1H`"
        );
        assert!(
            said(json!({"retryCap": "PT1S"})).contains("`retryCap` must be at least `retryBase`")
        );
    }

    #[test]
    fn what_is_done_about_drift_is_the_targets_or_the_servers() {
        let said = |settings: Value| drift(&settings, Missing::Report);

        assert_eq!(said(json!({})), Ok(Missing::Report));
        assert_eq!(said(json!({"drift": null})), Ok(Missing::Report));
        assert_eq!(said(json!({"drift": "repair"})), Ok(Missing::Repair));
        assert_eq!(
            said(json!({"drift": "revoke"})).unwrap_err().to_string(),
            "`settings.drift` must be one of `repair`, `report`, not `revoke`"
        );
    }

    #[test]
    fn every_problem_names_the_field_and_the_remedy() {
        let said = |settings| read(settings).unwrap_err().to_string();
        assert_eq!(
            said(json!({"baseURL": "x"})),
            "`settings.baseURL` is not known; did you mean `baseUrl`?"
        );
        assert_eq!(
            said(json!({"baseUlr": "x"})),
            "`settings.baseUlr` is not known; did you mean `baseUrl`?"
        );
        assert_eq!(
            said(json!({"zzzzzzz": 1})),
            "`settings.zzzzzzz` is not known; known are `baseUrl`, `createAccounts`, \
             `concurrency`, `retryBase`, `retryCap`, `retryWindow`, `drift`, `driftExtra`"
        );
        assert_eq!(
            said(json!({})),
            "`settings.baseUrl` is missing; give it like `https://wiki.example/scim`"
        );
        assert_eq!(
            said(json!({"baseUrl": 7})),
            "`settings.baseUrl` must be a text that is not empty"
        );
        assert_eq!(
            said(json!({"baseUrl": "x", "createAccounts": "yes"})),
            "`settings.createAccounts` must be `true` or `false`"
        );
        assert_eq!(
            said(json!({"baseUrl": "x", "concurrency": 0})),
            "`settings.concurrency` must be a whole number from 1 to 32"
        );
        assert_eq!(said(json!([])), "`settings` must be an object");
        assert_eq!(read(json!({"baseUrl": "x", "createAccounts": null})), Ok(()));
    }

    #[test]
    fn the_distance_of_words_is_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
