//! The papers name what is there.

use crate::{root, text};

/// `ARCHITECTURE.md` lists invariants with the test that guards each, as `file.rs::test`.
#[test]
fn every_invariant_names_a_test_that_exists() {
    let architecture = text("ARCHITECTURE.md");
    let quoted = architecture.split('`').skip(1).step_by(2);
    let mut guards = 0;
    for guard in quoted.filter(|it| it.contains(".rs::")) {
        let (file, test) = guard.split_once("::").unwrap();
        assert!(text(file).contains(&format!("fn {test}(")), "ARCHITECTURE.md names a test that is not there: {guard}");
        guards += 1;
    }
    assert!(guards >= 10, "ARCHITECTURE.md names {guards} tests");
}

/// Paths in the papers lead somewhere.
#[test]
fn links_and_paths_lead_somewhere() {
    for paper in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "fixtures/SOURCES.md"] {
        let text = text(paper);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = root().join(paper).parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{paper}: {link} leads nowhere");
        }
    }
}

#[test]
fn the_licences_are_there() {
    for (file, words) in
        [("LICENSE-MIT", "Permission is hereby granted"), ("LICENSE-APACHE", "Version 2.0, January 2004")]
    {
        assert!(text(file).contains(words), "{file}");
    }
}
