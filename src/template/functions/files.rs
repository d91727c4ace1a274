//! Functions on paths and files of the machine: `abspath`, `basename`, `dirname`, `file`,
//! `filebase64`, `fileexists`, `fileset`, `pathexpand`.
//!
//! `file`, `fileexists` and `fileset` start at the template's folder, `abspath` and `filebase64` at
//! the working folder.

use super::folder_walk::matching_files;
use super::path_pattern::PathPattern;
use super::signature::{Arguments, Function, Kind, MAX_TEXT_BYTES, Parameter};
use super::{FunctionContext, FunctionError, slash_path};
use crate::template::value::{Type, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const PATH: &[Parameter] = &[Parameter::new("path", Kind::String)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("abspath", Kind::String, abspath).parameters(PATH),
    Function::new("basename", Kind::String, basename).parameters(PATH),
    Function::new("dirname", Kind::String, dirname).parameters(PATH),
    Function::new("file", Kind::String, file).parameters(PATH),
    Function::new("filebase64", Kind::String, filebase64).parameters(PATH),
    Function::new("fileexists", Kind::Bool, fileexists).parameters(PATH),
    Function::new("fileset", Kind::StringSet, fileset).parameters(&[
        Parameter::new("path", Kind::String),
        Parameter::new("pattern", Kind::String),
    ]),
    Function::new("pathexpand", Kind::String, pathexpand).parameters(PATH),
];

type Outcome = Result<Value, FunctionError>;

fn basename(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    Ok(Value::string(slash_path::base(arguments.string(0)?)))
}

fn dirname(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    Ok(Value::string(slash_path::folder(arguments.string(0)?)))
}

fn abspath(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    let folder = text_of(context.working_folder)?;
    Ok(Value::string(slash_path::below(
        folder,
        arguments.string(0)?,
    )))
}

fn pathexpand(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    with_home(arguments.string(0)?, context).map(Value::string)
}

/// Replaces a `~` at the start by the home folder.
fn with_home(path: &str, context: &FunctionContext<'_>) -> Result<String, FunctionError> {
    let Some(rest) = path.strip_prefix('~') else {
        return Ok(path.to_owned());
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err(FunctionError::at(
            0,
            "failed to expand ~: cannot expand user-specific home dir",
        ));
    }
    let home = context
        .home
        .ok_or_else(|| FunctionError::at(0, "failed to expand ~: there is no home folder"))?;
    let home = text_of(home)?;
    Ok(slash_path::below(home, rest.trim_start_matches('/')))
}

fn text_of(folder: &Path) -> Result<&str, FunctionError> {
    folder.to_str().ok_or_else(|| {
        FunctionError::new(format!("the path {} is not valid UTF-8", folder.display()))
    })
}

/// The path argument, from the template's folder on. The folder need not be UTF-8.
fn template_path(
    arguments: &Arguments<'_>,
    context: &FunctionContext<'_>,
) -> Result<PathBuf, FunctionError> {
    let path = with_home(arguments.string(0)?, context)?;
    Ok(context.template_folder.join(slash_path::clean(&path)))
}

fn file(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    let path = template_path(arguments, context)?;
    let text = String::from_utf8(read(&path)?).map_err(|_| {
        FunctionError::at(
            0,
            format!(
                "contents of {} are not valid UTF-8; use the filebase64 function to obtain the Base64 encoded contents",
                path.display()
            ),
        )
    })?;
    Ok(Value::string(text))
}

fn filebase64(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    let path = context.working_folder.join(arguments.string(0)?);
    Ok(Value::string(STANDARD.encode(read(&path)?)))
}

/// Reads a regular file; others could block or never end.
fn read(path: &Path) -> Result<Vec<u8>, FunctionError> {
    let failed = |error: io::Error| {
        FunctionError::at(
            0,
            if error.kind() == io::ErrorKind::NotFound {
                format!("no file exists at {}", path.display())
            } else {
                format!("failed to read {}: {error}", path.display())
            },
        )
    };
    // Opening a pipe would wait for its other end.
    let no_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(no_waiting);
    let file = options.open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(FunctionError::at(
            0,
            format!("{} is not a regular file", path.display()),
        ));
    }
    let limit = u64::try_from(MAX_TEXT_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(FunctionError::at(
            0,
            format!(
                "{} is larger than {} MiB",
                path.display(),
                MAX_TEXT_BYTES >> 20
            ),
        ));
    }
    Ok(bytes)
}

fn fileexists(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    let path = template_path(arguments, context)?;
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(Value::Bool(true)),
        Ok(_) => Err(FunctionError::at(
            0,
            format!("{} is not a regular file", path.display()),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Bool(false)),
        Err(error) => Err(FunctionError::at(
            0,
            format!("failed to look at {}: {error}", path.display()),
        )),
    }
}

fn fileset(arguments: &Arguments<'_>, context: &FunctionContext<'_>) -> Outcome {
    let given = arguments.string(1)?;
    let cleaned = slash_path::clean(given.trim_start_matches('/'));
    let start = slash_path::clean(arguments.string(0)?);
    let mut folder = context.template_folder.join(start);
    let start = folder.to_string_lossy().into_owned();
    // `..` at the start of a pattern leads out of the folder.
    let mut pattern = cleaned.as_str();
    let mut outside = String::new();
    while let Some(rest) = pattern.strip_prefix("../") {
        folder.push("..");
        outside.push_str("../");
        pattern = rest;
    }
    let parsed = PathPattern::parse(pattern).ok_or_else(|| {
        FunctionError::at(
            1,
            format!("failed to glob pattern ({given}): syntax error in pattern"),
        )
    })?;
    let files =
        matching_files(&folder, &parsed).map_err(|error| FunctionError::new(error.to_string()))?;
    let paths = files.iter().map(|path| {
        Value::string(if outside.is_empty() {
            path.clone()
        } else {
            slash_path::relative(&start, &format!("{start}/{outside}{path}"))
        })
    });
    Ok(Value::set(Type::String, paths.collect()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::cases;
    use super::*;
    use crate::template::value::Value;
    use std::os::unix::fs::symlink;

    pub(in super::super) const CASES: &str = r#"
basename("a/b.txt") = "b.txt"
basename("a/b/") = "b"
basename("/") = "/"
basename("") = "."
basename("a") = "a"
dirname("a/b.txt") = "a"
dirname("a//b/../c") = "a"
dirname("a") = "."
dirname("/a") = "/"
dirname("") = "."
dirname("a/b/") = "a/b"
dirname("../a") = ".."
abspath("/a/../b/./c/") = "/b/c"
abspath("/../..") = "/"
pathexpand("/etc/passwd") = "/etc/passwd"
pathexpand("a/~/b") = "a/~/b"
pathexpand("~root/x") = error: cannot expand user-specific home dir
file("does/not/exist") = error: no file exists at
fileexists("does/not/exist") = false
fileexists("/") = error: is not a regular file
fileset("does-not-exist", "**") = []
fileset(".", "[") = error: syntax error in pattern
fileset(".", "{a,b") = error: syntax error in pattern
"#;

    fn call(folder: &Path, name: &str, arguments: &[&str]) -> Result<Value, FunctionError> {
        let working = folder.join("working");
        let context = FunctionContext {
            template_folder: folder,
            working_folder: &working,
            home: Some(Path::new("/home/somebody")),
            ..cases::context()
        };
        let values: Vec<Value> = arguments.iter().map(Value::string).collect();
        super::super::call(name, &values, &context)
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["sub/.hid", "linked", "working"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in [
            "a.txt",
            "b.txt",
            ".e.txt",
            "sub/c.txt",
            "sub/.hid/d.txt",
            "linked/f.txt",
        ] {
            fs::write(root.join(name), name).unwrap();
        }
        fs::write(root.join("working/w"), [0xff, 0]).unwrap();
        symlink("linked", root.join("lnk")).unwrap();
        symlink("a.txt", root.join("s.txt")).unwrap();
        symlink("nowhere", root.join("broken.txt")).unwrap();
        symlink("..", root.join("sub/up")).unwrap();
        folder
    }

    #[test]
    fn filesets_as_packer_tells_them() {
        let folder = tree();
        for (path, pattern, expected) in [
            (".", "*.txt", ".e.txt a.txt b.txt s.txt"),
            ("", "a.txt", "a.txt"),
            (".", "{a,sub/c}.txt", "a.txt sub/c.txt"),
            ("sub", "../?.txt", "../a.txt ../b.txt ../s.txt"),
            ("sub", "../sub/*", "c.txt"),
            (".", "*/f.txt", "linked/f.txt lnk/f.txt"),
            (".", "lnk/**", "lnk/f.txt"),
            (".", "[^a].txt", "b.txt s.txt"),
            (".", "[!a].txt", "a.txt"),
            ("sub", "**/d.txt", ".hid/d.txt"),
            (".", "sub/**/d.txt", "sub/.hid/d.txt"),
            (".", "/a.txt", "a.txt"),
            (".", "./sub/../a.txt", "a.txt"),
            ("sub/c.txt", "**", ""),
            (".", "", ""),
        ] {
            let set = call(folder.path(), "fileset", &[path, pattern]).unwrap();
            let names: Vec<&str> = set
                .as_elements()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            assert_eq!(names.join(" "), expected, "{path:?} {pattern:?}");
        }
    }

    #[test]
    fn a_link_to_a_folder_above_ends_the_walk() {
        let folder = tree();
        let set = call(folder.path(), "fileset", &[".", "sub/**"]).unwrap();
        let names: Vec<&str> = set
            .as_elements()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(names.contains(&"sub/up/a.txt"), "{names:?}");
        assert!(
            names.iter().all(|name| !name.contains("up/sub/")),
            "{names:?}"
        );
    }

    #[test]
    fn each_function_starts_at_its_folder() {
        let folder = tree();
        let root = folder.path();
        let text = |name: &str, path: &str| {
            call(root, name, &[path]).map(|value| value.as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(text("file", "sub/c.txt").unwrap(), "sub/c.txt");
        assert_eq!(
            call(root, "fileexists", &["./a.txt"]).unwrap(),
            Value::Bool(true)
        );
        assert_eq!(
            call(root, "fileexists", &["w"]).unwrap(),
            Value::Bool(false)
        );
        assert_eq!(text("filebase64", "w").unwrap(), "/wA=");
        assert_eq!(
            text("abspath", "../x").unwrap(),
            root.join("x").to_str().unwrap()
        );
        assert_eq!(text("pathexpand", "~/x/../y").unwrap(), "/home/somebody/y");
        assert_eq!(text("pathexpand", "~").unwrap(), "/home/somebody");
        assert!(
            text("file", "working/w")
                .unwrap_err()
                .message
                .contains("not valid UTF-8")
        );
        assert!(
            text("file", "sub")
                .unwrap_err()
                .message
                .contains("not a regular file")
        );
        assert!(
            text("file", "/dev/zero")
                .unwrap_err()
                .message
                .contains("not a regular file")
        );
    }

    #[test]
    fn a_pipe_does_not_block() {
        let folder = tree();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let error = call(folder.path(), "file", &["pipe"]).unwrap_err();
        assert!(error.message.contains("not a regular file"), "{error}");
    }
}
