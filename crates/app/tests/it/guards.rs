//! Mass guards: what waits for a second person, what never does, and what comes of a decision.

use accede_app::guards::{GuardState, GuardView, Ruling};
use accede_app::user_import::OnBadLine;
use accede_app::{Caller, Error, Result};
use accede_domain::id::PackageId;
use accede_domain::permission::{DirectoryRole, Grants};

use crate::world::{Fake, Given, Somebody, World, code, days, minutes, until};
use std::sync::Arc;

struct Company {
    world: World,
    hr: Arc<Fake>,
    staff: Given,
    wiki: Given,
    package: PackageId,
    people: Vec<Somebody>,
    bo: Caller,
}

/// So many people with a package that gives `staff`; Rita may do everything, and so may Bo.
async fn company(many: usize) -> Company {
    let world = World::new().await;
    let hr = world.target("hr").await;
    let (staff, wiki) = (world.role(hr.id(), "staff").await, world.role(hr.id(), "wiki").await);
    let package = world.package("Staff", &[&staff]).await;
    let mut people = Vec::new();
    for n in 0..many {
        let person = world.person(&format!("p{n}")).await;
        world.submit(&person, package).await;
        people.push(person);
    }
    world.pass(minutes(1)).await;
    let grants =
        Grants { directory: vec![DirectoryRole::GlobalAdministrator], ..Grants::default() };
    let bo = Caller { grants, ..world.person("bo").await.caller() };
    Company { world, hr, staff, wiki, package, people, bo }
}

impl Company {
    fn having(&self, role: &str) -> usize {
        self.people.iter().filter(|person| self.hr.has(person, role)).count()
    }

    async fn guards(&self) -> Vec<GuardView> {
        self.world.app.list_guards(&self.bo).await.unwrap()
    }

    async fn rule(&self, caller: &Caller, released: bool) -> Result<GuardView> {
        let guard = self.guards().await[0].guard.id;
        let ruling = Ruling { expected: None, justification: Some(" it is meant ".to_owned()) };
        match released {
            true => self.world.app.release_guard(caller, guard, &ruling).await,
            false => self.world.app.reject_guard(caller, guard, &ruling).await,
        }
    }

    async fn pass(&self) {
        self.world.pass(minutes(1)).await;
    }
}

#[tokio::test]
async fn a_role_taken_from_many_waits_until_a_second_person_lets_it_go() {
    let company = company(30).await;
    let rita = company.world.admin();
    company.world.remove_role(company.package, &company.staff).await;
    let at_once = company.guards().await;
    company.pass().await;
    assert_eq!(company.having("staff"), 30, "nothing was sent");

    let view = &at_once[0];
    assert_eq!(view.guard.state, GuardState::Held);
    assert_eq!(view.targets[0].0.changes.revocations, 30);
    assert_eq!(view.targets[0].0.live, 30);
    assert_eq!((view.causers.as_slice(), view.may_decide), (&[rita.name.clone()][..], true));
    assert_eq!(view.roles.len(), 1);
    let alone = company.rule(&rita, true).await;
    assert!(matches!(alone, Err(Error::Forbidden { .. })), "{alone:?}");
    assert!(!company.world.app.list_guards(&rita).await.unwrap()[0].may_decide);

    let released = company.rule(&company.bo, true).await.unwrap();
    assert_eq!(released.guard.justification.as_deref(), Some("it is meant"));
    company.pass().await;
    assert_eq!(company.having("staff"), 0);
    let again = company.rule(&company.bo, true).await;
    assert_eq!(code(&again), "HeldChangeDecided");
}

#[tokio::test]
async fn a_rejected_change_gives_the_package_its_role_back_and_takes_nothing() {
    let company = company(30).await;
    company.world.remove_role(company.package, &company.staff).await;
    // Whoever comes meanwhile gets what the package gives now.
    let late = company.world.person("late").await;
    company.world.submit(&late, company.package).await;
    company.pass().await;
    assert!(!company.hr.has(&late, "staff"));

    let rejected = company.rule(&company.bo, false).await.unwrap();
    company.pass().await;
    assert_eq!(rejected.guard.state, GuardState::Rejected);
    assert_eq!(company.having("staff"), 30);
    assert!(company.hr.has(&late, "staff"), "and now it gives the role again");
    let spread = company.world.app.role_spread(&company.bo, company.package).await.unwrap();
    assert_eq!((spread.holders, spread.behind), (31, 0));
}

#[tokio::test]
async fn a_role_given_to_many_waits_and_what_is_put_back_waits_no_longer() {
    let company = company(51).await;
    company.world.add_role(company.package, &company.wiki).await;
    company.pass().await;
    assert_eq!(company.having("wiki"), 0);
    assert_eq!(company.guards().await[0].targets[0].0.changes.grants, 51);

    company.world.remove_role(company.package, &company.wiki).await;
    company.pass().await;
    assert_eq!(company.guards().await[0].guard.state, GuardState::Withdrawn);
    assert_eq!((company.having("wiki"), company.having("staff")), (0, 51));
}

#[tokio::test]
async fn what_is_held_does_not_go_out_by_a_reprocess_either() {
    let company = company(30).await;
    let request = company.world.requests_of(&company.people[0]).await[0].clone();
    company.world.remove_role(company.package, &company.staff).await;
    let assignment = request.assignment.unwrap();
    let outcome = company.world.app.reprocess_assignment(&company.world.admin(), assignment).await;
    company.pass().await;

    assert_eq!(code(&outcome), "ok");
    assert_eq!(company.having("staff"), 30);
}

#[tokio::test]
async fn several_small_changes_within_an_hour_are_one_large_change() {
    let company = company(20).await;
    let other = company.world.package("Writers", &[&company.wiki]).await;
    for person in &company.people {
        company.world.submit(person, other).await;
    }
    company.pass().await;
    company.world.remove_role(company.package, &company.staff).await;
    company.pass().await;
    assert_eq!((company.having("staff"), company.guards().await.len()), (0, 0));

    company.world.remove_role(other, &company.wiki).await;
    company.pass().await;
    assert_eq!((company.having("wiki"), company.guards().await.len()), (20, 1));

    // An hour later the same is small again.
    company.world.add_role(other, &company.wiki).await;
    company.pass().await;
    company.world.pass(minutes(61)).await;
    company.world.remove_role(other, &company.wiki).await;
    company.pass().await;
    assert_eq!(company.having("wiki"), 0);
}

#[tokio::test]
async fn ends_and_removals_that_somebody_decided_about_are_never_held() {
    let company = company(30).await;
    let dated = company.world.package("Dated", &[&company.wiki]).await;
    let end = company.world.now().checked_add(days(2)).unwrap();
    for person in &company.people {
        company.world.try_submit_for(person, dated, until(end)).await.unwrap();
    }
    company.pass().await;
    assert_eq!(company.having("wiki"), 30);
    company.world.pass(days(2)).await;
    company.pass().await;
    assert_eq!(company.having("wiki"), 0);

    for person in &company.people {
        let assignment = company.world.requests_of(person).await[0].assignment.unwrap();
        company.world.remove(assignment).await.unwrap();
    }
    company.pass().await;
    assert_eq!(company.having("staff"), 0);
    assert!(company.guards().await.is_empty());
}

fn csv(people: &[Somebody], enabled: bool) -> Vec<u8> {
    let mut csv = "userPrincipalName,displayName,accountEnabled\n".to_owned();
    for person in people {
        csv.push_str(&format!("{},Somebody,{enabled}\n", person.name));
    }
    csv.into_bytes()
}

#[tokio::test]
async fn an_import_that_disables_many_waits_and_whoever_comes_back_is_spared() {
    let company = company(30).await;
    let (app, rita) = (&company.world.app, company.world.admin());
    let import = async |people: &[Somebody], enabled: bool| {
        let file = csv(people, enabled);
        app.import_users(&rita, &file, OnBadLine::Refuse).await.unwrap()
    };
    let report = import(&company.people, false).await;
    company.pass().await;
    assert_eq!((report.changed, report.held), (30, 30), "their names are changed");
    assert_eq!(company.having("staff"), 30);

    import(&company.people[..1], true).await;
    let leaving = company.guards().await[0].leaving.clone().unwrap();
    assert_eq!((leaving.total, leaving.done), (29, 0));
    company.rule(&company.bo, true).await.unwrap();
    company.pass().await;
    assert_eq!(company.having("staff"), 1);
    assert!(company.hr.has(&company.people[0], "staff"));
    let leaving = company.guards().await[0].leaving.clone().unwrap();
    assert_eq!((leaving.total, leaving.done), (29, 29));

    let report = import(&company.people[..1], false).await;
    assert_eq!(report.held, 0, "one person is no mass");
    company.pass().await;
    assert_eq!(company.having("staff"), 0);
}

#[tokio::test]
async fn who_waits_for_a_second_person_is_not_held_twice_and_others_join_them() {
    let company = company(60).await;
    let (app, rita) = (&company.world.app, company.world.admin());
    let import = async |people: &[Somebody]| {
        let file = csv(people, false);
        app.import_users(&rita, &file, OnBadLine::Refuse).await.unwrap()
    };
    let first = import(&company.people[..26]).await;
    let version = company.guards().await[0].guard.version;
    let again = import(&company.people[..26]).await;
    assert_eq!(company.guards().await[0].guard.version, version, "it is what it was");
    let one_more = import(&company.people[..27]).await;
    company.pass().await;

    assert_eq!((first.held, again.held, one_more.held), (26, 26, 27), "nobody slips through");
    assert_eq!(company.having("staff"), 60);
    assert_eq!((first.guard, again.guard), (again.guard, one_more.guard));

    let many_more = import(&company.people).await;
    let held = company.guards().await;
    assert_eq!((many_more.held, many_more.guard), (60, first.guard));
    assert_eq!((held.len(), held[0].leaving.clone().unwrap().total), (1, 60));
    assert_ne!(held[0].guard.version, version, "whoever decides is told that it is more");
    assert_eq!(held[0].targets[0].0.changes.revocations, 60);
    company.rule(&company.bo, true).await.unwrap();
    company.pass().await;
    assert_eq!(company.having("staff"), 0);
}
