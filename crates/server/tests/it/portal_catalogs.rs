//! Catalogs in the portal, as a browser without scripts meets them.

use crate::portal::Reader;
use crate::world::{EM, World};

#[tokio::test]
async fn a_catalog_is_deleted_after_a_question_and_not_while_packages_are_in_it() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let package = ada.package(&catalog, "Campaign").await;
    let olga = Reader::new(&world, "olga", &["Catalog owner:Marketing"]).await;
    let cora = Reader::new(&world, "cora", &["Catalog reader:Marketing"]).await;
    let page = format!("/governance/catalogs/{catalog}");
    let delete = format!("{page}/delete");

    cora.get(&page).await.hides(&["/delete\""]);
    cora.get(&delete).await.answers(403, &["You may not do this"]);
    olga.get(&page).await.answers(200, &[&delete]);
    let why = ["Delete Marketing?", "while it holds access packages: 1 access package"];
    olga.get(&delete).await.answers(200, &why);
    olga.post(&delete, &[]).await.answers(409, &["it holds access packages: Campaign"]);
    ada.delete(&format!("{EM}/accessPackages/{package}")).await.expect(204);
    olga.get(&delete).await.hides(&["It cannot be deleted"]);
    olga.get(&page).await.answers(200, &["Marketing"]);
    assert_eq!(olga.post(&delete, &[]).await.leads(), "/governance/catalogs?done=deleted");
    olga.get(&page).await.answers(404, &["Not found"]);
}

#[tokio::test]
async fn a_catalog_is_opened_to_external_users() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let olga = Reader::new(&world, "olga", &["Catalog owner:Marketing"]).await;
    let page = format!("/governance/catalogs/{catalog}");
    let edit = format!("{page}/edit");
    let external = async || {
        let read = ada.get(&format!("{EM}/catalogs/{catalog}")).await.expect(200);
        read["isExternallyVisible"].as_bool().unwrap()
    };

    let form = olga.get(&edit).await;
    form.answers(200, &[&format!("<a href=\"{page}\">Marketing</a>"), "name=\"external\""]);
    let fields = [("displayName", "Marketing"), ("state", "published"), ("external", "yes")];
    olga.post(&edit, &fields).await.leads();
    assert!(external().await);
    olga.get(&page).await.answers(200, &["Enabled for external users"]);
    olga.get(&edit).await.answers(200, &["name=\"external\" value=\"yes\" checked"]);
    let fields = [("displayName", "Marketing"), ("state", "published")];
    olga.post(&edit, &fields).await.leads();
    assert!(!external().await);
}

#[tokio::test]
async fn a_role_is_given_by_name_and_what_was_typed_is_kept() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    world.user("rita").await;
    let gus = Reader::new(&world, "gus", &["Global Administrator"]).await;
    let page = format!("/governance/catalogs/{catalog}");
    let give = format!("{page}/roles/add");
    let form = gus.get(&page).await;
    let rest = form.html.split("<select id=\"role\"").nth(1).unwrap();
    let role = rest.split("<option value=\"").nth(3).unwrap().split('"').next().unwrap();

    let fields = [("who", "nobody@harbourline.example"), ("role", role)];
    let refused = gus.post(&give, &fields).await;
    refused.answers(
        400,
        &[
            "id=\"who-error\"",
            "value=\"nobody@harbourline.example\"",
            &format!("value=\"{role}\" selected"),
        ],
    );
    let fields = [("who", "rita@harbourline.example"), ("role", role)];
    let to = gus.post(&give, &fields).await.leads();
    gus.get(&to).await.answers(200, &[" has the role ", "rita"]);
    gus.post(&give, &fields).await.answers(409, &["value=\"rita@harbourline.example\""]);
}

#[tokio::test]
async fn a_target_that_cannot_be_looked_into_is_not_empty() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let wiki = world.target(&ada, "wiki").await;
    wiki.break_down("connect", "nothing answers");
    let gus = Reader::new(&world, "gus", &["Global Administrator"]).await;
    let add = format!("/governance/catalogs/{catalog}/resources/add");
    let form = gus.get(&add).await;
    let mut options = form.html.split("<option value=\"").skip(1);
    let target = options.find(|option| option.contains("wiki")).unwrap();
    let target = target.split('"').next().unwrap();

    let found = gus.get(&format!("{add}?target={target}")).await;
    found.answers(200, &["It could not be looked into."]);
    found.hides(&["Nothing was found there."]);
}

#[tokio::test]
async fn a_package_that_can_be_asked_for_and_gives_nothing_warns_its_manager() {
    let world = World::new().await;
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let wiki = world.target(&ada, "wiki").await;
    drop(wiki);
    ada.resource(&catalog, "wiki", "news").await;
    let package = ada.package(&catalog, "Campaign").await;
    let olga = Reader::new(&world, "olga", &["Catalog owner:Marketing"]).await;
    let page = format!("/governance/packages/{package}");
    let hollow = "whoever gets it gets nothing";

    olga.get(&page).await.hides(&[hollow]);
    ada.open_policy(&package).await;
    for tab in ["", "/roles", "/policies"] {
        olga.get(&format!("{page}{tab}")).await.answers(200, &[hollow, "/roles/add"]);
    }
    ada.role(&catalog, &package, "news").await;
    olga.get(&page).await.hides(&[hollow]);
}
