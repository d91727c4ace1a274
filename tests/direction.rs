//! The direction rule of docs/architecture.md: a module uses only those below it in the list.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of docs/architecture.md, the topmost first.
fn order() -> Vec<String> {
    let text = fs::read_to_string("docs/architecture.md").expect("the document is there");
    let section = text
        .split("## Modules, and the direction rule")
        .nth(1)
        .expect("the section is there");
    let mut paragraphs = section.trim().split("\n\n");
    let list = paragraphs.nth(1).expect("the list is the second paragraph");
    list.split('·')
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The module of a file: `build` for `src/build.rs` and `src/build/run.rs`.
fn module_of(path: &Path) -> String {
    let below = path.strip_prefix("src").expect("a source file");
    let first = below.iter().next().expect("a file has a name");
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The paths below `crate::` that `text` names, with what follows the module's name.
fn uses(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for rest in text.split("crate::").skip(1) {
        // `use crate::{a::B, c}` names several.
        let names: Vec<String> = match rest.strip_prefix('{') {
            Some(group) => top_level_names(group),
            None => vec![rest.chars().take(200).collect()],
        };
        for name in names {
            let module: String = name
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let after = name[module.len()..].to_owned();
            found.push((module, after));
        }
    }
    found
}

/// The members of a group whose opening brace is cut off.
fn top_level_names(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = vec![String::new()];
    for character in group.chars() {
        match character {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.push(String::new()),
            character => {
                depth += i32::from(character == '{') - i32::from(character == '}');
                if let Some(name) = names.last_mut() {
                    name.push(character);
                }
            }
        }
    }
    names.retain(|name| !name.trim().is_empty());
    names.iter().map(|name| name.trim().to_owned()).collect()
}

#[test]
fn modules_use_only_those_below_them() {
    let order = order();
    assert!(order.len() > 10, "the list is read: {order:?}");
    let rank = |module: &str| order.iter().position(|name| name == module);
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let module = module_of(&path);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some(own) = rank(&module) else {
            wrong.push(format!("{module} is not in the list"));
            continue;
        };
        let text = fs::read_to_string(&path).expect("a source file is text");
        // Tests may look down on everything from anywhere.
        let text = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        for (used, after) in uses(text) {
            // Macros and items of lib.rs have no module.
            let Some(below) = rank(&used) else { continue };
            if below < own {
                wrong.push(format!("{} uses {used}{after:.20}", path.display()));
            }
            if module == "ui" && used == "build" && !after.starts_with("::event") {
                wrong.push(format!("{} uses build{after:.20}", path.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "against the direction:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn lib_lists_the_modules_in_the_same_order() {
    let text = fs::read_to_string("src/lib.rs").expect("the file is there");
    let listed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! | ")?.split_once("[`"))
        .filter_map(|(_, rest)| rest.split_once("`]"))
        .map(|(name, _)| name.trim_start_matches("mod@"))
        .collect();
    assert_eq!(listed, order());
}

#[test]
fn uses_are_found_in_every_form() {
    let text = "use crate::a::B;\nuse crate::{c::{D, e::F}, g};\nlet x = crate::h::i();";
    let modules: Vec<String> = uses(text).into_iter().map(|(module, _)| module).collect();
    assert_eq!(modules, ["a", "c", "g", "h"]);
}
