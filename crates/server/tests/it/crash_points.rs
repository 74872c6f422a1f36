//! The named crash points stand in the code where their list says, each once: a point that is nowhere would never be
//! reached, and one at two places would be tried at the first alone.

use std::fs;
use std::path::{Path, PathBuf};

use accede_app::crash::Point;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_crash_point_stands_in_the_code_once() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = Vec::new();
    for room in ["store", "app", "server"] {
        sources(&crates.join(room).join("src"), &mut paths);
    }
    let list = paths.iter().position(|path| path.ends_with("store/src/crash.rs")).unwrap();
    paths.remove(list);
    let code: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();

    for point in Point::ALL {
        let place = format!("point(Point::{point:?})");
        assert_eq!(code.matches(&place).count(), 1, "`{place}` must stand in the code once");
    }
    assert_eq!(code.matches("point(Point::").count(), Point::ALL.len());
}
