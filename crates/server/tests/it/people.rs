//! The portal's pages for people, groups and direct assignment, as forms without scripts send them.

use accede_app::Caller;
use accede_app::users::User;

use crate::portal::Reader;
use crate::world::World;

const PEOPLE: &str = "/governance/people";
const GROUPS: &str = "/governance/groups";

async fn user(world: &World, name: &str) -> User {
    world.app.user(&Caller::system(), &format!("{name}@harbourline.example")).await.unwrap()
}

/// A package with a role and a policy under which everybody may ask; its id.
async fn package(world: &World) -> String {
    let ada = world.administrator().await;
    world.target(&ada, "wiki").await.add_resource("writers", "Writers");
    let catalog = ada.catalog("News").await;
    let package = ada.package(&catalog, "Newsroom").await;
    ada.resource(&catalog, "wiki", "writers").await;
    ada.role(&catalog, &package, "writers").await;
    ada.open_policy(&package).await;
    package
}

#[tokio::test]
async fn a_person_is_made_found_changed_blocked_and_deleted() {
    let world = World::new().await;
    let una = Reader::new(&world, "una", &["User Administrator"]).await;
    world.user("max").await;
    una.get(&format!("{PEOPLE}/new")).await.expect(200);
    let password = "a long enough sentence to sign in";
    let typed = [
        ("displayName", "Mira O'Neil"),
        ("userPrincipalName", "mira@harbourline.example"),
        ("department", "Cranes"),
        ("userType", "Guest"),
        ("manager", "MAX@harbourline.example"),
        ("passwordProfile.password", password),
    ];
    let to = una.post(&format!("{PEOPLE}/new"), &typed).await.leads();
    let place = to.split('?').next().unwrap();
    let shown = una.get(&to).await.expect(200);
    shown.says(&["Created.", "Cranes", "Guest", "max</a>", "Enabled"]);
    shown.hides(&[password]);
    world.app.sign_in("mira@harbourline.example", password, "192.0.2.7", None).await.unwrap();

    for text in ["o%27ne", "MIRA%40harbour"] {
        let found = una.get(&format!("{PEOPLE}?text={text}")).await.expect(200);
        found.says(&[place, "1 of 1 shown"]);
    }
    una.get(&format!("{PEOPLE}?text=nobody")).await.expect(200).says(&["Nobody has such a name"]);

    let form = una.get(&format!("{place}/edit")).await.expect(200);
    form.says(&["value=\"Mira O&#39;Neil\"", "value=\"Guest\" checked"]);
    let typed = [
        ("displayName", "Mira Berg"),
        ("userPrincipalName", "mira@harbourline.example"),
        ("department", ""),
        ("userType", "Member"),
    ];
    una.post(&format!("{place}/edit"), &typed).await.leads();
    let mira = user(&world, "mira").await;
    assert_eq!((mira.display_name.as_str(), mira.department), ("Mira Berg", None));

    una.post(&format!("{place}/manager"), &[("manager", "")]).await.leads();
    assert_eq!(user(&world, "mira").await.manager, None);

    una.get(&format!("{place}/block")).await.expect(200).says(&["every assignment"]);
    una.post(&format!("{place}/block"), &[]).await.leads();
    una.get(place).await.says(&["Blocked", "Enable</button>"]);
    una.post(&format!("{place}/enable"), &[]).await.leads();
    assert!(user(&world, "mira").await.account_enabled);

    una.get(&format!("{place}/delete")).await.expect(200).says(&["This cannot be undone"]);
    assert_eq!(
        una.post(&format!("{place}/delete"), &[]).await.leads(),
        "/governance/people?done=deleted"
    );
    una.get(place).await.expect(404);
}

#[tokio::test]
async fn what_is_wrong_with_a_person_is_said_at_its_field_and_nothing_typed_is_lost() {
    let world = World::new().await;
    let una = Reader::new(&world, "una", &["User Administrator"]).await;
    let max = world.user("max").await;
    let form = format!("{PEOPLE}/new");
    for (field, value, said) in [
        ("displayName", "", "Cannot be blank."),
        ("userPrincipalName", "mira", "is not a sign-in name"),
        ("userPrincipalName", "max@harbourline.example", "There is already a user"),
        ("manager", "nobody@harbourline.example", "There is nobody with the sign-in name"),
        ("mail", "x", "is not a mail address"),
        ("userType", "Robot", "is neither Member nor Guest"),
        ("passwordProfile.password", "short", "characters"),
    ] {
        let mut typed = vec![
            ("displayName", "Mira"),
            ("userPrincipalName", "mira@harbourline.example"),
            ("jobTitle", "Crane driver"),
        ];
        typed.retain(|(name, _)| *name != field);
        typed.push((field, value));
        let page = una.post(&form, &typed).await.expect(400);
        page.says(&[&format!("id=\"{field}-error\""), said, "value=\"Crane driver\""]);
        page.hides(&["value=\"short\""]);
    }

    let form = format!("{PEOPLE}/{max}/manager");
    let page = una.post(&form, &[("manager", "max@harbourline.example")]).await;
    page.expect(400).says(&["id=\"manager-error\"", "Nobody can be their own manager"]);
    let typed = [("passwordProfile.password", "one and the other"), ("again", "another")];
    let page = una.post(&format!("{PEOPLE}/{max}/password"), &typed).await.expect(400);
    page.says(&["id=\"again-error\"", "differ"]);
    page.hides(&["one and the other"]);

    let una_id = user(&world, "una").await.id;
    let page = una.post(&format!("{PEOPLE}/{una_id}/delete"), &[]).await.expect(409);
    page.says(&["You cannot delete your own account"]);
    for path in ["not-an-id", "00000000-0000-0000-0000-000000000009"] {
        una.get(&format!("{PEOPLE}/{path}")).await.expect(404);
    }
}

#[tokio::test]
async fn a_set_password_opens_the_portal_and_closes_the_sessions_before() {
    let world = World::new().await;
    let una = Reader::new(&world, "una", &["User Administrator"]).await;
    let max = Reader::new(&world, "max", &[]).await;
    let place = format!("{PEOPLE}/{}", user(&world, "max").await.id);
    max.get("/my/requests").await.expect(200);
    let password = "a long enough sentence to sign in";
    let typed = [("passwordProfile.password", password), ("again", password)];

    una.post(&format!("{place}/password"), &typed).await.leads();

    world.app.sign_in("max@harbourline.example", password, "192.0.2.7", None).await.unwrap();
    assert_eq!(max.get("/my/requests").await.status, 303);
}

#[tokio::test]
async fn readers_see_people_without_buttons_and_others_see_nothing() {
    let world = World::new().await;
    let rio = Reader::new(&world, "rio", &["Global Reader"]).await;
    let max = world.user("max").await;
    let crew = world.group("Crew", &[max], &[]).await;
    let (person, group) = (format!("{PEOPLE}/{max}"), format!("{GROUPS}/{crew}"));
    rio.get("/my/requests")
        .await
        .says(&["href=\"/governance/people\"", "href=\"/governance/groups\""]);
    for page in [PEOPLE, GROUPS, &person, &group] {
        let shown = rio.get(page).await.expect(200);
        shown.hides(&[
            "/new\"",
            "/edit\"",
            "/delete\"",
            "/add\"",
            "/remove\"",
            "Take away</button>",
        ]);
    }
    for page in
        ["new", &format!("{max}/edit"), &format!("{max}/manager"), &format!("{max}/password")]
    {
        rio.get(&format!("{PEOPLE}/{page}")).await.expect(403).says(&["User Administrator"]);
        let typed = [
            ("displayName", "x"),
            ("userPrincipalName", "x@harbourline.example"),
            ("passwordProfile.password", "a long enough sentence"),
            ("again", "a long enough sentence"),
        ];
        rio.post(&format!("{PEOPLE}/{page}"), &typed).await.expect(403);
    }
    for page in ["block", "enable", "delete"] {
        rio.post(&format!("{person}/{page}"), &[]).await.expect(403);
    }
    for page in [format!("{GROUPS}/new"), format!("{group}/edit"), format!("{group}/members/add")] {
        rio.get(&page).await.expect(403);
        let typed = [("displayName", "x"), ("who", "max@harbourline.example")];
        rio.post(&page, &typed).await.expect(403);
    }
    rio.post(&format!("{group}/delete"), &[]).await.expect(403);
    rio.post(&format!("{group}/members/{max}/remove"), &[]).await.expect(403);
    let role = [("role", "Global Administrator")];
    rio.post(&format!("{person}/roles/add"), &role).await.expect(403);

    let sam = Reader::new(&world, "sam", &[]).await;
    sam.get("/my/requests").await.hides(&[PEOPLE, GROUPS]);
    let own = format!("{PEOPLE}/{}", user(&world, "sam").await.id);
    for page in [PEOPLE, GROUPS, &person, &group, &own] {
        sam.get(page).await.expect(403);
    }
    let una = Reader::new(&world, "una", &["User Administrator"]).await;
    let forged = una.post_with(&format!("{person}/block"), "forged", &[]).await.expect(403);
    forged.says(&["This form is out of date"]);
    assert!(user(&world, "max").await.account_enabled);
}

#[tokio::test]
async fn a_group_is_made_filled_changed_and_deleted() {
    let world = World::new().await;
    let una = Reader::new(&world, "una", &["User Administrator"]).await;
    let max = world.user("max").await;
    let typed = [("displayName", "Crane Crew"), ("visibility", "Private")];
    let to = una.post(&format!("{GROUPS}/new"), &typed).await.leads();
    let place = to.split('?').next().unwrap();
    una.get(place).await.says(&["cranecrew", "Private", "It has no owner.", "It has no member."]);
    una.get(&format!("{GROUPS}?text=crane")).await.says(&["1 of 1 shown"]);

    let who = [("who", "max@harbourline.example")];
    for kind in ["members", "owners"] {
        let form = format!("{place}/{kind}/add");
        una.get(&form).await.expect(200);
        una.post(&form, &who).await.leads();
        let page = una.post(&form, &who).await.expect(400);
        page.says(&["id=\"who-error\"", "is already", "value=\"max@harbourline.example\""]);
        let page = una.post(&form, &[("who", "nobody@x.example")]).await.expect(400);
        page.says(&["There is nobody with the sign-in name", "value=\"nobody@x.example\""]);
    }
    una.post(&format!("{place}/guests/add"), &who).await.expect(404);
    una.get(&format!("{PEOPLE}/{max}")).await.says(&["Crane Crew", "Member", "Owner"]);

    let typed = [("displayName", "x"), ("mailNickname", "a b")];
    let page = una.post(&format!("{place}/edit"), &typed).await;
    page.expect(400).says(&["id=\"mailNickname-error\"", "value=\"a b\""]);
    let typed = [("displayName", "Crew"), ("mailNickname", "crew"), ("description", "Drives")];
    una.post(&format!("{place}/edit"), &typed).await.leads();
    una.get(place).await.says(&["<h1>Crew</h1>", "Drives"]);

    for kind in ["members", "owners"] {
        una.post(&format!("{place}/{kind}/{max}/remove"), &[]).await.leads();
        una.post(&format!("{place}/{kind}/{max}/remove"), &[]).await.expect(404);
    }
    una.get(&format!("{place}/delete")).await.expect(200).says(&["Its members stay"]);
    una.post(&format!("{place}/delete"), &[]).await.leads();
    una.get(place).await.expect(404);
}

#[tokio::test]
async fn a_group_that_a_catalog_holds_is_not_deleted_and_told_why() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let una = Reader::new(&world, "una", &["User Administrator"]).await;
    let crew = world.group("Crew", &[], &[]).await;
    let catalog = ada.catalog("News").await;
    ada.resource(&catalog, "AadGroup", &crew.to_string()).await;

    let page = una.post(&format!("{GROUPS}/{crew}/delete"), &[]).await.expect(409);

    page.says(&["News", "remove the resource from them first"]);
    una.get(&format!("{GROUPS}/{crew}")).await.expect(200);
}

#[tokio::test]
async fn roles_are_given_and_taken_by_global_administrators_and_one_stays() {
    let world = World::new().await;
    let ada = Reader::new(&world, "ada", &["Global Administrator"]).await;
    let iga = Reader::new(&world, "iga", &["Identity Governance Administrator"]).await;
    let max = world.user("max").await;
    let place = format!("{PEOPLE}/{max}");
    for role in ["User Administrator", "Catalog creator"] {
        let role = [("role", role)];
        ada.post(&format!("{place}/roles/add"), &role).await.leads();
        let again = ada.post(&format!("{place}/roles/add"), &role).await.expect(409);
        again.says(&["already", "<h1>max</h1>"]);
    }
    let shown = ada.get(&place).await;
    shown.says(&["Take User Administrator away", "Take Catalog creator away"]);
    shown.hides(&["<option value=\"User Administrator\">"]);

    // Governing access is not governing the directory.
    let shown = iga.get(&place).await;
    shown.says(&["Take Catalog creator away"]);
    shown.hides(&["Take User Administrator away", "<option value=\"Global Administrator\">"]);
    let role = [("role", "User Administrator")];
    iga.post(&format!("{place}/roles/remove"), &role).await.expect(403);
    iga.post(&format!("{place}/roles/remove"), &[("role", "Catalog creator")]).await.leads();

    ada.post(&format!("{place}/roles/remove"), &role).await.leads();
    ada.post(&format!("{place}/roles/remove"), &role).await.expect(404);
    ada.post(&format!("{place}/roles/add"), &[("role", "Emperor")]).await.expect(404);
    let last = [("role", "Global Administrator")];
    let own = format!("{PEOPLE}/{}", user(&world, "ada").await.id);
    let page = ada.post(&format!("{own}/roles/remove"), &last).await.expect(409);
    page.says(&["cannot be without a Global Administrator"]);
    ada.post(&format!("{place}/roles/add"), &last).await.leads();
    ada.post(&format!("{own}/roles/remove"), &last).await.leads();
    ada.post(&format!("{own}/roles/add"), &last).await.expect(403);
}

#[tokio::test]
async fn people_are_assigned_directly_once_and_the_access_is_taken_back() {
    let world = World::new().await;
    let package = package(&world).await;
    let assignments = format!("/governance/packages/{package}/assignments");
    let amy = Reader::new(&world, "amy", &["Access package assignment manager:News"]).await;
    for name in ["max", "uma"] {
        world.user(name).await;
    }
    amy.get(&assignments).await.expect(200).says(&["New assignment"]);
    let form = amy.get(&format!("{assignments}/new")).await.expect(200);
    let policy = form.between("name=\"policy\" value=\"", "\"");

    let who = "max@harbourline.example\r\nnobody@harbourline.example\r\nMAX@harbourline.example";
    let typed = [
        ("who", who),
        ("policy", policy.as_str()),
        ("justification", "Cover"),
        ("ending", "never"),
    ];
    let page = amy.post(&format!("{assignments}/new"), &typed).await.expect(200);
    page.says(&[
        "Assigned to 1 person, refused for 1 person",
        "There is nobody with this sign-in name",
    ]);
    let request = page.between("/governance/requests/", "\"");
    amy.get(&format!("/governance/requests/{request}")).await.says(&["Cover"]);

    let typed =
        [("correct", "1"), ("who", "nobody@harbourline.example"), ("justification", "Cover")];
    let page = amy.post(&format!("{assignments}/new"), &typed).await.expect(200);
    page.says(&["nobody@harbourline.example</textarea>", "Cover"]);

    world.work().await;
    let again = [("who", "max@harbourline.example\numa@harbourline.example"), ("policy", &policy)];
    let page = amy.post(&format!("{assignments}/new"), &again).await.expect(200);
    page.says(&["They have this access package already", "refused for 1 person"]);
    let page = amy.post(&format!("{assignments}/new"), &again).await.expect(200);
    page.says(&["Nobody was assigned", "is open"]);
    world.work().await;
    let shown = amy.get(&assignments).await;
    shown.says(&["2 of 2 shown", "without end"]);

    let max = user(&world, "max").await.id;
    let known = amy.get(&format!("{PEOPLE}/{max}")).await.expect(200);
    known.says(&["Newsroom", "Assigned by an administrator", "Delivered"]);

    let held = shown.between(&format!("formaction=\"{assignments}/"), "/reprocess");
    let ask = format!("{assignments}/{held}/remove");
    amy.get(&ask).await.expect(200).says(&["Remove the access of", "Remove this access"]);
    amy.post(&ask, &[]).await.leads();
    world.work().await;
    amy.get(&assignments).await.says(&["Ended"]);
}

#[tokio::test]
async fn what_is_wrong_with_an_assignment_form_is_said_and_nobody_is_assigned() {
    let world = World::new().await;
    let package = package(&world).await;
    let assignments = format!("/governance/packages/{package}/assignments");
    let amy = Reader::new(&world, "amy", &["Access package assignment manager:News"]).await;
    world.user("max").await;
    let form = format!("{assignments}/new");
    let policy = amy.get(&form).await.between("name=\"policy\" value=\"", "\"");
    let max = "max@harbourline.example";
    let long = "x".repeat(5_000);
    for (typed, field) in [
        (vec![("policy", policy.as_str())], "who"),
        (vec![("who", max)], "policy"),
        (vec![("who", max), ("policy", "nonsense")], "policy"),
        (vec![("who", max), ("policy", &policy), ("begins", "tomorrow")], "begins"),
        (vec![("who", max), ("policy", &policy), ("ending", "at")], "ends"),
        (
            vec![("who", max), ("policy", &policy), ("ending", "at"), ("ends", "2020-01-01T00:00")],
            "ends",
        ),
        (vec![("who", max), ("policy", &policy), ("justification", &long)], "justification"),
    ] {
        let page = amy.post(&form, &typed).await.expect(400);
        page.says(&[&format!("id=\"{field}-error\"")]);
        if field != "who" {
            page.says(&["max@harbourline.example</textarea>"]);
        }
    }
    amy.get(&assignments).await.says(&["Nobody has this access package yet"]);
}

#[tokio::test]
async fn a_reader_of_a_catalog_assigns_and_removes_nothing() {
    let world = World::new().await;
    let package = package(&world).await;
    let assignments = format!("/governance/packages/{package}/assignments");
    let amy = Reader::new(&world, "amy", &["Access package assignment manager:News"]).await;
    let cora = Reader::new(&world, "cora", &["Catalog reader:News"]).await;
    let policy =
        amy.get(&format!("{assignments}/new")).await.between("name=\"policy\" value=\"", "\"");
    let typed = [("who", "cora@harbourline.example"), ("policy", policy.as_str())];
    amy.post(&format!("{assignments}/new"), &typed).await.expect(200);
    world.work().await;
    let shown = amy.get(&assignments).await;
    let held = shown.between(&format!("formaction=\"{assignments}/"), "/reprocess");
    let remove = format!("{assignments}/{held}/remove");

    cora.get(&assignments).await.expect(200).hides(&["New assignment", "Remove access"]);
    cora.get(&format!("{assignments}/new")).await.expect(403);
    cora.post(&format!("{assignments}/new"), &typed).await.expect(403);
    cora.get(&remove).await.expect(403);
    cora.post(&remove, &[]).await.expect(403);
    cora.get(PEOPLE).await.expect(200);
}
