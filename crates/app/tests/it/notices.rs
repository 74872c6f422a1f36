//! Notices: who is told what and when, and what happens when nobody takes it.

use std::sync::{Arc, Mutex};

use accede_app::notices::{NoticeChannel, NoticeState, SentNotice};
use accede_app::settings::Notices;
use accede_app::{Caller, Error, Listing, Settings, egress};
use accede_connectors::hook::Hook;
use accede_connectors::mail::Server;
use accede_connectors::signature::Secret;
use accede_domain::permission::{DirectoryRole, Grants, Role};
use accede_store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Trouble, World, days, hours, minutes};

/// A webhook on this machine that answers with what it is told to, and keeps what it got.
struct Receiver {
    port: u16,
    status: Arc<Mutex<u16>>,
    got: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start() -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (status, got) = (Arc::new(Mutex::new(204)), Arc::<Mutex<Vec<String>>>::default());
        let (answer, heard) = (status.clone(), got.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let count = stream.read(&mut buffer).await.unwrap_or(0);
                    bytes.extend_from_slice(&buffer[..count]);
                    let text = String::from_utf8_lossy(&bytes);
                    let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                        let length = head.lines().find_map(|line| {
                            let (name, value) = line.split_once(':')?;
                            name.eq_ignore_ascii_case("content-length").then(|| value.trim())
                        });
                        length.and_then(|length| length.parse().ok()) == Some(body.len())
                    });
                    if whole || count == 0 {
                        break;
                    }
                }
                heard.lock().unwrap().push(String::from_utf8_lossy(&bytes).into_owned());
                let status = *answer.lock().unwrap();
                let reply = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Receiver { port, status, got }
    }

    fn notices(&self) -> Notices {
        let policy = egress::Policy::parse(&["127.0.0.0/8"], &[]).unwrap();
        let url = format!("http://127.0.0.1:{}/hook", self.port).parse().unwrap();
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        Notices { webhook: Some(Hook::new(url, secret, Arc::new(policy))), ..Notices::default() }
    }
}

/// Mail that nobody takes: the server's port is closed.
pub(crate) fn mailed(to: &[&str]) -> Notices {
    let policy = egress::Policy::parse(&["127.0.0.0/8"], &[]).unwrap();
    let server = Server::parse("smtp://127.0.0.1:1?tls=none", Arc::new(policy)).unwrap();
    Notices {
        mail: Some((server, "accede@x.example".to_owned())),
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        portal: Some("https://accede.example".to_owned()),
        ..Notices::default()
    }
}

pub(crate) async fn world(notices: Notices) -> World {
    let settings = Settings { notices, ..Settings::default() };
    World::with(Store::open_in_memory().unwrap(), 1, settings).await
}

pub(crate) async fn told(world: &World) -> Vec<SentNotice> {
    let page = world.app.list_notices(&world.admin(), &Listing::default()).await.unwrap();
    let mut items = page.items;
    items.reverse();
    items
}

pub(crate) async fn raise(world: &World) -> usize {
    world.app.raise_alarms().await.unwrap()
}

#[tokio::test]
async fn a_removal_that_is_late_is_told_after_an_hour_four_a_day_and_daily_until_it_is_done() {
    let world = world(mailed(&["ops@x.example"])).await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    let assignment = world.assignment(request).await.id;
    hr.trouble("staff", Trouble::permanent("http-422"));
    world.remove(assignment).await.unwrap();
    let mut after = Vec::new();
    for minute in 0..60 * 80 {
        world.pass(minutes(1)).await;
        if 0 < raise(&world).await {
            after.push((minute + 1) / 60);
        }
    }
    assert_eq!(after, [1, 4, 24, 48, 72]);
    let first = &told(&world).await[0];
    assert_eq!(first.title, "1 removal of access is late at HR");
    for part in
        ["uma, Member of staff in HR, since 2026-03-02 09:01 UTC", "https://accede.example/"]
    {
        assert!(first.body.contains(part), "{part} in {}", first.body);
    }

    hr.heal();
    world.pass(days(2)).await;
    assert!(!hr.has(&uma, "staff"));
    assert_eq!(raise(&world).await, 0, "it is done");
    assert_eq!(told(&world).await.len(), 5);
}

#[tokio::test]
async fn targets_out_of_order_are_told_once_and_again_when_they_are_back() {
    let world = world(mailed(&["ops@x.example"])).await;
    let (hr, erp) = (world.target("hr").await, world.target("erp").await);
    let roles = [world.role(hr.id(), "staff").await, world.role(erp.id(), "ledger").await];
    let package = world.package("Both", &[&roles[0], &roles[1]]).await;
    hr.trouble("*", Trouble::target("http-401"));
    erp.trouble("*", Trouble::target("http-401"));
    let uma = world.person("uma").await;
    let request = world.submit(&uma, package).await;
    world.pass(minutes(1)).await;
    assert_eq!(raise(&world).await, 1, "two targets, one notice");
    assert_eq!(world.another_app().raise_alarms().await.unwrap(), 0, "one server tells it");
    world.pass(hours(20)).await;
    assert_eq!(raise(&world).await, 0, "nobody has to be told again");

    hr.heal();
    erp.heal();
    world.pass(hours(2)).await;
    raise(&world).await;
    let titles: Vec<String> = told(&world).await.into_iter().map(|notice| notice.title).collect();
    let expected = ["2 target systems are out of order", "2 target systems answer again"];
    assert_eq!(titles, expected);
    assert_eq!(world.state(request).await, "delivered");
}

#[tokio::test]
async fn what_newly_fails_is_told_by_cause_and_managers_only_of_their_catalogs() {
    let world = world(mailed(&["ops@x.example"])).await;
    let hr = world.target("hr").await;
    let staff = world.role(hr.id(), "staff").await;
    let package = world.package("Staff", &[&staff]).await;
    let (olga, max) = (world.person("olga").await, world.person("max").await);
    for person in [&olga, &max] {
        world.mail(person, &person.name).await;
    }
    world.manages(&olga, Role::AssignmentManager).await;
    world.manages(&max, Role::CatalogReader).await;
    raise(&world).await;
    hr.trouble("staff", Trouble::permanent("http-422"));
    for name in ["ann", "bob", "cem"] {
        let person = world.person(name).await;
        world.submit(&person, package).await;
    }
    world.pass(minutes(50)).await;
    assert_eq!(raise(&world).await, 0, "not more often than the settings say");
    world.pass(minutes(15)).await;
    assert_eq!(raise(&world).await, 2);

    let told = told(&world).await;
    let mut to: Vec<&str> = told.iter().map(|notice| notice.recipient.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, [olga.name.as_str(), "ops@x.example"], "a reader has nothing to do about it");
    assert_eq!(told[0].title, "3 requests were not delivered, 1 cause in all");
    assert!(told[0].body.contains("NEW HR:"), "{}", told[0].body);
    world.pass(hours(1)).await;
    assert_eq!(raise(&world).await, 0, "nothing is new");

    hr.heal();
    let dora = world.person("dora").await;
    let request = world.submit(&dora, package).await;
    world.pass(minutes(5)).await;
    hr.trouble("staff", Trouble::permanent("last-member"));
    world.remove(world.assignment(request).await.id).await.unwrap();
    world.pass(hours(1)).await;
    raise(&world).await;
    let latest = self::told(&world).await.pop().unwrap();
    let title = "1 new cause holds deliveries up, 2 causes in all";
    assert_eq!(latest.title, title, "the other one was told before, though it is of today");
}

#[tokio::test]
async fn a_notice_is_signed_tried_until_it_is_taken_and_given_up_after_three_days() {
    let receiver = Receiver::start().await;
    let world = world(receiver.notices()).await;
    *receiver.status.lock().unwrap() = 503;
    assert_eq!(world.app.test_notices(&world.admin()).await.unwrap(), 1);
    assert_eq!(world.app.send_notices().await.unwrap(), 1);
    assert_eq!(world.app.send_notices().await.unwrap(), 0, "not again at once");
    let pending = &told(&world).await[0];
    assert_eq!(pending.error.as_deref(), Some("the webhook answered 503"));

    world.sleep(minutes(1));
    *receiver.status.lock().unwrap() = 204;
    assert_eq!(world.app.send_notices().await.unwrap(), 1);
    assert_eq!(told(&world).await[0].state, NoticeState::Sent);
    let got = receiver.got.lock().unwrap().clone();
    let id = format!("webhook-id: {}", pending.id);
    assert!(got.iter().all(|call| call.contains(&id)), "{got:?}");
    assert!(got[1].contains("webhook-signature: v1,"), "{got:?}");
    assert!(got[1].contains(r#""type":"test""#), "{got:?}");

    *receiver.status.lock().unwrap() = 500;
    world.app.test_notices(&world.admin()).await.unwrap();
    for _ in 0..24 * 4 {
        world.app.send_notices().await.unwrap();
        world.sleep(hours(1));
    }
    let failed = told(&world).await.pop().unwrap();
    assert_eq!((failed.state, failed.channel), (NoticeState::Failed, NoticeChannel::Webhook));

    let admin = world.admin();
    world.app.send_notice_again(&admin, failed.id).await.unwrap();
    let twice = world.app.send_notice_again(&admin, failed.id).await;
    assert!(matches!(twice, Err(Error::Refused(_))), "{twice:?}");
    *receiver.status.lock().unwrap() = 200;
    world.app.send_notices().await.unwrap();
    assert_eq!(told(&world).await.pop().unwrap().state, NoticeState::Sent);
}

#[tokio::test]
async fn notices_are_read_and_tested_by_those_who_run_the_server() {
    let world = world(Notices::default()).await;
    let reader = |directory: Vec<DirectoryRole>| Caller {
        grants: Grants { directory, ..Grants::default() },
        ..world.rita.caller()
    };
    let nobody = reader(Vec::new());
    let listed = world.app.list_notices(&nobody, &Listing::default()).await;
    assert!(matches!(listed, Err(Error::Forbidden { .. })), "{listed:?}");
    let security = reader(vec![DirectoryRole::SecurityReader]);
    assert!(world.app.list_notices(&security, &Listing::default()).await.is_ok());
    let tested = world.app.test_notices(&security).await;
    assert!(matches!(tested, Err(Error::Forbidden { .. })), "{tested:?}");
    let told = world.app.test_notices(&world.admin()).await.unwrap_err();
    assert!(told.to_string().contains("notices.webhook"), "{told}");
}
