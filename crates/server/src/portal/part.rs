//! What pages are made of: state badges, instants, form tokens, the frame around every page. Each
//! part writes its own HTML; nothing here asks `app` for anything.

use accede_app::Caller;
use accede_domain::permission::{Action, Reach};
use accede_domain::{SignedDuration, Timestamp};
use askama::Template;
use askama::filters::HtmlSafe;

/// How something stands, for eyes: a colour, a shape and words, never the colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Ok,
    /// On its way.
    Info,
    /// Needs a look.
    Warn,
    /// Failed.
    Bad,
    /// Over, or not begun.
    Idle,
}

impl Tone {
    /// The class in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Tone::Ok => "ok",
            Tone::Info => "info",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Idle => "idle",
        }
    }
}

/// A state with its shape and its words.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = "<span class=\"badge {{ tone.class() }}\"><svg class=\"icon\" aria-hidden=\"true\">\
              <use href=\"/assets/icons.svg#{{ icon }}\"/></svg>{{ text }}</span>",
    ext = "html"
)]
pub struct Badge {
    /// Its colour.
    pub tone: Tone,
    /// Its shape: a symbol of `icons.svg`.
    pub icon: &'static str,
    /// Its words.
    pub text: String,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// A badge.
    pub fn new(tone: Tone, icon: &'static str, text: impl Into<String>) -> Badge {
        Badge { tone, icon, text: text.into() }
    }
}

/// An instant, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = "<time datetime=\"{{ iso }}\"><span>{{ day }}</span> <span>{{ hour }}</span></time>",
    ext = "html"
)]
pub struct When {
    iso: String,
    day: String,
    hour: String,
}

impl HtmlSafe for When {}

impl When {
    /// To the minute.
    pub fn minute(at: Timestamp) -> When {
        When::told(at, "%H:%M UTC")
    }

    /// Within a sentence.
    pub fn words(&self) -> String {
        format!("{} {}", self.day, self.hour)
    }

    /// To the second, for attempts and timelines.
    pub fn second(at: Timestamp) -> When {
        When::told(at, "%H:%M:%S UTC")
    }

    fn told(at: Timestamp, hour: &str) -> When {
        When {
            iso: to_second(at).to_string(),
            day: at.strftime("%Y-%m-%d").to_string(),
            hour: at.strftime(hour).to_string(),
        }
    }
}

/// An instant within a sentence, to the minute: `2026-05-20 09:00 UTC`.
pub fn minute(at: Timestamp) -> String {
    When::minute(at).words()
}

/// A text with its instants as people read them: `2026-05-20 09:00 UTC` for `2026-05-20T09:00:00Z`.
pub fn legible(text: &str) -> String {
    let told = |word: &str| {
        let core = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        match core.parse::<Timestamp>() {
            Ok(at) if core.ends_with('Z') => word.replace(core, &minute(at)),
            _ => word.to_owned(),
        }
    };
    text.split_inclusive(char::is_whitespace).map(told).collect()
}

fn to_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// How long, in the largest unit that says something: `3 days`, `5 hours`, `1 minute`.
pub fn how_long(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (n, unit) = match seconds {
        172_800.. => (seconds / 86_400, "day"),
        7_200.. => (seconds / 3_600, "hour"),
        120.. => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    plural(n, unit)
}

/// `1 request`, `2 requests`.
pub fn plural(n: i64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        _ if noun == "person" => format!("{} people", grouped(n)),
        _ => format!("{} {noun}s", grouped(n)),
    }
}

/// `3,000` for 3000.
pub fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

/// A sign-in name in a narrow column: it may break before its `@`, rather than anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = "{% for part in parts %}{% if !loop.first %}<wbr>{% endif %}{{ part }}{% endfor %}",
    ext = "html"
)]
pub struct SignInName {
    parts: Vec<String>,
}

impl HtmlSafe for SignInName {}

impl SignInName {
    /// Of this text.
    pub fn new(text: &str) -> SignInName {
        let parts = match text.split_once('@') {
            Some((local, domain)) => vec![local.to_owned(), format!("@{domain}")],
            None => vec![text.to_owned()],
        };
        SignInName { parts }
    }
}

/// The token that every form carries, so that no other site can send it.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(source = "<input type=\"hidden\" name=\"csrf\" value=\"{{ token }}\">", ext = "html")]
pub struct Csrf {
    /// The session's token.
    pub token: String,
}

impl HtmlSafe for Csrf {}

/// A step on the way to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crumb {
    /// What it is called.
    pub label: String,
    /// Where it is.
    pub href: String,
}

/// Something to tell the reader at the top of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How it stands.
    pub tone: Tone,
    /// Sentences.
    pub text: String,
    /// Where to go from there: label and address.
    pub link: Option<(String, String)>,
}

impl Notice {
    /// A notice without a link.
    pub fn new(tone: Tone, text: impl Into<String>) -> Notice {
        Notice { tone, text: text.into(), link: None }
    }

    /// Its shape.
    pub const fn icon(&self) -> &'static str {
        match self.tone {
            Tone::Ok => "ok",
            Tone::Info | Tone::Idle => "info",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
        }
    }
}

/// Which parts of the portal the reader has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sections {
    /// Catalogs, access packages.
    pub catalogs: bool,
    /// Requests, failures.
    pub requests: bool,
    /// Reprocess jobs.
    pub jobs: bool,
    /// Target systems.
    pub targets: bool,
    /// People and groups.
    pub people: bool,
    /// Notices, which tell of everything.
    pub notices: bool,
    /// The deployment.
    pub deployment: bool,
    /// How many tasks the reader is to do.
    pub tasks: i64,
}

impl Sections {
    /// What this caller has.
    pub fn of(caller: &Caller) -> Sections {
        let has = |action: Action| !caller.reach(action).is_empty();
        Sections {
            catalogs: has(Action::ReadCatalog) || has(Action::CreateCatalog),
            requests: has(Action::ReadRequests),
            jobs: has(Action::Reprocess),
            targets: has(Action::ReadTargets),
            people: has(Action::ReadDirectory),
            notices: caller.reach(Action::ReadRequests) == Reach::Everywhere,
            deployment: caller.may_everywhere(Action::ReadTargets).is_ok()
                && caller.may_everywhere(Action::ReadRequests).is_ok(),
            tasks: 0,
        }
    }

    /// Whether there are changes that the reader could see held.
    pub const fn held(&self) -> bool {
        self.catalogs || self.people
    }

    /// Whether there is anything of Identity Governance.
    pub const fn any(&self) -> bool {
        self.catalogs || self.requests || self.jobs || self.targets || self.people
    }
}

/// An entry of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Access packages.
    Packages,
    /// Catalogs.
    Catalogs,
    /// Failures.
    Failures,
    /// Drift.
    Drift,
    /// Held changes.
    Held,
    /// Everybody's tasks.
    Tasks,
    /// Target systems.
    Targets,
    /// Notices.
    Notices,
    /// Reprocess jobs.
    Jobs,
    /// The deployment.
    Deployment,
    /// People.
    People,
    /// Groups.
    Groups,
    /// What can be requested.
    Available,
    /// Own requests.
    MyRequests,
    /// Own access.
    MyAccess,
    /// Own tasks.
    MyTasks,
    /// Approvals that await the reader.
    Approvals,
    /// Approvals the reader was part of.
    Decided,
    /// None of them.
    Nowhere,
}

/// The frame around every page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The page's heading and title.
    pub title: String,
    /// Who is signed in: their sign-in name.
    pub who: Option<String>,
    /// The form token.
    pub csrf: Csrf,
    /// What the navigation shows.
    pub sections: Sections,
    /// Which entry of it is this page's.
    pub place: Place,
    /// The way here.
    pub crumbs: Vec<Crumb>,
    /// What to tell first.
    pub notice: Option<Notice>,
    /// Seconds until the page loads itself again where scripts do not run.
    pub refresh: Option<u32>,
    /// Why the deployment is paused, if it is.
    pub paused: Option<&'static str>,
}

impl Frame {
    /// Adds a step to the way here.
    #[must_use]
    pub fn crumb(mut self, label: impl Into<String>, href: impl Into<String>) -> Frame {
        self.crumbs.push(Crumb { label: label.into(), href: href.into() });
        self
    }

    /// With something to tell first.
    #[must_use]
    pub fn notice(mut self, notice: Option<Notice>) -> Frame {
        self.notice = notice;
        self
    }

    /// The attribute that marks the current entry of the navigation.
    pub fn current(&self, place: &str) -> Current {
        Current(format!("{:?}", self.place) == place)
    }
}

/// `aria-current`, if it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Template)]
#[template(source = "{% if self.0 %} aria-current=\"page\"{% endif %}", ext = "html")]
pub struct Current(pub bool);

impl HtmlSafe for Current {}

/// A button that changes something, or the reason why it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// The reader may not do this at all; nothing is shown.
    Hidden,
    /// It can be done.
    Ready,
    /// It cannot be done now: why, and what to do instead.
    Not {
        /// Why.
        why: String,
        /// Where to go instead: label and address.
        link: Option<(String, String)>,
    },
}

impl Deed {
    /// It cannot be done now, for this reason.
    pub fn not(why: impl Into<String>) -> Deed {
        Deed::Not { why: why.into(), link: None }
    }

    /// Whether the button works.
    pub const fn is_ready(&self) -> bool {
        matches!(self, Deed::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(3_000), "3,000");
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!(plural(1, "person"), "1 person");
        assert_eq!(plural(2, "person"), "2 people");
    }

    #[test]
    fn a_sign_in_name_breaks_before_its_at_sign() {
        let name = SignInName::new("uma.p@x.example").to_string();
        assert_eq!(name, "uma.p<wbr>@x.example");
    }

    #[test]
    fn instants_within_a_sentence_are_told_to_the_minute() {
        let wire = "completed at 2026-11-09T18:40:25.52Z, or (2026-05-02T09:00:00Z); not 2026Z";
        let told = "completed at 2026-11-09 18:40 UTC, or (2026-05-02 09:00 UTC); not 2026Z";
        assert_eq!(legible(wire), told);
    }

    #[test]
    fn a_span_is_told_in_its_largest_unit() {
        assert_eq!(how_long(SignedDuration::from_secs(1)), "1 second");
        assert_eq!(how_long(SignedDuration::from_mins(90)), "90 minutes");
        assert_eq!(how_long(SignedDuration::from_hours(47)), "47 hours");
        assert_eq!(how_long(SignedDuration::from_hours(24 * 13 + 23)), "13 days");
        assert_eq!(how_long(SignedDuration::from_secs(-5)), "0 seconds");
    }

    #[test]
    fn words_of_others_are_escaped() {
        let badge = Badge::new(Tone::Bad, "bad", "<script>alert(1)</script>").to_string();
        assert!(badge.contains("&#60;script&#62;") || badge.contains("&lt;script&gt;"), "{badge}");
        assert!(!badge.contains("<script"));
    }
}
