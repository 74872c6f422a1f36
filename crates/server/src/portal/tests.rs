//! Every page with every sample: a heading, a title, labels, tokens, escaped words of others.
#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use askama::Template;

use super::approvals::{ApprovalPage, ApprovalsPage};
use super::assign::AssignedPage;
use super::assignments::AssignmentsPage;
use super::catalogs::samples_of as catalogs;
use super::confirm::ConfirmPage;
use super::deployment::DeploymentPage;
use super::details::DetailsPage;
use super::drift::{DriftPage, FindingPage};
use super::failures::FailuresPage;
use super::form_page::FormPage;
use super::groups::samples_of as groups;
use super::guards::{GuardPage, GuardsPage};
use super::incompatible::IncompatiblePage;
use super::jobs::{JobPage, JobsPage};
use super::my_access::{MyAccessPage, MyAssignmentPage};
use super::my_packages::{ClosedPage, MyPackagePage, MyPackagesPage};
use super::my_requests::{MyRequestPage, MyRequestsPage};
use super::notices::{NoticePage, NoticesPage};
use super::package_roles::RolesPage;
use super::packages::samples_of as packages;
use super::people::samples_of as people;
use super::pick::PickPage;
use super::plans::PlanPage;
use super::policies::samples_of as policies;
use super::problem::ProblemPage;
use super::requests::RequestsPage;
use super::sign_in::SignInPage;
use super::targets::samples_of as targets;
use super::tasks::{TaskPage, TasksPage};

/// Every page with every sample: a name for it, and its HTML.
pub fn every_page() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    let mut add = |name: &str, samples: Vec<String>| {
        for (n, html) in samples.into_iter().enumerate() {
            pages.push((format!("{name}-{}", n + 1), html));
        }
    };
    add("requests", rendered(&RequestsPage::samples()));
    add("plan", rendered(&PlanPage::samples()));
    add("job", rendered(&JobPage::samples()));
    add("jobs", rendered(&JobsPage::samples()));
    add("details", rendered(&DetailsPage::samples()));
    add("failures", rendered(&FailuresPage::samples()));
    add("deployment", rendered(&DeploymentPage::samples()));
    add("drift", rendered(&DriftPage::samples()));
    add("finding", rendered(&FindingPage::samples()));
    add("guards", rendered(&GuardsPage::samples()));
    add("notices", rendered(&NoticesPage::samples()));
    add("notice", rendered(&NoticePage::samples()));
    add("guard", rendered(&GuardPage::samples()));
    add("packages", rendered(&packages::lists()));
    add("package", rendered(&packages::overviews()));
    add("roles", rendered(&RolesPage::samples()));
    add("incompatible", rendered(&IncompatiblePage::samples()));
    add("pick", rendered(&PickPage::samples()));
    add("policies", rendered(&policies::lists()));
    add("policy", rendered(&policies::pages()));
    add("policy-form", rendered(&policies::forms()));
    add("assignments", rendered(&AssignmentsPage::samples()));
    add("sign-in", rendered(&SignInPage::samples()));
    add("my-packages", rendered(&MyPackagesPage::samples()));
    add("my-package", rendered(&MyPackagePage::samples()));
    add("my-package-closed", rendered(&ClosedPage::samples()));
    add("my-requests", rendered(&MyRequestsPage::samples()));
    add("my-request", rendered(&MyRequestPage::samples()));
    add("my-access", rendered(&MyAccessPage::samples()));
    add("my-assignment", rendered(&MyAssignmentPage::samples()));
    add("approvals", rendered(&ApprovalsPage::samples()));
    add("approval", rendered(&ApprovalPage::samples()));
    add("confirm", rendered(&ConfirmPage::samples()));
    add("catalogs", rendered(&catalogs::lists()));
    add("catalog", rendered(&catalogs::pages()));
    add("catalog-add", rendered(&catalogs::adds()));
    add("form", rendered(&FormPage::samples()));
    add("targets", rendered(&targets::lists()));
    add("target-kinds", rendered(&targets::kinds()));
    add("target", rendered(&targets::pages()));
    add("people", rendered(&people::lists()));
    add("person", rendered(&people::pages()));
    add("groups", rendered(&groups::lists()));
    add("group", rendered(&groups::pages()));
    add("assigned", rendered(&AssignedPage::samples()));
    add("tasks", rendered(&TasksPage::samples()));
    add("task", rendered(&TaskPage::samples()));
    add("problem", rendered(&ProblemPage::samples()));
    pages
}

#[test]
fn no_two_handlers_share_an_address() {
    // Axum panics where two do; so would the server when it starts.
    assert!(super::routes().has_routes());
}

fn rendered<T: Template>(samples: &[T]) -> Vec<String> {
    samples.iter().map(|sample| sample.render().expect("the sample renders")).collect()
}

/// The opening tags of this element.
fn tags<'a>(html: &'a str, element: &str) -> Vec<&'a str> {
    let open = format!("<{element}");
    html.match_indices(&open)
        .map(|(at, _)| &html[at..at + html[at..].find('>').expect("a tag ends")])
        .filter(|tag| tag[open.len()..].chars().next().is_none_or(|c| c.is_whitespace()))
        .collect()
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    Some(&tag[start..start + tag[start..].find('"')?])
}

#[test]
fn every_page_has_one_heading_and_a_title() {
    for (name, html) in every_page() {
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        let title = html.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
        assert!(title.is_some_and(|title| title.len() > " · Accede".len() + 1), "{name}");
        assert!(html.contains("<main id=\"main\""), "{name}");
    }
}

#[test]
fn every_form_that_changes_something_carries_the_token() {
    for (name, html) in every_page() {
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().expect("a form ends");
            let tag = form.split('>').next().expect("a tag ends");
            let posts = tag.contains("method=\"post\"");
            let token = form.contains("name=\"csrf\" value=\"sample-token\"");
            assert_eq!(posts, token, "{name}: {form}");
        }
    }
}

#[test]
fn every_control_has_a_label() {
    for (name, html) in every_page() {
        for element in ["input", "select", "textarea"] {
            for tag in tags(&html, element) {
                if attribute(tag, "type") == Some("hidden") || tag.contains("aria-label") {
                    continue;
                }
                let id = attribute(tag, "id");
                let labelled = id.is_some_and(|id| html.contains(&format!("for=\"{id}\"")));
                let wrapped = html[..html.find(tag).expect("it is there")]
                    .rsplit("<label")
                    .next()
                    .is_some_and(|since| !since.contains("</label>") && html.contains("<label"));
                assert!(labelled || wrapped, "{name}: {tag}");
            }
        }
    }
}

#[test]
fn words_of_others_never_become_markup() {
    for (name, html) in every_page() {
        assert!(!html.contains("<img src=x"), "{name}");
        assert!(!html.contains("onerror=alert(1)>"), "{name}");
        for forbidden in [" style=\"", " onclick=", "<style", "javascript:", "http://", "src=\"//"]
        {
            assert!(!html.contains(forbidden), "{name}: {forbidden}");
        }
        for script in tags(&html, "script") {
            assert_eq!(attribute(script, "src"), Some("/assets/app.js"), "{name}");
        }
    }
}

#[test]
fn no_id_comes_twice() {
    for (name, html) in every_page() {
        let mut seen = std::collections::BTreeSet::new();
        for part in html.split(" id=\"").skip(1) {
            let id = part.split('"').next().expect("an attribute ends");
            assert!(seen.insert(id), "{name}: id `{id}`");
        }
    }
}

/// Writes every page with every sample under `target/portal`, to be looked at in a browser; see
/// `docs/portal.md`.
#[test]
#[ignore = "writes files; run it by name to see the pages"]
fn write_samples() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/portal");
    std::fs::create_dir_all(folder.join("assets")).expect("the folder can be made");
    let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    for file in ["app.css", "app.js", "icons.svg", "logo.svg"] {
        std::fs::copy(assets.join(file), folder.join("assets").join(file)).expect("it is copied");
    }
    for (name, html) in every_page() {
        std::fs::write(folder.join(format!("{name}.html")), html).expect("it is written");
    }
}
