//! Values that samples of pages share.

use accede_domain::Timestamp;

use super::part::{Csrf, Frame, Place, Sections};

/// A frame as an administrator sees it.
pub fn frame(title: impl Into<String>, place: Place) -> Frame {
    Frame {
        title: title.into(),
        who: Some("rita@contoso.example".to_owned()),
        csrf: Csrf { token: "sample-token".to_owned() },
        sections: Sections {
            catalogs: true,
            requests: true,
            jobs: true,
            targets: true,
            people: true,
            notices: true,
            deployment: true,
            tasks: 3,
        },
        place,
        crumbs: Vec::new(),
        notice: None,
        refresh: None,
        paused: Some("the database was restored from a backup"),
    }
}

/// An instant near the one all samples play at.
pub fn at(minutes: i64) -> Timestamp {
    Timestamp::constant(1_781_000_000 + 60 * minutes, 0)
}

/// A name with markup in it, which must come out as text.
pub const NASTY: &str = "<img src=x onerror=alert(1)> & \"Söns\"";
