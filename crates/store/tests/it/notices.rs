//! Notices and alarms, on every engine.

use accede_domain::delivery::{Observed, Phase};
use accede_domain::id::NoticeId;
use accede_domain::notice::{Channel, State, Topic};
use accede_domain::permission::Role;
use accede_domain::request;
use accede_store::alarms::{Alarm, Manager};
use accede_store::notices::{self, Notice};
use accede_store::role_assignments::{self, RoleAssignment};
use accede_store::testing::stores;
use accede_store::users::User;
use accede_store::{alarms, deliveries};

use crate::desk::{first, no_scan, set, within};
use crate::shelf::{at, nth};
use crate::users::{add, person};

pub fn notice(n: u128, event: &str, recipient: &str) -> Notice {
    Notice {
        id: nth(n),
        event: event.to_owned(),
        topic: Topic::Failures,
        channel: Channel::Mail,
        recipient: recipient.to_owned(),
        title: "4 requests".to_owned(),
        body: "Hello".to_owned(),
        data: "{}".to_owned(),
        created_at: at(10),
        state: State::Pending,
        epoch: 0,
        attempts: 0,
        next_at: Some(at(10)),
        sent_at: None,
        error: None,
    }
}

#[tokio::test]
async fn a_notice_is_told_once_taken_by_one_and_kept_until_it_went_out() {
    for (engine, store) in stores().await {
        within(&store, async |tx| {
            assert!(notices::insert(tx, &notice(1, "a", "rita@x.example")).await?, "{engine}");
            let again = notices::insert(tx, &notice(2, "a", "rita@x.example")).await?;
            assert!(!again, "{engine}: told twice");
            assert!(notices::insert(tx, &notice(3, "a", "ada@x.example")).await?, "{engine}");
            assert_eq!(
                notices::claim(tx, Channel::Mail, at(9), at(70), 9).await?,
                [],
                "{engine}: early"
            );
            let mut claimed = notices::claim(tx, Channel::Mail, at(10), at(70), 1).await?;
            let one = claimed.pop().unwrap();
            assert_eq!((one.epoch, one.attempts, one.next_at), (1, 1, Some(at(70))), "{engine}");
            let rest = notices::claim(tx, Channel::Mail, at(10), at(70), 9).await?;
            assert_eq!(rest.len(), 1, "{engine}: a claimed one is left alone");
            assert_ne!(rest[0].id, one.id, "{engine}");

            // Its claim ran out and another one took it; what the first says does not count.
            let other = notices::claim(tx, Channel::Mail, at(70), at(130), 9).await?;
            assert_eq!(other.len(), 2, "{engine}");
            let late = Notice { state: State::Sent, next_at: None, sent_at: Some(at(71)), ..one };
            assert!(!notices::settle(tx, &late).await?, "{engine}: a late answer");
            for mut notice in other {
                (notice.state, notice.next_at) = (State::Failed, None);
                notice.error = Some("550 no such user".to_owned());
                assert!(notices::settle(tx, &notice).await?, "{engine}");
                assert_eq!(notices::get(tx, notice.id).await?, Some(notice), "{engine}");
            }
            let counts = notices::counts(tx).await?;
            let expected = [(State::Pending, 0), (State::Sent, 0), (State::Failed, 2)];
            assert_eq!(counts, expected, "{engine}");

            assert!(notices::renew(tx, nth(3), at(200)).await?, "{engine}");
            assert!(!notices::renew(tx, nth(3), at(200)).await?, "{engine}: it is on its way");
            let renewed = notices::get(tx, nth(3)).await?.unwrap();
            assert_eq!(
                (renewed.state, renewed.next_at),
                (State::Pending, Some(at(200))),
                "{engine}"
            );
            assert_eq!(notices::forget(tx, at(500), 9).await?, 1, "{engine}: not what is pending");
            let page = notices::list(tx, first(5), true).await.unwrap();
            let ids: Vec<NoticeId> = page.items.iter().map(|notice| notice.id).collect();
            assert_eq!((ids, page.count), (vec![nth(3)], Some(1)), "{engine}");
            no_scan(tx, "claim", async |tx| {
                notices::claim(tx, Channel::Mail, at(9), at(9), 9).await
            })
            .await?;
            no_scan(tx, "forget", async |tx| notices::forget(tx, at(1), 9).await).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_stuck_revocation_is_found_until_it_is_told_and_again_when_its_time_comes() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let mut row = desk.delivery(1, desk.uma.subject, "fin");
            row.delivery.observed = Observed::Present;
            row.delivery.phase = Phase::Due { at: at(10) };
            row.delivery.since = at(10);
            deliveries::lock_or_insert(tx, &row).await?;
            let mut wanted = desk.delivery(2, desk.uma.subject, "ops");
            wanted.delivery.wanted = true;
            wanted.delivery.phase = Phase::Due { at: at(10) };
            wanted.delivery.since = at(10);
            deliveries::lock_or_insert(tx, &wanted).await?;

            assert_eq!(alarms::stuck(tx, at(9), at(99), 9).await?, [], "{engine}: not yet");
            let due = alarms::stuck(tx, at(10), at(99), 9).await?;
            assert_eq!(due.len(), 1, "{engine}: only what is to be taken");
            let found = &due[0];
            assert_eq!((found.since, found.is_known), (at(10), false), "{engine}");
            assert_eq!(found.about.person.as_deref(), Some(desk.uma.display_name.as_str()));
            assert_eq!(alarms::count_stuck(tx, at(10)).await?, 1, "{engine}");

            let topic = Topic::RevocationsStuck;
            let object = found.about.delivery.0;
            let alarm = |since, next| Alarm { object, since, detail: String::new(), next };
            alarms::keep(tx, topic, &alarm(at(10), at(200))).await?;
            assert_eq!(alarms::stuck(tx, at(10), at(199), 9).await?, [], "{engine}: it was told");
            let again = alarms::stuck(tx, at(10), at(200), 9).await?;
            assert!(again[0].is_known, "{engine}");
            assert_eq!(alarms::drop_done(tx).await?, 0, "{engine}");
            assert_eq!(alarms::standing(tx, topic, 9).await?.len(), 1, "{engine}");

            // It was done, and is to be taken once more later: that is another alarm.
            let epoch = row.delivery.epoch;
            row.delivery.since = at(150);
            deliveries::save(tx, &row, epoch).await?;
            let other = alarms::stuck(tx, at(150), at(199), 9).await?;
            assert!(!other[0].is_known, "{engine}: of the time before");
            assert_eq!(alarms::drop_done(tx).await?, 1, "{engine}");
            no_scan(tx, "drop_done", async |tx| alarms::drop_done(tx).await).await?;
            alarms::keep(tx, topic, &alarm(at(150), at(300))).await?;
            assert!(alarms::drop(tx, topic, object).await?, "{engine}");
            assert!(!alarms::drop(tx, topic, object).await?, "{engine}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_came_to_rest_is_counted_for_those_who_manage_it() {
    for (engine, store) in stores().await {
        let desk = set(&store).await;
        within(&store, async |tx| {
            let resting =
                request::State::DeliveryFailed { first_completed: at(5), completed: at(20) };
            desk.ask(tx, 1, resting).await?;
            let catalog = desk.shelf.catalog;
            assert_eq!(alarms::came_to_rest(tx, at(19), at(20)).await?, [(catalog, 1)], "{engine}");
            assert_eq!(
                alarms::came_to_rest(tx, at(20), at(30)).await?,
                [],
                "{engine}: told before"
            );

            assert_eq!(alarms::managers(tx, &[catalog], 9).await?, [], "{engine}");
            let told = User { mail: Some("olga@x.example".to_owned()), ..person(104) };
            add(tx, std::slice::from_ref(&told)).await?;
            let owner = |n, principal, role: Role| RoleAssignment {
                id: nth(n),
                principal,
                role: role.definition(),
                catalog: Some(catalog),
                created_at: at(1),
            };
            let rows = [
                owner(1, told.id.0, Role::AssignmentManager),
                owner(2, told.id.0, Role::CatalogOwner),
                owner(3, desk.boss.id.0, Role::CatalogOwner),
            ];
            for row in &rows {
                role_assignments::insert(tx, row).await?;
            }
            let managers = alarms::managers(tx, &[catalog], 9).await?;
            let expected = Manager { user: told.id, mail: "olga@x.example".to_owned() };
            assert_eq!(managers, [expected], "{engine}: once, and nobody without an address");
            assert_eq!(alarms::managers(tx, &[], 9).await?, [], "{engine}");
            no_scan(tx, "came_to_rest", async |tx| alarms::came_to_rest(tx, at(1), at(2)).await)
                .await
        })
        .await;
    }
}
