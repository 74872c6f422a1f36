//! People and groups that a policy names, as a text area takes them: one a line, a person by their
//! sign-in name, a group by its name, either by its id.

use accede_app::policies::MAX_NAMED;
use accede_app::role_assignments::DirectoryObject;
use accede_app::{App, Error, Listing};
use accede_domain::filter::Filter;
use accede_domain::id::GroupId;
use accede_domain::policy::{SubjectSet, Terms};
use uuid::Uuid;

use super::problem::Result;
use super::session::Session;

/// Longest part of a line that an error repeats, in characters.
const MAX_SHOWN: usize = 80;

/// The people and groups of a stored policy, each with its line.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<(SubjectSet, String)>);

impl Names {
    /// Those that a policy names. Who was deleted since has their id as line.
    ///
    /// # Errors
    ///
    /// Forbidden for those who may not read the directory.
    pub async fn of(app: &App, session: &Session, terms: &Terms) -> Result<Names> {
        let stages = &terms.request_approval_settings.stages;
        let sets = terms.specific_allowed_targets.iter().chain(stages.iter().flat_map(|stage| {
            stage.primary_approvers.iter().chain(&stage.fallback_primary_approvers)
        }));
        let mut named: Vec<(SubjectSet, Uuid)> = Vec::new();
        for set in sets {
            let object = match set {
                SubjectSet::SingleUser { user, .. } => user.0,
                SubjectSet::GroupMembers { group, .. } => group.0,
                SubjectSet::RequestorManager { .. } => continue,
            };
            if named.iter().all(|(other, _)| other != set) {
                named.push((set.clone(), object));
            }
        }
        let ids: Vec<Uuid> = named.iter().map(|(_, object)| *object).collect();
        let objects = app.directory_objects(&session.caller, &ids).await?;
        let mut lines = Vec::with_capacity(named.len());
        for (set, id) in named {
            let mut line = id.to_string();
            for object in &objects {
                match object {
                    DirectoryObject::User(user) if user.id.0 == id => {
                        line.clone_from(&user.user_principal_name);
                    }
                    DirectoryObject::Group(group) if group.id.0 == id => {
                        let name = group.display_name.trim();
                        if reads_as_group(name)
                            && groups_called(app, session, name).await?.as_slice() == [group.id]
                        {
                            name.clone_into(&mut line);
                        }
                    }
                    _ => {}
                }
            }
            lines.push((set, line));
        }
        Ok(Names(lines))
    }

    /// The lines of those among these sets that are people or groups.
    pub fn text(&self, sets: &[SubjectSet]) -> String {
        let line = |set: &SubjectSet| {
            self.0.iter().find(|(known, _)| known == set).map(|(_, line)| line.as_str())
        };
        sets.iter().filter_map(line).collect::<Vec<_>>().join("\n")
    }

    /// Whom the lines of a text name, each once.
    ///
    /// # Errors
    ///
    /// Invalid at `field`, naming every line that is nobody or several groups; forbidden for those
    /// who may not read the directory.
    pub async fn read(
        &self,
        app: &App,
        session: &Session,
        field: &str,
        text: &str,
    ) -> Result<Vec<SubjectSet>, Error> {
        let mut lines: Vec<&str> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        if MAX_NAMED < lines.len() {
            let text = format!(
                "these are {} lines; a policy names at most {MAX_NAMED} people and groups, so name \
                 a group of them instead",
                lines.len()
            );
            return Err(Error::invalid(field, text));
        }
        let mut sets: Vec<SubjectSet> = Vec::new();
        let (mut unknown, mut several): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for line in lines {
            match self.find(app, session, line).await? {
                Found::One(set) if sets.contains(&set) => {}
                Found::One(set) => sets.push(set),
                Found::Nobody => unknown.push(shown(line)),
                Found::Several => several.push(shown(line)),
            }
        }
        let mut told = Vec::new();
        if !unknown.is_empty() {
            told.push(format!(
                "no person has this sign-in name and no group this name: {}",
                unknown.join(", ")
            ));
        }
        if !several.is_empty() {
            told.push(format!(
                "several groups have this name, so write the id of the one you mean: {}",
                several.join(", ")
            ));
        }
        match told.is_empty() {
            true => Ok(sets),
            false => Err(Error::invalid(field, told.join("; "))),
        }
    }

    async fn find(&self, app: &App, session: &Session, line: &str) -> Result<Found, Error> {
        if let Some((set, _)) = self.0.iter().find(|(_, known)| known == line) {
            return Ok(Found::One(set.clone()));
        }
        if let Ok(id) = line.parse::<Uuid>() {
            let object = app.directory_objects(&session.caller, &[id]).await?.pop();
            return Ok(match object {
                Some(DirectoryObject::User(user)) => {
                    Found::One(SubjectSet::SingleUser { user: user.id, description: None })
                }
                Some(DirectoryObject::Group(group)) => {
                    Found::One(SubjectSet::GroupMembers { group: group.id, description: None })
                }
                Some(DirectoryObject::Application(_)) | None => Found::Nobody,
            });
        }
        match app.user(&session.caller, line).await {
            Ok(user) => {
                return Ok(Found::One(SubjectSet::SingleUser { user: user.id, description: None }));
            }
            Err(Error::NotFound { .. } | Error::Invalid { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(match groups_called(app, session, line).await?.as_slice() {
            [] => Found::Nobody,
            [group] => Found::One(SubjectSet::GroupMembers { group: *group, description: None }),
            _ => Found::Several,
        })
    }
}

/// What a line stands for.
enum Found {
    One(SubjectSet),
    Nobody,
    Several,
}

fn shown(line: &str) -> String {
    line.chars().take(MAX_SHOWN).collect()
}

/// Whether a group's name, written as a line, cannot be taken for anything else.
fn reads_as_group(name: &str) -> bool {
    !name.is_empty() && !name.contains(['@', '\n', '\r']) && name.parse::<Uuid>().is_err()
}

/// The groups of this name, at most two of them.
async fn groups_called(app: &App, session: &Session, name: &str) -> Result<Vec<GroupId>, Error> {
    let quoted = name.replace('\'', "''");
    let Ok(filter) = Filter::parse(&format!("displayName eq '{quoted}'")) else {
        return Ok(Vec::new());
    };
    let listing = Listing { filter: Some(filter), top: Some(2), ..Listing::default() };
    let found = app.list_groups(&session.caller, &listing).await?.items;
    Ok(found.into_iter().map(|group| group.id).collect())
}
