//! Access packages in the portal, as a browser without scripts meets them.

use crate::portal::Reader;
use crate::world::{Door, EM, OURS, World};

/// The value of the hidden field of that name, in the first form that has one.
#[track_caller]
fn hidden<'a>(text: &'a str, name: &str) -> &'a str {
    let marked = format!("name=\"{name}\" value=\"");
    let rest = text.split(&marked).nth(1).unwrap();
    rest.split('"').next().unwrap()
}

/// A catalog with a group in it, and a door of its administrator.
async fn stocked(world: &World) -> (Door<'_>, String) {
    let ada = world.administrator().await;
    let catalog = ada.catalog("Marketing").await;
    let wiki = world.group("Wiki", &[], &[]).await;
    ada.resource(&catalog, "AadGroup", &wiki.to_string()).await;
    (ada, catalog)
}

#[tokio::test]
async fn a_package_is_made_changed_and_deleted() {
    let world = World::new().await;
    let (ada, catalog) = stocked(&world).await;
    ada.catalog("Elsewhere").await;
    let olga = Reader::new(&world, "olga", &["Catalog owner:Marketing"]).await;
    let new = "/governance/packages/new";

    olga.get("/governance/packages").await.answers(200, &["New access package"]);
    let marketing = format!("/governance/catalogs/{catalog}");
    olga.get(&marketing).await.answers(200, &[&format!("{new}?catalog={catalog}")]);
    let form = olga.get(new).await;
    form.answers(200, &["Marketing</option>"]);
    assert!(!form.html.contains("Elsewhere"), "she may make none there");

    let blank = [("displayName", " "), ("description", "For <spring>"), ("catalog", &catalog)];
    let kept = ["Cannot be blank.", "For &#60;spring&#62;"];
    olga.post(new, &blank).await.answers(400, &kept);
    let nowhere = [("displayName", "Campaign"), ("catalog", "")];
    olga.post(new, &nowhere).await.answers(400, &["Choose the catalog", "value=\"Campaign\""]);

    let named = [("displayName", "Campaign"), ("catalog", &catalog), ("isHidden", "yes")];
    let made = olga.post(new, &named).await;
    let package = made.leads().split('?').next().unwrap().to_owned();
    olga.post(new, &named).await.answers(400, &["has an access package named Campaign already"]);
    let id = package.rsplit('/').next().unwrap().to_owned();
    let link = format!("http://accede.test/my/packages/{id}");
    let next = "Next: add the resource roles";
    olga.get(&made.leads()).await.answers(200, &["Campaign", &link, "only by its link", next]);

    let edit = format!("{package}/edit");
    let form = olga.get(&edit).await;
    let version = hidden(&form.html, "version").to_owned();
    let path = format!("{EM}/accessPackages/{id}");
    ada.patch(&path, serde_json::json!({ "displayName": "Autumn" })).await.expect(204);
    let typed = [("displayName", "Spring"), ("version", version.as_str())];
    let stale = olga.post(&edit, &typed).await;
    stale.answers(400, &["Somebody else changed it", "called Autumn", "value=\"Spring\""]);
    let version = hidden(&stale.html, "version").to_owned();
    let typed = [("displayName", "Spring"), ("version", version.as_str())];
    assert_eq!(olga.post(&edit, &typed).await.leads(), format!("{package}?done=saved"));
    olga.get(&package).await.answers(200, &["<h1>Spring</h1>", "find it under Available"]);

    let delete = format!("{package}/delete");
    olga.get(&delete).await.answers(200, &["Delete Spring?", "Delete the access package"]);
    olga.get(&package).await.answers(200, &["Spring"]);
    assert_eq!(olga.post(&delete, &[]).await.leads(), "/governance/packages?done=deleted");
    olga.get(&package).await.answers(404, &["Not found"]);
}

#[tokio::test]
async fn a_package_that_somebody_has_says_why_it_stays() {
    let world = World::new().await;
    let (ada, catalog) = stocked(&world).await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.open_policy(&package).await;
    world.user("uma").await;
    let uma = world.person("uma", &[]).await;
    let body = serde_json::json!({
        "requestType": "userAdd", "assignment": { "accessPackageId": package },
    });
    uma.post(&format!("{EM}/assignmentRequests"), body).await.expect(201);
    world.work().await;
    let olga = Reader::new(&world, "olga", &["Catalog owner:Marketing"]).await;

    let delete = format!("/governance/packages/{package}/delete");
    olga.get(&delete).await.answers(200, &["while people have it: 1 assignment"]);
    let why = ["cannot be deleted while assignments have not expired: 1", "remove them first"];
    olga.post(&delete, &[]).await.answers(409, &why);
    let add = format!("/governance/packages/{package}/roles/add");
    olga.get(&add).await.answers(200, &["gets the role soon after: 1 assignment"]);

    let wiki = world.group("Sites", &[], &[]).await.to_string();
    ada.resource(&catalog, "AadGroup", &wiki).await;
    ada.role(&catalog, &package, &wiki).await;
    let on_its_way = "roles changed, and 0 of 1 assignment have the change already";
    for page in ["", "/roles"] {
        let page = format!("/governance/packages/{package}{page}");
        olga.get(&page).await.answers(200, &[on_its_way]);
    }
    world.work().await;
    let roles = format!("/governance/packages/{package}/roles?done=added");
    assert!(!olga.get(&roles).await.html.contains("roles changed"));
}

#[tokio::test]
async fn roles_are_added_once_and_removed_after_a_question() {
    let world = World::new().await;
    let (ada, catalog) = stocked(&world).await;
    let package = ada.package(&catalog, "Campaign").await;
    let olga = Reader::new(&world, "olga", &["Catalog owner:Marketing"]).await;
    let roles = format!("/governance/packages/{package}/roles");
    let add = format!("{roles}/add");

    olga.get(&roles).await.answers(200, &["gives nothing yet", &add]);
    let found = olga.get(&format!("{add}?search=WIK")).await;
    found.answers(
        200,
        &["Add Member of Wiki", "Add Owner of Wiki", "Nobody has the access package"],
    );
    olga.get(&format!("{add}?search=nothing")).await.answers(200, &["no resource of such a name"]);
    let chosen = found.html.split("Add Member of Wiki").next().unwrap();
    let form = chosen.rsplit("<form").next().unwrap();
    let (role, scope) = (hidden(form, "role").to_owned(), hidden(form, "scope").to_owned());
    let fields = [("role", role.as_str()), ("scope", scope.as_str()), ("search", "wik")];
    assert_eq!(olga.post(&add, &fields).await.leads(), format!("{roles}?done=added"));
    let twice = olga.post(&add, &fields).await;
    twice.answers(409, &["gives the role Member already", "value=\"wik\"", "Add Owner of Wiki"]);
    assert!(!twice.html.contains("Add Member of Wiki"), "it is in the package");

    let remove = format!("{roles}/{role}/{scope}/remove");
    olga.get(&roles).await.answers(200, &[&remove, "Member"]);
    olga.get(&remove).await.answers(200, &["Remove Member of Wiki?", "nobody loses the role"]);
    olga.get(&roles).await.answers(200, &["Member"]);
    assert_eq!(olga.post(&remove, &[]).await.leads(), format!("{roles}?done=removed"));
    olga.get(&roles).await.answers(200, &["gives nothing yet"]);
    olga.post(&remove, &[]).await.answers(404, &["Not found"]);
    olga.get(&remove).await.answers(404, &["Not found"]);
}

#[tokio::test]
async fn incompatible_packages_and_groups_are_listed_and_taken_off() {
    let world = World::new().await;
    let (ada, catalog) = stocked(&world).await;
    let pays = ada.package(&catalog, "Pays invoices").await;
    let approves = ada.package(&catalog, "Approves invoices").await;
    let auditors = world.group("Auditors", &[], &[]).await.to_string();
    let olga = Reader::new(&world, "olga", &["Catalog owner:Marketing"]).await;
    let tab = format!("/governance/packages/{pays}/incompatible");
    let (add, groups) = (format!("{tab}/packages/add"), format!("{tab}/groups/add"));

    olga.get(&tab).await.answers(200, &["No access package is incompatible", &add, &groups]);
    let found = olga.get(&add).await;
    found.answers(200, &["Add Approves invoices"]);
    assert!(!found.html.contains("Add Pays invoices"), "not with itself");
    let own = olga.post(&add, &[("other", &pays)]).await;
    own.answers(400, &["cannot be incompatible with itself"]);
    let fields = [("other", approves.as_str())];
    assert_eq!(olga.post(&add, &fields).await.leads(), format!("{tab}?done=added"));
    olga.post(&add, &fields).await.answers(409, &["is listed already"]);
    olga.get(&groups).await.answers(200, &["Add Auditors"]);
    let group = [("group", auditors.as_str())];
    assert_eq!(olga.post(&groups, &group).await.leads(), format!("{tab}?done=added"));
    olga.post(&groups, &group).await.answers(409, &["is listed already"]);

    let remove = format!("{tab}/packages/{approves}/remove");
    olga.get(&tab).await.answers(200, &["Approves invoices", "Auditors", &remove]);
    let other = format!("/governance/packages/{approves}/incompatible");
    olga.get(&other).await.answers(200, &["Pays invoices", "on the other access package"]);
    olga.get(&remove).await.answers(200, &["can then be had by the same person"]);
    assert_eq!(olga.post(&remove, &[]).await.leads(), format!("{tab}?done=removed"));
    olga.get(&remove).await.answers(404, &["Not found"]);
    let remove = format!("{tab}/groups/{auditors}/remove");
    olga.get(&remove).await.answers(200, &["Members of Auditors can then get"]);
    assert_eq!(olga.post(&remove, &[]).await.leads(), format!("{tab}?done=removed"));
    let left = olga.get(&tab).await;
    left.answers(200, &["No access package is incompatible", "Members of any group may get it"]);
}

#[tokio::test]
async fn who_only_reads_a_package_changes_nothing_of_it() {
    let world = World::new().await;
    let (ada, catalog) = stocked(&world).await;
    let package = ada.package(&catalog, "Campaign").await;
    let above = format!("/governance/packages/{package}");
    let given = ada.role(&catalog, &package, &group_of(&ada, &catalog).await).await;
    let key = crate::world::id(&given).replacen('_', "/", 1);
    let cora = Reader::new(&world, "cora", &["Catalog reader:Marketing"]).await;
    let sam = Reader::new(&world, "sam", &[]).await;

    for tab in ["", "/roles", "/incompatible"] {
        let seen = cora.get(&format!("{above}{tab}")).await;
        seen.answers(200, &["Campaign"]);
        for button in ["/edit\"", "/delete\"", "/add\"", "/remove\""] {
            assert!(!seen.html.contains(button), "{tab} has {button}");
        }
    }
    for page in [
        "edit".to_owned(),
        "delete".to_owned(),
        "roles/add".to_owned(),
        format!("roles/{key}/remove"),
        "incompatible/packages/add".to_owned(),
        "incompatible/groups/add".to_owned(),
    ] {
        let path = format!("{above}/{page}");
        cora.get(&path).await.answers(403, &["You may not do this", "access package manager"]);
        let fields = [
            ("displayName", "Mine"),
            ("role", key.split('/').next().unwrap()),
            ("scope", key.split('/').next_back().unwrap()),
            ("other", package.as_str()),
            ("group", package.as_str()),
        ];
        cora.post(&path, &fields).await.answers(403, &["You may not do this"]);
        sam.get(&path).await.answers(404, &["Not found"]);
        sam.post(&path, &fields).await.answers(404, &["Not found"]);
    }
    cora.get("/governance/packages/new").await.answers(403, &["You may not do this"]);
    let fields = [("displayName", "Mine"), ("catalog", catalog.as_str())];
    cora.post("/governance/packages/new", &fields).await.answers(403, &["You may not do this"]);
    let list = cora.get("/governance/packages").await;
    assert!(!list.html.contains("New access package"));
}

/// The id in its target of the catalog's only resource.
async fn group_of(ada: &Door<'_>, catalog: &str) -> String {
    let found = ada.get(&format!("{EM}/catalogs/{catalog}/resources")).await.expect(200);
    found["value"][0]["originId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_link_of_a_package_says_that_no_policy_admits_the_reader() {
    let world = World::new().await;
    let (ada, catalog) = stocked(&world).await;
    let package = ada.package(&catalog, "Campaign").await;
    let link = format!("/my/packages/{package}");
    let sam = Reader::new(&world, "sam", &[]).await;

    sam.get(&link).await.answers(200, &["Campaign", "It has no policy yet"]);
    let staff = world.group("Secret staff", &[], &[]).await;
    let body = serde_json::json!({
        "displayName": "Staff",
        "allowedTargetScope": "specificDirectoryUsers",
        "specificAllowedTargets": [
            { "@odata.type": "#microsoft.graph.groupMembers", "groupId": staff.to_string() },
        ],
        "requestorSettings": { "enableTargetsToSelfAddAccess": true },
        "accessPackage": { "id": package },
    });
    let policies = format!("{EM}/assignmentPolicies");
    ada.post(&policies, body).await.expect(201);
    let body = serde_json::json!({
        "displayName": "By hand",
        "allowedTargetScope": "notSpecified",
        "accessPackage": { "id": package },
    });
    ada.post(&policies, body).await.expect(201);
    let seen = sam.get(&link).await;
    let why = ["No policy of this access package admits you", "none of them", "administrators"];
    seen.answers(200, &why);
    assert!(!seen.html.contains("Secret staff"), "whom it names is not told");
    assert_eq!(sam.post(&format!("{link}/request"), &[]).await.leads(), link);

    sam.get("/my/packages/00000000-0000-4000-8000-000000000000").await.answers(404, &["Not found"]);
    let path = format!("{EM}/catalogs/{catalog}");
    ada.patch(&path, serde_json::json!({ "state": "unpublished" })).await.expect(204);
    sam.get(&link).await.answers(404, &["Not found"]);
    ada.patch(&path, serde_json::json!({ "state": "published" })).await.expect(204);
    ada.open_policy(&package).await;
    sam.get(&link).await.answers(200, &["Send the request"]);
}

#[tokio::test]
async fn a_resource_is_removed_and_a_target_paused_after_a_question() {
    let world = World::new().await;
    let (ada, catalog) = stocked(&world).await;
    let package = ada.package(&catalog, "Campaign").await;
    ada.role(&catalog, &package, &group_of(&ada, &catalog).await).await;
    world.target(&ada, "crm").await;
    let gus = Reader::new(&world, "gus", &["Global Administrator"]).await;
    let above = format!("/governance/catalogs/{catalog}");
    let path = format!("{EM}/catalogs/{catalog}/resources");
    let resource = crate::world::id(&ada.get(&path).await.expect(200)["value"][0]);

    let remove = format!("{above}/resources/{resource}/remove");
    gus.get(&above).await.answers(200, &[&remove]);
    gus.get(&remove).await.answers(200, &["Remove Wiki?"]);
    gus.post(&remove, &[]).await.answers(409, &["access packages use it: Campaign"]);
    gus.get(&above).await.answers(200, &["Wiki"]);

    let targets = ada.get(&format!("{OURS}/targets")).await.expect(200);
    let crm = targets["value"].as_array().unwrap().iter().find(|one| one["name"] == "crm");
    let target = format!("/governance/targets/{}", crate::world::id(crm.unwrap()));
    let pause = format!("{target}/pause");
    gus.get(&target).await.answers(200, &[&pause]);
    gus.get(&pause).await.answers(200, &["Pause crm?", "removals of access included"]);
    gus.get(&target).await.answers(200, &[&pause]);
    assert_eq!(gus.post(&pause, &[]).await.leads(), format!("{target}?done=paused"));
    gus.get(&target).await.answers(200, &["Resume"]);
}

#[tokio::test]
async fn connecting_a_target_begins_with_its_kind() {
    let world = World::new().await;
    let gus = Reader::new(&world, "gus", &["Global Administrator"]).await;
    let new = "/governance/targets/new";

    let kinds = gus.get(new).await;
    kinds.answers(200, &["new?kind=scim", "new?kind=ldap", "LDAP directory"]);
    assert!(!kinds.html.contains("no such kind"));
    gus.get(&format!("{new}?kind=fax")).await.answers(200, &["no such kind", "new?kind=scim"]);
    gus.get(&format!("{new}?kind=scim")).await.answers(200, &["Connect: SCIM 2.0"]);
    let postgres = gus.get(&format!("{new}?kind=postgres")).await;
    postgres.answers(200, &["Connect: PostgreSQL", "Login of a person", "One a line, or with"]);
    let open = gus.post(new, &[("kind", "ldap"), ("name", "crew")]).await;
    open.answers(400, &["Where groups are (DN)", "As by default", "id=\"settings.url-error\""]);
    open.says(&["id=\"settings.groupsBase-error\"", "id=\"secrets.bindPassword-error\""]);
    let test = [("kind", "chaos"), ("name", "lab"), ("settings.resources", "lobby, roof")];
    let made = gus.post(new, &test).await.leads();
    gus.get(&made).await.answers(200, &["lobby", "roof"]);
    let edit = format!("{}/edit", made.split('?').next().unwrap());
    let form = gus.get(&edit).await;
    form.answers(
        200,
        &["Edit lab", "lobby\nroof</textarea>", "Resources that exist", "Calls at once"],
    );
    let version = hidden(&form.html, "version").to_owned();
    form.says(&["<option value=\"timeoutAfter\">timeoutAfter</option>"]);
    let typed = [
        ("displayName", "Lab"),
        ("settings.resources", "cellar"),
        ("settings.concurrency", "3"),
        ("version", &version),
    ];
    let saved = gus.post(&edit, &typed).await.leads();
    let page = gus.get(&saved).await;
    page.answers(
        200,
        &["<h1>Lab</h1>", "cellar", "<dt>Calls at once</dt><dd class=\"code\">3</dd>"],
    );
    page.says(&["<dt>Resources that exist</dt>"]);
    page.hides(&["lobby"]);
    let late = [("displayName", "Attic"), ("version", version.as_str())];
    let stale = gus.post(&edit, &late).await;
    stale.answers(400, &["Somebody else changed it", "value=\"Attic\""]);
    let now = hidden(&stale.html, "version").to_owned();
    let again = [("displayName", "Attic"), ("version", now.as_str())];
    gus.post(&edit, &again).await.leads();
    gus.post(new, &[("kind", "fax")]).await.answers(200, &["no such kind"]);
    let sam = Reader::new(&world, "sam", &[]).await;
    sam.get(new).await.answers(403, &["You may not do this"]);
    sam.get(&edit).await.answers(404, &["Not found"]);
}
