//! One connection to an LDAP server for one call of a method: opened when first needed, kept for the
//! next one, dropped after any fault. Nothing that may have changed something is sent twice.

use std::sync::Arc;
use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::controls::RawControl;
use ldap3::{
    LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope, SearchOptions, StdStream,
};
use tokio::time::Instant;

use super::answers::{
    Answer, DefaultSuccess, Found, collect, lost, not_secured, refusal, too_slow,
};
use super::{Encryption, Ldap, lock};
use crate::CALL_DEADLINE;

/// Time kept back so that a method ends by itself before the worker's deadline.
const RESERVE: Duration = Duration::from_secs(2);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How many unused connections are kept.
const MAX_IDLE: usize = 8;
/// Entries of one page of a long search.
const PAGE: i32 = 200;

/// Active Directory's control for names that are preceded by ids, and its value: the ids as text, a
/// sequence of one number, 1 ([MS-ADTS] 3.1.1.3.4.1.5).
const EXTENDED_DN: &str = "1.2.840.113556.1.4.529";
const IDS: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x01];

/// One connection for one call of a method; opened when first needed, dropped after any fault.
pub(super) struct Line<'a> {
    home: &'a Ldap,
    deadline: Instant,
    connection: Option<ldap3::Ldap>,
    /// Whether the connection was taken from the idle ones, and may have been closed meanwhile.
    used_before: bool,
}

impl<'a> Line<'a> {
    pub(super) fn new(home: &'a Ldap) -> Line<'a> {
        let deadline = Instant::now() + (CALL_DEADLINE - RESERVE);
        Line { home, deadline, connection: None, used_before: false }
    }

    pub(super) fn left(&self) -> Result<Duration, Fault> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = "the target is too slow: there was no time left for this call";
            return Err(Fault::new(Class::Transient, "deadline", message));
        }
        Ok(left)
    }

    pub(super) async fn open(&mut self) -> Result<&mut ldap3::Ldap, Fault> {
        if self.connection.is_none() {
            let idle = self.home.idle();
            self.used_before = idle.is_some();
            self.connection = match idle {
                Some(connection) => Some(connection),
                None => Some(self.home.connect(self.left()?).await?),
            };
        }
        let lost = || Fault::new(Class::Transient, "unreachable", "the connection was lost");
        self.connection.as_mut().ok_or_else(lost)
    }

    /// Keeps the connection for later, unless something went wrong with it.
    pub(super) fn hang_up(mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.keep(connection);
        }
    }

    /// Reads entries. What was read before an interruption is never taken for all.
    pub(super) async fn search(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        limit: i32,
    ) -> Result<Answer<Found>, Fault> {
        self.search_with(None, base, scope, filter, attributes, limit).await
    }

    /// Reads one entry, in which Active Directory puts ids before the names that values are.
    pub(super) async fn read_with_ids(
        &mut self,
        name: &str,
        attribute: &str,
    ) -> Result<Answer<Found>, Fault> {
        let ids =
            RawControl { ctype: EXTENDED_DN.to_owned(), crit: false, val: Some(IDS.to_vec()) };
        self.search_with(Some(ids), name, Scope::Base, "(objectClass=*)", &[attribute], 1).await
    }

    async fn search_with(
        &mut self,
        control: Option<RawControl>,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        limit: i32,
    ) -> Result<Answer<Found>, Fault> {
        loop {
            let left = self.left()?;
            let connection = self.open().await?;
            connection.with_search_options(SearchOptions::new().sizelimit(limit));
            if let Some(control) = &control {
                connection.with_controls(control.clone());
            }
            let search = connection.search(base, scope, filter, attributes);
            let outcome = tokio::time::timeout(left, search).await;
            if let Some(found) = self.heard(outcome)? {
                let (entries, result) = (found.0, found.1);
                return Ok(collect(entries, result, self.home.heeds_references()));
            }
        }
    }

    /// What came back for a question, or nothing if it is to be put once more: a connection that
    /// lay idle may be dead without our knowing, and a question changes nothing.
    fn heard<T>(
        &mut self,
        outcome: Result<Result<T, LdapError>, tokio::time::error::Elapsed>,
    ) -> Result<Option<T>, Fault> {
        match outcome {
            Ok(Ok(answer)) => return Ok(Some(answer)),
            Ok(Err(error)) => {
                self.connection = None;
                if !std::mem::take(&mut self.used_before) {
                    return Err(lost(&error, Class::Transient));
                }
            }
            Err(_) => {
                self.connection = None;
                return Err(too_slow(Class::Transient));
            }
        }
        self.home.forget_idle();
        Ok(None)
    }

    /// Reads entries page by page until there are enough.
    pub(super) async fn search_pages(
        &mut self,
        base: &str,
        filter: &str,
        attributes: &'static [&'static str],
        limit: usize,
    ) -> Result<Answer<Found>, Fault> {
        let left = self.left()?;
        // A dead idle connection must not fail a listing: begin with one that answers.
        let probe = self.search(base, Scope::Base, "(objectClass=*)", &["1.1"], 1).await?;
        if let Err(refusal) = probe {
            return Ok(Err(refusal));
        }
        let connection = self.open().await?;
        let reading = async {
            let adapters: Vec<Box<dyn Adapter<'_, &str, &[&str]>>> =
                vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
            let mut stream = connection
                .streaming_search_with(adapters, base, Scope::Subtree, filter, attributes)
                .await?;
            let mut entries = Vec::new();
            while entries.len() < limit {
                match stream.next().await? {
                    Some(entry) => entries.push(entry),
                    None => return Ok((entries, stream.finish().await, true)),
                }
            }
            Ok::<_, LdapError>((entries, LdapResult::default_success(), false))
        };
        match tokio::time::timeout(left, reading).await {
            Ok(Ok((entries, result, whole))) => {
                if !whole {
                    // The rest of the stream is still on its way; nobody else may read it.
                    self.connection = None;
                }
                Ok(collect(entries, result, self.home.heeds_references()))
            }
            Ok(Err(error)) => {
                self.connection = None;
                Err(lost(&error, Class::Transient))
            }
            Err(_) => {
                self.connection = None;
                Err(too_slow(Class::Transient))
            }
        }
    }

    /// Whether an attribute has a value: true, false, or what the server says instead.
    pub(super) async fn compare(
        &mut self,
        dn: &str,
        name: &str,
        value: &str,
    ) -> Result<Answer<bool>, Fault> {
        loop {
            let left = self.left()?;
            let connection = self.open().await?;
            let outcome =
                tokio::time::timeout(left, connection.compare(dn, name, value.as_bytes())).await;
            if let Some(result) = self.heard(outcome)? {
                return Ok(match result.0.rc {
                    6 => Ok(true),
                    5 => Ok(false),
                    _ => Err(refusal(result.0)),
                });
            }
        }
    }

    /// Changes one entry, once. A change that may have arrived is never sent again.
    pub(super) async fn modify(
        &mut self,
        dn: &str,
        mods: Vec<Mod<Vec<u8>>>,
    ) -> Result<Answer<()>, Fault> {
        let left = self.left()?;
        let connection = self.open().await?;
        let outcome = tokio::time::timeout(left, connection.modify(dn, mods)).await;
        match outcome {
            Ok(Ok(result)) if result.rc == 0 => Ok(Ok(())),
            Ok(Ok(result)) => Ok(Err(refusal(result))),
            Ok(Err(error)) => {
                self.connection = None;
                Err(lost(&error, Class::Unknown))
            }
            Err(_) => {
                self.connection = None;
                Err(too_slow(Class::Unknown))
            }
        }
    }
}

impl Ldap {
    pub(super) fn idle(&self) -> Option<ldap3::Ldap> {
        let mut idle = lock(&self.idle);
        while let Some((mut connection, since)) = idle.pop() {
            if since.elapsed() < IDLE && !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, mut connection: ldap3::Ldap) {
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_IDLE && !connection.is_closed() {
            idle.push((connection, Instant::now()));
        }
    }

    /// When one idle connection turned out dead, the others are likely to be.
    fn forget_idle(&self) {
        lock(&self.idle).clear();
    }

    async fn connect(&self, left: Duration) -> Result<ldap3::Ldap, Fault> {
        match tokio::time::timeout(left, self.connect_and_bind()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let message = "no connection came about in time";
                Err(Fault::new(Class::Transient, "unreachable", message))
            }
        }
    }

    async fn connect_and_bind(&self) -> Result<ldap3::Ldap, Fault> {
        let stream = self.egress.connect(&self.host, self.port).await;
        let stream = stream.map_err(|error| error.fault("url"))?;
        let stream = stream.into_std().map_err(|error| {
            Fault::new(Class::Transient, "unreachable", format!("no usable socket: {error}"))
        })?;
        let settings = LdapConnSettings::new()
            .set_std_stream(StdStream::Tcp(stream))
            .set_starttls(self.tls == Encryption::StartTls)
            .set_config(Arc::clone(&self.tls_config));
        let (driver, mut connection) = LdapConnAsync::from_url_with_settings(settings, &self.url)
            .await
            .map_err(not_secured)?;
        // The driver moves bytes for this connection and ends with it.
        tokio::spawn(async move {
            if let Err(error) = driver.drive().await {
                tracing::debug!(%error, "an LDAP connection ended");
            }
        });
        let bound = connection.simple_bind(&self.bind_dn, &self.bind_password).await;
        match bound {
            Ok(result) if result.rc == 0 => Ok(connection),
            Ok(result) => {
                let mut fault = refusal(result).fault();
                // Whatever keeps us from signing in keeps us from everything.
                if fault.class == Class::Permanent {
                    fault.class = Class::Target;
                }
                Err(fault)
            }
            Err(error) => Err(lost(&error, Class::Transient)),
        }
    }
}
