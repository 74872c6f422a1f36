//! Importing users from a CSV file, as the personnel department exports it.
//!
//! The whole file is read and checked before anything is written. If a line is wrong, nothing is
//! written, unless the caller says that wrong lines may be left out. What is written is written in
//! batches of [`BATCH`] people, each in one transaction; users that exist (same
//! `userPrincipalName`) are changed, in the columns that the file has and no others. Managers come
//! last, so that they may stand below their reports. An import that was interrupted is simply
//! repeated.

use std::collections::{HashMap, HashSet};

use accede_domain::Timestamp;
use accede_domain::id::{GuardId, SubjectId, UserId};
use accede_domain::nearest;
use accede_domain::permission::Action;
use accede_store::crash::{Point, point};
use accede_store::guards;
use accede_store::users::{self, key};
use serde_json::json;

use crate::audit::{self, Event};
use crate::users::{MAX_CHAIN, User, UserChange, insert};
use crate::{App, Caller, Error, Result, fields};

/// Most people in one file.
pub const MAX_ROWS: usize = 200_000;
/// Largest file, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// People in one transaction.
pub const BATCH: usize = 1_000;
/// Most wrong lines that are reported one by one.
pub const MAX_REPORTED: usize = 1_000;

/// What happens to lines that are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadLine {
    /// Nothing at all is written.
    #[default]
    Refuse,
    /// They are left out.
    LeaveOut,
}

/// A line that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BadLine {
    /// Its number in the file, counted from 1 with the header.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// People who were added.
    pub created: usize,
    /// People who were changed.
    pub changed: usize,
    /// People who were so already.
    pub unchanged: usize,
    /// Lines that are wrong, at most [`MAX_REPORTED`].
    pub bad_lines: Vec<BadLine>,
    /// How many lines are wrong in all.
    pub bad: usize,
    /// Whether nothing was written because of them.
    pub refused: bool,
    /// People whom the file disables and who are not disabled, because so many wait for a second
    /// person.
    pub held: usize,
    /// What waits, then.
    pub guard: Option<GuardId>,
}

/// The columns that a file may have.
const COLUMNS: [&str; 12] = [
    "userPrincipalName",
    "displayName",
    "givenName",
    "surname",
    "mail",
    "department",
    "jobTitle",
    "companyName",
    "employeeId",
    "userType",
    "accountEnabled",
    "manager",
];

/// One line.
struct Line {
    number: u64,
    /// Empty if it is wrong.
    name: String,
    change: UserChange,
    /// The sign-in name or id of the manager; `Some(None)` clears, `None` leaves.
    manager: Option<Option<String>>,
    /// What is wrong with it, cell by cell.
    wrong: Vec<String>,
}

impl App {
    /// Adds and changes the users of a CSV file.
    ///
    /// # Errors
    ///
    /// Forbidden; a file that is too large, is not UTF-8 or has an unknown column. Wrong lines are
    /// in the report.
    pub async fn import_users(
        &self,
        caller: &Caller,
        csv: &[u8],
        on_bad_line: OnBadLine,
    ) -> Result<Report> {
        caller.may_everywhere(Action::ManageDirectory)?;
        let mut report = Report::default();
        let mut lines = read(csv)?;
        self.check_managers(&mut lines).await?;
        lines.retain(|line| line.wrong.is_empty() || report.refuse(line));
        if report.bad > 0 && on_bad_line == OnBadLine::Refuse {
            report.refused = true;
            return Ok(report);
        }
        self.hold_disabled(caller, &mut lines, &mut report).await?;
        for batch in lines.chunks(BATCH) {
            self.write_batch(caller, batch, &mut report).await?;
        }
        for batch in lines.chunks(BATCH) {
            self.write_managers(caller, batch).await?;
        }
        self.wake();
        Ok(report)
    }

    /// Leaves people as they are whom the file disables, if so many would lose so much that it waits
    /// for a second person.
    async fn hold_disabled(
        &self,
        caller: &Caller,
        lines: &mut [Line],
        report: &mut Report,
    ) -> Result<()> {
        let asked = |to: bool| -> Vec<String> {
            let lines = lines.iter().filter(|line| line.change.account_enabled == Some(to));
            lines.map(|line| key(&line.name)).collect()
        };
        let (enabled, disabled) = (asked(true), asked(false));
        let now = self.now();
        let held = self
            .store()
            .write(async |tx| {
                if guards::any_held(tx).await? {
                    for batch in enabled.chunks(BATCH) {
                        let found = users::by_keys(tx, batch).await?;
                        let ids: Vec<UserId> = found.iter().map(|user| user.id).collect();
                        guards::spare(tx, &ids).await?;
                    }
                }
                let mut leaving = Vec::new();
                for batch in disabled.chunks(BATCH) {
                    let found = users::by_keys(tx, batch).await?;
                    leaving.extend(found.into_iter().filter(|user| user.account_enabled));
                }
                if leaving.is_empty() {
                    return Ok(None);
                }
                for user in &leaving {
                    crate::users::guard(tx, caller, user, "change").await?;
                    crate::users::refuse_self(caller, user, "disable")?;
                }
                let ids: Vec<UserId> = leaving.iter().map(|user| user.id).collect();
                let held = crate::guards::people_leave(self, tx, caller, &ids, now).await?;
                Ok::<_, Error>(held.map(|id| (id, leaving)))
            })
            .await?;
        let Some((id, leaving)) = held else { return Ok(()) };
        point(Point::ImportHeld);
        report.held = leaving.len();
        report.guard = Some(id);
        let names: HashSet<String> =
            leaving.iter().map(|user| key(&user.user_principal_name)).collect();
        for line in lines.iter_mut().filter(|line| names.contains(&key(&line.name))) {
            line.change.account_enabled = None;
        }
        Ok(())
    }

    /// Finds managers who do not exist and people who would be above themselves.
    async fn check_managers(&self, lines: &mut [Line]) -> Result<()> {
        let mut keys: Vec<String> = lines.iter().map(|line| key(&line.name)).collect();
        keys.extend(
            lines.iter().filter_map(|line| line.manager.clone().flatten()).map(|m| key(&m)),
        );
        keys.sort_unstable();
        keys.dedup();
        let (known, links) = self
            .store()
            .read(async |tx| {
                let mut known: HashMap<String, UserId> = HashMap::new();
                for batch in keys.chunks(BATCH) {
                    for user in users::by_keys(tx, batch).await? {
                        known.insert(key(&user.user_principal_name), user.id);
                    }
                }
                for name in &keys {
                    if let Ok(id) = name.parse::<UserId>()
                        && users::get(tx, id).await?.is_some()
                    {
                        known.insert(name.clone(), id);
                    }
                }
                Ok::<_, accede_store::Error>((known, users::manager_links(tx).await?))
            })
            .await?;
        // Everybody is a number here: those who exist and those who are only in the file.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut by_id: HashMap<UserId, usize> = HashMap::new();
        for id in known.values() {
            let next = by_id.len();
            by_id.entry(*id).or_insert(next);
        }
        for (report, manager) in &links {
            for id in [report, manager] {
                let next = by_id.len();
                by_id.entry(*id).or_insert(next);
            }
        }
        let mut count = by_id.len();
        for (name, id) in &known {
            if let Some(number) = by_id.get(id) {
                numbers.insert(name.clone(), *number);
            }
        }
        for line in lines.iter().filter(|line| line.wrong.is_empty()) {
            numbers.entry(key(&line.name)).or_insert_with(|| {
                count += 1;
                count - 1
            });
        }
        let mut above: Vec<Option<usize>> = vec![None; count];
        for (report, manager) in &links {
            if let (Some(report), Some(manager)) = (by_id.get(report), by_id.get(manager))
                && let Some(place) = above.get_mut(*report)
            {
                *place = Some(*manager);
            }
        }
        for line in lines.iter_mut() {
            let Some(manager) = &line.manager else { continue };
            let number = manager.as_ref().map(|name| numbers.get(&key(name)).copied());
            if number == Some(None) {
                let name = manager.clone().unwrap_or_default();
                let shown: String = name.chars().take(60).collect();
                line.wrong.push(format!(
                    "`manager`: there is no user `{shown}`, neither here nor in the file"
                ));
                continue;
            }
            if let Some(report) = numbers.get(&key(&line.name))
                && let Some(place) = above.get_mut(*report)
            {
                *place = number.flatten();
            }
        }
        for line in lines.iter_mut().filter(|line| matches!(line.manager, Some(Some(_)))) {
            let Some(own) = numbers.get(&key(&line.name)).copied() else { continue };
            let mut at = above.get(own).copied().flatten();
            let mut steps = 0;
            while let Some(number) = at {
                steps += 1;
                if number == own || MAX_CHAIN < steps {
                    line.wrong.push(if number == own {
                        "`manager`: nobody can be their own manager, directly or through others"
                            .to_owned()
                    } else {
                        format!("`manager`: more than {MAX_CHAIN} people would be above each other")
                    });
                    break;
                }
                at = above.get(number).copied().flatten();
            }
        }
        Ok(())
    }

    async fn write_batch(
        &self,
        caller: &Caller,
        batch: &[Line],
        report: &mut Report,
    ) -> Result<()> {
        let now = self.now();
        let keys: Vec<String> = batch.iter().map(|line| key(&line.name)).collect();
        let (created, changed) = self
            .store()
            .write(async |tx| {
                let known = users::by_keys(tx, &keys).await?;
                let mut known: HashMap<String, User> =
                    known.into_iter().map(|user| (key(&user.user_principal_name), user)).collect();
                let (mut new, mut saves, mut moved) = (Vec::new(), Vec::new(), Vec::new());
                for line in batch {
                    match known.remove(&key(&line.name)) {
                        Some(before) => {
                            let mut user = before.clone();
                            if line.change.apply(&mut user)?.is_empty() {
                                continue;
                            }
                            if before.account_enabled != user.account_enabled {
                                moved.push((before, user.clone()));
                            }
                            saves.push(user);
                        }
                        None => {
                            let (id, subject) = (self.mint(now), self.mint(now));
                            let mut user = User::new(id, subject, &line.name, now);
                            line.change.apply(&mut user)?;
                            new.push(user);
                        }
                    }
                }
                for (before, after) in &moved {
                    crate::users::guard(tx, caller, after, "change").await?;
                    crate::users::refuse_self(caller, after, "disable")?;
                    self.follow_activity(tx, caller, before, after, now).await?;
                }
                insert(tx, &new).await?;
                users::save_all(tx, &saves).await?;
                if !new.is_empty() || !saves.is_empty() {
                    let event = Event {
                        action: "users imported",
                        object_type: "user",
                        object_id: String::new(),
                        catalog: None,
                        detail: json!({
                            "created": new.iter().map(|user| &user.user_principal_name)
                                .collect::<Vec<_>>(),
                            "changed": saves.iter().map(|user| &user.user_principal_name)
                                .collect::<Vec<_>>(),
                        }),
                    };
                    audit::record(self, tx, caller, event, now).await?;
                }
                Ok::<_, Error>((new.len(), saves.len()))
            })
            .await?;
        point(Point::ImportBatch);
        report.created += created;
        report.changed += changed;
        report.unchanged += batch.len() - created - changed;
        Ok(())
    }

    async fn write_managers(&self, caller: &Caller, batch: &[Line]) -> Result<()> {
        let now = self.now();
        let wishes: Vec<&Line> = batch.iter().filter(|line| line.manager.is_some()).collect();
        if wishes.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<String> = wishes.iter().map(|line| key(&line.name)).collect();
        keys.extend(
            wishes.iter().filter_map(|line| line.manager.clone().flatten()).map(|m| key(&m)),
        );
        keys.sort_unstable();
        keys.dedup();
        self.store()
            .write(async |tx| {
                let mut known: HashMap<String, User> = HashMap::new();
                for user in users::by_keys(tx, &keys).await? {
                    known.insert(key(&user.user_principal_name), user);
                }
                let mut links = Vec::new();
                for line in &wishes {
                    let Some(user) = known.get(&key(&line.name)) else { continue };
                    let manager = match line.manager.as_ref().and_then(Option::as_ref) {
                        None => None,
                        Some(name) => match known.get(&key(name)) {
                            Some(manager) => Some(manager.id),
                            // By id, or deleted since the file was checked.
                            None => match name.parse::<UserId>() {
                                Ok(id) => users::get(tx, id).await?.map(|user| user.id),
                                Err(_) => None,
                            },
                        },
                    };
                    if user.manager != manager {
                        links.push((user.id, manager));
                    }
                }
                users::set_managers(tx, &links).await?;
                if !links.is_empty() {
                    let event = Event {
                        action: "managers imported",
                        object_type: "user",
                        object_id: String::new(),
                        catalog: None,
                        detail: json!({ "changed": links.len() }),
                    };
                    audit::record(self, tx, caller, event, now).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        point(Point::ImportManagers);
        Ok(())
    }
}

impl Report {
    /// Counts a wrong line and says why; it is not kept.
    fn refuse(&mut self, line: &Line) -> bool {
        self.bad += 1;
        if self.bad_lines.len() < MAX_REPORTED {
            self.bad_lines.push(BadLine { line: line.number, reason: line.wrong.join("; ") });
        }
        false
    }
}

/// Reads all lines and checks what each says by itself.
fn read(csv: &[u8]) -> Result<Vec<Line>> {
    if MAX_BYTES < csv.len() {
        return Err(Error::Limit {
            what: "the size of a CSV file, in bytes,",
            limit: MAX_BYTES,
            advice: "split the file",
        });
    }
    let text = std::str::from_utf8(csv).map_err(|error| {
        let line = csv.get(..error.valid_up_to()).unwrap_or_default();
        let line = line.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::invalid("file", format!("line {line} is not UTF-8; save the file as UTF-8"))
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| Error::invalid("file", error.to_string()))?;
    let columns = columns(header)?;
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut lines = Vec::new();
    for (row, record) in reader.records().enumerate() {
        if MAX_ROWS <= row {
            return Err(Error::Limit {
                what: "the number of lines in a CSV file",
                limit: MAX_ROWS,
                advice: "split the file",
            });
        }
        let record = record.map_err(|error| Error::invalid("file", error.to_string()))?;
        let number = record.position().map_or(0, csv::Position::line);
        let mut line = line(number, &columns, &record);
        if !line.name.is_empty()
            && let Some(first) = seen.insert(key(&line.name), number)
        {
            let name = &line.name;
            line.wrong.push(format!("`userPrincipalName`: `{name}` stands in line {first} too"));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Which column is what.
fn columns(header: &csv::StringRecord) -> Result<Vec<&'static str>> {
    let mut columns = Vec::new();
    for name in header {
        let known = COLUMNS.into_iter().find(|column| column.eq_ignore_ascii_case(name));
        let Some(column) = known else {
            let shown: String = name.chars().take(60).collect();
            let hint = match nearest::one(&shown, COLUMNS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", COLUMNS.join(", ")),
            };
            return Err(Error::invalid("file", format!("unknown column `{shown}`; {hint}")));
        };
        if columns.contains(&column) {
            return Err(Error::invalid("file", format!("the column `{column}` is there twice")));
        }
        columns.push(column);
    }
    if !columns.contains(&"userPrincipalName") {
        let sentence =
            "the first line names the columns, and `userPrincipalName` is not among them";
        return Err(Error::invalid("file", sentence));
    }
    Ok(columns)
}

fn line(number: u64, columns: &[&'static str], record: &csv::StringRecord) -> Line {
    let mut line = Line {
        number,
        name: String::new(),
        change: UserChange::default(),
        manager: None,
        wrong: Vec::new(),
    };
    if record.len() != columns.len() {
        line.wrong.push(format!("has {} fields instead of {}", record.len(), columns.len()));
        return line;
    }
    // Somebody to try each cell on.
    let nobody = (UserId(uuid::Uuid::nil()), SubjectId(uuid::Uuid::nil()));
    let mut trial = User::new(nobody.0, nobody.1, "", Timestamp::UNIX_EPOCH);
    for (column, text) in columns.iter().zip(record) {
        if *column == "manager" {
            line.manager = Some(Some(text.to_owned()).filter(|text| !text.is_empty()));
            continue;
        }
        let mut alone = UserChange::default();
        let read = cell(column, text, &mut alone).and_then(|()| {
            alone.apply(&mut trial).map_err(|error| error.to_string())?;
            // It was readable alone, so it is beside the others.
            cell(column, text, &mut line.change)
        });
        if let Err(reason) = read {
            line.wrong.push(reason);
        }
    }
    line.name = trial.user_principal_name;
    line
}

/// Reads one cell into a change.
fn cell(column: &str, text: &str, change: &mut UserChange) -> Result<(), String> {
    let value = Some(text.to_owned()).filter(|text| !text.is_empty());
    match column {
        "userPrincipalName" => {
            let name = fields::principal_name(column, text).map_err(|error| error.to_string())?;
            change.user_principal_name = Some(name);
        }
        "displayName" => change.display_name = Some(text.to_owned()),
        "givenName" => change.given_name = Some(value),
        "surname" => change.surname = Some(value),
        "mail" => change.mail = Some(value),
        "department" => change.department = Some(value),
        "jobTitle" => change.job_title = Some(value),
        "companyName" => change.company_name = Some(value),
        "employeeId" => change.employee_id = Some(value),
        "userType" => change.user_type = value,
        _ => {
            change.account_enabled = match text.to_ascii_lowercase().as_str() {
                "" => None,
                "true" | "yes" | "1" => Some(true),
                "false" | "no" | "0" => Some(false),
                _ => {
                    let shown: String = text.chars().take(40).collect();
                    return Err(format!("`accountEnabled`: `{shown}` is neither true nor false"));
                }
            };
        }
    }
    Ok(())
}
