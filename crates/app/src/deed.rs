//! One verb's work inside one transaction: moving requests, stages, assignments and deliveries, and
//! writing the timeline and the audit log beside each move.
//!
//! Everything here runs with the subject's row locked, so that no two decide about one person at
//! once. The order below it is request → assignment → deliveries.

use std::collections::HashSet;

use accede_domain::Timestamp;
use accede_domain::delivery::{self, Delivery};
use accede_domain::id::{AssignmentId, DeliveryId, RequestId, SubjectId};
use accede_domain::refusal::{Obstacle, Refusal};
use accede_domain::request::{self, Effect, Event, State, Wish};
use accede_domain::rollup::{self, Outcome, Part};
use accede_domain::{assignment, separation};
use accede_store::assignments::{self, Assignment};
use accede_store::crash::{Point, point};
use accede_store::deliveries::{self, DeliveryRow, Edge, Key};
use accede_store::packages::{self, RoleScope};
use accede_store::requests::{self, Request};
use accede_store::{Tx, guards, history, people, separations};
use futures_util::future::BoxFuture;

use crate::timeline::{kind, summary};
use crate::{App, Caller, Result, approvals, audit};

/// A request's move by one event.
pub(crate) struct Move {
    before: State,
    event: Event,
    /// What follows; `None`: nothing, and the move itself is nothing.
    effects: Option<Vec<Effect>>,
}

/// A verb at work in a transaction.
pub(crate) struct Deed<'a, 't> {
    pub(crate) app: &'a App,
    pub(crate) tx: &'a mut Tx<'t>,
    pub(crate) caller: &'a Caller,
    pub(crate) now: Timestamp,
}

impl Deed<'_, '_> {
    /// Writes a line of the request's timeline.
    pub(crate) async fn note(
        &mut self,
        request: &Request,
        kind: &str,
        detail: String,
    ) -> Result<()> {
        let line = history::Line {
            id: self.app.mint(self.now),
            request: request.id,
            at: self.now,
            kind: kind.to_owned(),
            actor: self.caller.name.clone(),
            detail,
        };
        Ok(history::insert(self.tx, &line).await?)
    }

    /// Moves a request by one event, with everything that follows from it.
    ///
    /// # Errors
    ///
    /// The rule's refusal; then nothing was changed.
    pub(crate) async fn advance(
        &mut self,
        request: &mut Request,
        event: Event,
        why: Option<String>,
    ) -> Result<()> {
        let effects = self.transition(request, event, why).await?;
        self.follow(request, effects).await
    }

    /// Like [`Deed::advance`], for who has seen in this transaction that no other request is open
    /// beside this one.
    pub(crate) async fn advance_alone(
        &mut self,
        request: &mut Request,
        event: Event,
    ) -> Result<()> {
        let moved = self.step(request, event, true).await?;
        let effects = self.keep(request, moved, None).await?;
        self.follow(request, effects).await
    }

    /// Adds a request that moves by one event at once: its row is written once, as it is after that.
    /// What is to stand on the timeline before the move is the caller's to write, and then to
    /// [`Deed::go_on`].
    pub(crate) async fn admit(&mut self, request: &mut Request, event: Event) -> Result<Move> {
        let moved = self.step(request, event, false).await?;
        requests::insert(self.tx, request).await?;
        Ok(moved)
    }

    /// Records the first move of a request, with everything that follows from it.
    pub(crate) async fn go_on(&mut self, request: &mut Request, moved: Move) -> Result<()> {
        if let Some(effects) = moved.effects {
            self.record(request, moved.before, &moved.event, None).await?;
            self.follow(request, effects).await?;
        }
        Ok(())
    }

    /// Carries out what follows from a move.
    async fn follow(&mut self, request: &mut Request, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            self.bring_about(request, effect).await?;
        }
        Ok(())
    }

    /// Carries out one effect; on the heap, for one inside the other they would fill a thread's stack.
    fn bring_about<'a>(
        &'a mut self,
        request: &'a mut Request,
        effect: Effect,
    ) -> BoxFuture<'a, Result<()>> {
        match effect {
            Effect::StartApproval => Box::pin(approvals::start(self, request)),
            Effect::CloseApproval => Box::pin(approvals::close(self, request)),
            Effect::BeginDelivery => Box::pin(self.begin(request)),
            Effect::RetryUndelivered => Box::pin(self.retry(request)),
            Effect::Withdraw => Box::pin(self.withdraw(request)),
        }
    }

    /// Moves a request by one event and records that; the effects are the caller's to carry out.
    /// [`Deed::begin`] saves the request itself, once, together with its assignment.
    async fn transition(
        &mut self,
        request: &mut Request,
        event: Event,
        why: Option<String>,
    ) -> Result<Vec<Effect>> {
        let moved = self.step(request, event, false).await?;
        self.keep(request, moved, why).await
    }

    /// Saves and records a move; what follows from it is the caller's to carry out.
    async fn keep(
        &mut self,
        request: &mut Request,
        moved: Move,
        why: Option<String>,
    ) -> Result<Vec<Effect>> {
        let Move { before, event, effects } = moved;
        let Some(effects) = effects else { return Ok(Vec::new()) };
        if !effects.contains(&Effect::BeginDelivery) {
            requests::save(self.tx, request).await?;
            point(Point::TransitionSaved);
        }
        self.record(request, before, &event, why).await?;
        Ok(effects)
    }

    /// Moves a request by one event without writing anything. `is_alone`: no other request is open
    /// beside it.
    async fn step(&mut self, request: &mut Request, event: Event, is_alone: bool) -> Result<Move> {
        let before = request.state;
        let (mut after, mut effects) = request::step(before, event, self.now)?;
        if after == before && effects.is_empty() {
            return Ok(Move { before, event, effects: None });
        }
        if effects.contains(&Effect::Withdraw) && !self.has_given(request).await? {
            (after, effects) = request::step(after, Event::Withdrawn, self.now)?;
        }
        // Opening a resting request takes the place of its person and package.
        if after.is_open() && !before.is_open() && !is_alone {
            self.check_alone(request).await?;
        }
        request.state = after;
        Ok(Move { before, event, effects: Some(effects) })
    }

    /// Tells the audit log and the timeline that a request moved.
    async fn record(
        &mut self,
        request: &Request,
        before: State,
        event: &Event,
        why: Option<String>,
    ) -> Result<()> {
        let kind = kind(event, &request.state);
        let detail = why.unwrap_or_default();
        let record = audit::Event {
            action: kind,
            object_type: "accessPackageAssignmentRequest",
            object_id: request.id.to_string(),
            catalog: None,
            detail: serde_json::json!({
                "from": before.status(),
                "to": request.state.status(),
                "why": detail,
            }),
        };
        audit::record(self.app, self.tx, self.caller, record, self.now).await?;
        point(Point::TransitionAudited);
        self.note(request, kind, detail).await
    }

    /// Whether there may be something to take back of what a request gave.
    async fn has_given(&mut self, request: &Request) -> Result<bool> {
        let Some(id) = request.assignment else { return Ok(false) };
        let assignment = assignments::get(self.tx, id).await?;
        Ok(assignment.is_some_and(|assignment| assignment.expired().is_none()))
    }

    /// Refuses while another request of the same person for the same package is open.
    pub(crate) async fn check_alone(&mut self, request: &Request) -> Result<()> {
        match requests::open_of(self.tx, request.subject, request.package).await? {
            Some(open) if open.id != request.id => Err(Refusal::RequestOpen(open.id).into()),
            _ => Ok(()),
        }
    }

    /// Begins the delivery of an accepted request: makes or ends its assignment.
    async fn begin(&mut self, request: &mut Request) -> Result<()> {
        match request.request_type.wish() {
            Wish::Add => self.begin_add(request).await,
            Wish::Remove => self.begin_remove(request).await,
        }
    }

    async fn begin_add(&mut self, request: &mut Request) -> Result<()> {
        if let Some(obstacle) = self.obstacle(request).await? {
            request.block = Some((obstacle.code().to_owned(), obstacle.to_string()));
            let why = obstacle.to_string();
            self.transition(request, Event::Block, Some(why)).await?;
            return Ok(());
        }
        request.block = None;
        let (roles_version, roles) =
            packages::versioned_role_scopes(self.tx, request.package).await?;
        let assignment = Assignment {
            id: self.app.mint(self.now),
            subject: request.subject,
            package: request.package,
            policy: request.policy,
            state: assignment::State::Delivering,
            start: request.begins.unwrap_or(self.now),
            end: request.end,
            roles_version,
            created_at: self.now,
            version: 1,
        };
        assignments::insert(self.tx, &assignment).await?;
        point(Point::BeginAssigned);
        request.assignment = Some(assignment.id);
        requests::save_assigned(self.tx, request).await?;
        let mut is_all_new = !roles.is_empty();
        for role in &roles {
            is_all_new &= self.add_edge(&assignment, role).await?;
        }
        if is_all_new {
            // All of it is under way and nothing else was touched: there is nothing to roll up.
            return Ok(());
        }
        self.roll_up_into(assignment.id, Some(request)).await
    }

    async fn begin_remove(&mut self, request: &mut Request) -> Result<()> {
        requests::save(self.tx, request).await?;
        if let Some(id) = request.assignment {
            self.end(id).await?;
            self.roll_up_into(id, Some(request)).await?;
        }
        Ok(())
    }

    /// What stands in the way of delivering a request that was accepted, if anything.
    ///
    /// Asked again at every start: the subject's access, the catalog of rules and the clock may have
    /// changed since the request was approved. Approval is not asked again.
    pub(crate) async fn obstacle(&mut self, request: &Request) -> Result<Option<Obstacle>> {
        let Some(person) = people::by_subject(self.tx, request.subject).await? else {
            return Ok(Some(Obstacle::SubjectInactive));
        };
        if !person.is_active {
            return Ok(Some(Obstacle::SubjectInactive));
        }
        if let Some(end) = request.end.filter(|end| *end <= self.now) {
            return Ok(Some(Obstacle::EndPassed(end)));
        }
        if packages::catalog_of(self.tx, request.package).await?.is_none() {
            return Ok(Some(Obstacle::PackageGone));
        }
        let own = match request.assignment {
            Some(id) => assignments::get(self.tx, id).await?,
            None => None,
        };
        match own {
            Some(own) if !own.state.is_live() => return Ok(Some(Obstacle::AssignmentEnded)),
            // A person has one live assignment of a package, and it is this one.
            Some(_) => {}
            None => {
                let other = assignments::live_of(self.tx, request.subject, request.package).await?;
                if let Some(other) = other {
                    return Ok(Some(Obstacle::AlreadyAssigned(other.id)));
                }
            }
        }
        let conflict = self.conflict(request.subject, request.package).await?;
        Ok(conflict.map(Obstacle::Incompatible))
    }

    /// The separation-of-duties conflict of giving a person this package, if there is one.
    pub(crate) async fn conflict(
        &mut self,
        subject: SubjectId,
        package: accede_domain::id::PackageId,
    ) -> Result<Option<separation::Conflict>> {
        let pairs = separations::pairs_touching(self.tx, package).await?;
        let excluded = separations::groups_of(self.tx, package).await?;
        if pairs.is_empty() && excluded.is_empty() {
            return Ok(None);
        }
        let held = people::packages_of(self.tx, subject).await?;
        let groups = match people::by_subject(self.tx, subject).await? {
            Some(person) => people::groups_of(self.tx, person.user).await?,
            None => Vec::new(),
        };
        Ok(separation::conflict(package, &pairs, &excluded, &held, &groups))
    }

    /// Makes the assignment the reason for exactly its package's present roles, unless their change is
    /// held; its deliveries as they are then. The caller saves it.
    async fn sync_roles(&mut self, assignment: &mut Assignment) -> Result<Vec<Edge>> {
        let (version, roles) = packages::versioned_role_scopes(self.tx, assignment.package).await?;
        // What waits for a second person does not go out one by one either.
        if version != assignment.roles_version
            && guards::is_held(self.tx, assignment.package).await?
        {
            return Ok(deliveries::of_assignment(self.tx, assignment.id).await?);
        }
        assignment.roles_version = version;
        let edges = deliveries::of_assignment(self.tx, assignment.id).await?;
        let mut is_changed = false;
        for role in &roles {
            let known = edges.iter().any(|edge| edge.is_live && is_for(&edge.row.key, role));
            if !known {
                self.add_edge(assignment, role).await?;
                is_changed = true;
            }
        }
        for edge in &edges {
            let gone = !roles.iter().any(|role| is_for(&edge.row.key, role));
            if edge.is_live && gone {
                assignments::drop_reason(self.tx, edge.row.id, assignment.id).await?;
                self.wish(edge.row.id, assignment.id).await?;
                is_changed = true;
            }
        }
        if is_changed {
            return Ok(deliveries::of_assignment(self.tx, assignment.id).await?);
        }
        Ok(edges)
    }

    /// Makes an assignment a reason for a delivery of a role; says whether there was none before.
    async fn add_edge(&mut self, assignment: &Assignment, role: &RoleScope) -> Result<bool> {
        let new = DeliveryRow {
            id: self.app.mint(self.now),
            key: Key {
                target: role.target_id,
                subject: assignment.subject,
                resource: role.resource_origin_id.clone(),
                role: role.role_origin_id.clone(),
                scope: role.scope_origin_id.clone(),
            },
            role: role.role_id,
            delivery: delivery::want(
                Delivery::new(role.keep_pre_existing, self.now),
                true,
                self.now,
            ),
            fault: None,
            attempted_at: None,
        };
        let is_new = deliveries::insert(self.tx, &new).await?;
        let row = if is_new { new } else { deliveries::lock_of_key(self.tx, &new.key).await? };
        assignments::add_reason(self.tx, row.id, assignment.id).await?;
        point(Point::BeginReason);
        if is_new {
            // Written as it is wanted: nobody else has a reason for it who would have to be told.
            return Ok(true);
        }
        self.wish(row.id, assignment.id).await?;
        // What was given up for another package deserves a trial for this one.
        if let delivery::Phase::Failed { .. } = row.delivery.phase
            && let Some(row) = deliveries::lock(self.tx, row.id).await?
        {
            self.reopen(row, Some(assignment.id)).await?;
        }
        Ok(false)
    }

    /// Sets what is wanted of a delivery from the reasons for it, on behalf of an assignment.
    async fn wish(&mut self, id: DeliveryId, by: AssignmentId) -> Result<()> {
        let wanted = deliveries::has_reason(self.tx, id).await?;
        let Some(mut row) = deliveries::lock(self.tx, id).await? else { return Ok(()) };
        let changed = delivery::want(row.delivery, wanted, self.now);
        if changed == row.delivery {
            return Ok(());
        }
        row.fault = None;
        self.change(row, changed, Some(by)).await?;
        // For what ended before, a role that is wanted again is nothing left to take.
        self.tell_others(id, Some(by)).await
    }

    /// Saves what a rule made of a delivery, and tells the assignments that it concerns, but for the
    /// one on whose behalf it was done: that one looks when all of it is done.
    pub(crate) async fn change(
        &mut self,
        mut row: DeliveryRow,
        changed: Delivery,
        by: Option<AssignmentId>,
    ) -> Result<()> {
        let before = row.delivery;
        row.delivery = changed;
        deliveries::save(self.tx, &row, before.epoch).await?;
        self.follow_tasks(&row, &before, None).await?;
        if before.part() != changed.part() {
            self.tell_others(row.id, by).await?;
        }
        Ok(())
    }

    async fn tell_others(&mut self, id: DeliveryId, by: Option<AssignmentId>) -> Result<()> {
        for concerned in assignments::concerned(self.tx, id).await? {
            if Some(concerned) != by {
                self.roll_up(concerned).await?;
            }
        }
        Ok(())
    }

    /// Ends an assignment: it is no longer a reason for anything.
    pub(crate) async fn end(&mut self, id: AssignmentId) -> Result<()> {
        let mut assignment = assignments::lock(self.tx, id).await?;
        let next = assignment::step(assignment.state, assignment::Event::End, self.now)?;
        if next == assignment.state {
            return Ok(());
        }
        assignment.state = next;
        assignments::save(self.tx, &mut assignment).await?;
        assignments::drop_reasons(self.tx, id).await?;
        point(Point::EndReasons);
        for edge in deliveries::of_assignment(self.tx, id).await? {
            self.wish(edge.row.id, id).await?;
        }
        Ok(())
    }

    /// Tries again what a request has not delivered.
    async fn retry(&mut self, request: &mut Request) -> Result<()> {
        let Some(id) = request.assignment else {
            // It was blocked before it had an assignment; what blocked it was checked again.
            return self.begin(request).await;
        };
        let mut assignment = assignments::lock(self.tx, id).await?;
        if !assignment.state.is_live() {
            return self.roll_up_into(id, Some(request)).await;
        }
        assignment.state = assignment::step(assignment.state, assignment::Event::Open, self.now)?;
        let mut edges = self.sync_roles(&mut assignment).await?;
        assignments::save(self.tx, &mut assignment).await?;
        for edge in edges.iter_mut().filter(|edge| edge.is_live) {
            let reopened = self.reopened(edge.row.clone(), Some(id)).await?;
            edge.row.delivery = reopened.unwrap_or(edge.row.delivery);
        }
        self.roll_up_with(assignment, &edges, Some(request)).await
    }

    /// Tries a delivery again now, if it is not as wanted; says whether that changed anything.
    pub(crate) async fn reopen(
        &mut self,
        row: DeliveryRow,
        by: Option<AssignmentId>,
    ) -> Result<bool> {
        Ok(self.reopened(row, by).await?.is_some())
    }

    /// Like [`Deed::reopen`]; what the delivery is then, if that changed anything.
    async fn reopened(
        &mut self,
        row: DeliveryRow,
        by: Option<AssignmentId>,
    ) -> Result<Option<Delivery>> {
        if crate::comparison::is_held(&row) && self.caller.name == Caller::system().name {
            // It may have been revoked: not for the server to give again by itself.
            return Ok(None);
        }
        let (reopened, changed) = delivery::reopen(row.delivery, self.now);
        if changed {
            self.change(row, reopened, by).await?;
        }
        Ok(changed.then_some(reopened))
    }

    /// Saves a delivery that a person settled by hand, and brings the requests that rest short of
    /// it up to where it stands now. `kind` and `why` stand on the timeline of every request that
    /// is not over.
    pub(crate) async fn resolve(
        &mut self,
        row: DeliveryRow,
        resolved: Delivery,
        kind: &str,
        why: &str,
    ) -> Result<()> {
        let concerned = assignments::concerned(self.tx, row.id).await?;
        let mut rested = HashSet::new();
        for assignment in &concerned {
            for request in requests::under_way(self.tx, *assignment).await? {
                self.note(&request, kind, why.to_owned()).await?;
            }
            let all = requests::of_assignment(self.tx, *assignment).await?;
            rested.extend(all.iter().filter(|one| is_short(one)).map(|one| one.id));
        }
        let is_moved = row.delivery.part() != resolved.part();
        self.change(row, resolved, None).await?;
        for id in concerned {
            let is_live = assignments::lock(self.tx, id).await?.state.is_live();
            for mut request in requests::of_assignment(self.tx, id).await? {
                // One that has come to rest by this was told of it when it was under way.
                let has_rested = rested.contains(&request.id) && is_short(&request);
                if !has_rested || !is_live || request.request_type.wish() != Wish::Add {
                    continue;
                }
                let open = requests::open_of(self.tx, request.subject, request.package).await?;
                if is_moved && open.is_none() {
                    self.transition(&mut request, Event::Resolve, Some(why.to_owned())).await?;
                    self.roll_up_into(id, Some(&mut request)).await?;
                } else {
                    self.note(&request, kind, why.to_owned()).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes back what a withdrawn request had delivered.
    async fn withdraw(&mut self, request: &mut Request) -> Result<()> {
        match request.assignment {
            Some(id) => {
                self.end(id).await?;
                self.roll_up_into(id, Some(request)).await
            }
            None => self.transition(request, Event::Withdrawn, None).await.map(drop),
        }
    }

    /// Observes and re-applies every role of a delivered assignment.
    pub(crate) async fn verify_assignment(&mut self, id: AssignmentId) -> Result<()> {
        let mut assignment = assignments::lock(self.tx, id).await?;
        let before = assignment.state;
        let by_itself = !self.has_request_to_reprocess(id).await?;
        let event = if before.is_settled_short() && by_itself {
            assignment::Event::Open
        } else {
            assignment::Event::Reprocess
        };
        assignment.state = assignment::step(before, event, self.now)?;
        if assignment.state == before {
            // It is under way, but what was given up is not.
            return if by_itself { self.reopen_failed(id).await } else { Ok(()) };
        }
        let mut edges = self.sync_roles(&mut assignment).await?;
        assignments::save(self.tx, &mut assignment).await?;
        for edge in edges.iter_mut().filter(|edge| edge.is_live) {
            let verified = delivery::verify(edge.row.delivery, self.now);
            self.change(edge.row.clone(), verified, Some(id)).await?;
            edge.row.delivery = verified;
        }
        self.roll_up_with(assignment, &edges, None).await
    }

    async fn reopen_failed(&mut self, id: AssignmentId) -> Result<()> {
        for edge in deliveries::of_assignment(self.tx, id).await? {
            if edge.is_live && edge.row.delivery.part() == Part::Failed {
                self.reopen(edge.row, Some(id)).await?;
            }
        }
        self.roll_up(id).await
    }

    /// Whether the request that made an assignment is the way to repair it: it is not, once it was
    /// delivered and a role failed afterwards.
    async fn has_request_to_reprocess(&mut self, id: AssignmentId) -> Result<bool> {
        let made = requests::of_assignment(self.tx, id).await?;
        Ok(made.iter().any(|request| {
            request.request_type.wish() == Wish::Add
                && (request.state.is_open() || request.state.is_reprocessable())
        }))
    }

    /// Gives and takes what changed of a live assignment's package.
    pub(crate) async fn catch_up(&mut self, mut assignment: Assignment) -> Result<()> {
        let edges = self.sync_roles(&mut assignment).await?;
        assignments::save(self.tx, &mut assignment).await?;
        self.roll_up_with(assignment, &edges, None).await
    }

    /// A subject was deleted or disabled: their open requests end and their access is taken.
    pub(crate) async fn subject_left(&mut self, subject: SubjectId) -> Result<()> {
        people::lock(self.tx, subject).await?;
        let why = "the person was disabled or deleted";
        for mut request in requests::open_of_subject(self.tx, subject).await? {
            match request.state {
                State::Submitted | State::PendingApproval | State::Scheduled { .. } => {
                    self.advance(&mut request, Event::Cancel, Some(why.to_owned())).await?;
                }
                State::Delivering { .. } if request.request_type.wish() == Wish::Add => {
                    self.advance(&mut request, Event::Overtake, Some(why.to_owned())).await?;
                }
                _ => {}
            }
        }
        for assignment in assignments::live_of_subject(self.tx, subject).await? {
            self.remove_by_system(&assignment, why).await?;
        }
        Ok(())
    }

    /// Takes an assignment away by a request of the server's own.
    pub(crate) async fn remove_by_system(
        &mut self,
        assignment: &Assignment,
        why: &str,
    ) -> Result<()> {
        let open = requests::open_of(self.tx, assignment.subject, assignment.package).await?;
        if let Some(mut open) = open {
            // The request that gives it is still under way: it is overtaken by its end.
            if open.assignment == Some(assignment.id) && open.request_type.wish() == Wish::Add {
                self.advance(&mut open, Event::Overtake, Some(why.to_owned())).await?;
                return Ok(());
            }
            // Somebody asked for it anew before it ended: that request stands and this one ends.
            self.end(assignment.id).await?;
            return self.roll_up(assignment.id).await;
        }
        let mut request = Request {
            id: self.app.mint(self.now),
            request_type: request::Type::SystemRemove,
            subject: assignment.subject,
            requestor: assignment.subject,
            package: assignment.package,
            policy: assignment.policy,
            assignment: Some(assignment.id),
            state: State::Submitted,
            begins: None,
            end: None,
            schedule: accede_domain::schedule::Schedule::default(),
            terms: accede_domain::policy::Terms::default(),
            justification: None,
            answers: "[]".to_owned(),
            block: None,
            created_at: self.now,
            version: 1,
        };
        let moved = self.admit(&mut request, Event::Accept { start: None }).await?;
        self.note(&request, "submitted", why.to_owned()).await?;
        self.go_on(&mut request, moved).await
    }

    /// Ends a request that is still delivering, because its assignment is removed by another request:
    /// that one takes back what was given, and is over when all of it is confirmed gone.
    pub(crate) async fn hand_over(&mut self, request: &mut Request, to: RequestId) -> Result<()> {
        let why = format!("its assignment is removed by the request {to}");
        self.transition(request, Event::Overtake, Some(why)).await?;
        if matches!(request.state, State::Canceling { .. }) {
            self.transition(request, Event::Withdrawn, None).await?;
        }
        Ok(())
    }

    /// Brings an assignment and the request under way for it up to where its deliveries stand.
    pub(crate) async fn roll_up(&mut self, id: AssignmentId) -> Result<()> {
        self.roll_up_into(id, None).await
    }

    /// Like [`Deed::roll_up`], where the caller already holds one of the requests.
    async fn roll_up_into(&mut self, id: AssignmentId, held: Option<&mut Request>) -> Result<()> {
        let (assignment, edges) = assignments::lock_with_edges(self.tx, id).await?;
        self.roll_up_with(assignment, &edges, held).await
    }

    /// Like [`Deed::roll_up_into`], for who holds the assignment and knows its deliveries as they are.
    async fn roll_up_with(
        &mut self,
        mut assignment: Assignment,
        edges: &[Edge],
        mut held: Option<&mut Request>,
    ) -> Result<()> {
        let before = assignment.state;
        let outcome = if assignment.state.is_live() {
            let live = edges.iter().filter(|edge| edge.is_live);
            let outcome = rollup::roll_up(live.map(|edge| edge.row.delivery.part()));
            settle_assignment(&mut assignment, outcome, self.now)?;
            outcome
        } else {
            // What others still need is not ours to take away.
            let parts = edges.iter().map(|edge| match &edge.row.delivery {
                delivery if delivery.wanted => Part::Done,
                delivery => delivery.part(),
            });
            let gone = rollup::roll_up(parts).is_some();
            if gone && !matches!(assignment.state, assignment::State::Expired { .. }) {
                assignment.state =
                    assignment::step(assignment.state, assignment::Event::Ended, self.now)?;
            }
            gone.then_some(Outcome::All)
        };
        if before != assignment.state {
            assignments::save(self.tx, &mut assignment).await?;
            point(Point::RollUpAssignment);
        }
        let Some(outcome) = outcome else { return Ok(()) };
        for mut request in requests::under_way(self.tx, assignment.id).await? {
            let request = match &mut held {
                Some(held) if held.id == request.id => &mut **held,
                _ => &mut request,
            };
            let event = match (request.state, request.request_type.wish()) {
                (State::Canceling { .. }, _) => Event::Withdrawn,
                // An ended assignment says nothing about a request that still wants to give it.
                (_, Wish::Add) if !assignment.state.is_live() => continue,
                (_, Wish::Remove) if assignment.state.is_live() => continue,
                _ => Event::Settle(outcome),
            };
            let why = summary(edges);
            self.transition(request, event, Some(why)).await?;
            point(Point::RollUpRequest);
        }
        Ok(())
    }
}

/// Whether a request rests without all that was asked for.
const fn is_short(request: &Request) -> bool {
    matches!(request.state, State::PartiallyDelivered { .. } | State::DeliveryFailed { .. })
}

/// Brings a live assignment to where its deliveries stand: open, or settled with an outcome.
fn settle_assignment(
    assignment: &mut Assignment,
    outcome: Option<Outcome>,
    now: Timestamp,
) -> Result<()> {
    use assignment::{Event, State, step};
    let there = match outcome {
        None => State::Delivering,
        Some(Outcome::All) => State::Delivered,
        Some(Outcome::Some) => State::PartiallyDelivered,
        Some(Outcome::None) => State::DeliveryFailed,
    };
    if assignment.state == there {
        return Ok(());
    }
    if assignment.state != State::Delivering {
        assignment.state = step(assignment.state, Event::Open, now)?;
    }
    if let Some(outcome) = outcome {
        assignment.state = step(assignment.state, Event::Settle(outcome), now)?;
    }
    Ok(())
}

fn is_for(key: &Key, role: &RoleScope) -> bool {
    key.target == role.target_id
        && key.resource == role.resource_origin_id
        && key.role == role.role_origin_id
        && key.scope == role.scope_origin_id
}
