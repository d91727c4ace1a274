//! What steps are given at run time: secrets, and the user's ssh agent.
//!
//! A plan says what its steps need. The values are looked for only when something is built, and
//! before anything runs; they are never part of the plan's documents, and everything that shows or
//! keeps text knows them as secrets from then on.

use super::mount::StepMountKind;
use super::{Plan, Work};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use crate::mask::Secrets;
use crate::sandbox::SecretBytes;
use crate::template::Arguments;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The longest secret, in bytes.
const LENGTH_LIMIT: u64 = 1024 * 1024;

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretSource {
    /// A file of this host.
    File(PathBuf),
    /// A variable of this host.
    Environment(String),
    /// The template.
    Value(SecretBytes),
    /// The command line, by the secret's id.
    Flag(String),
}

/// A secret that a step needs.
#[derive(Clone, Debug)]
pub struct StepSecret {
    /// What it is called.
    pub id: String,
    /// Where it comes from.
    pub source: SecretSource,
    /// Whether there is nothing to build without it.
    pub is_required: bool,
    /// Where the template says where it comes from.
    span: SourceSpan,
}

/// What a flag `--secret` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFlag {
    /// What it is called.
    pub id: String,
    /// Where it comes from; none for the variable with the name of the id.
    pub source: Option<SecretSource>,
}

/// Where values are looked for.
#[derive(Clone, Debug)]
pub struct Origins {
    /// The flags.
    pub flags: Vec<SecretFlag>,
    /// The environment of the caller.
    pub environment: BTreeMap<String, String>,
    /// Relative paths start here.
    pub working_folder: PathBuf,
}

/// What steps are given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    secrets: BTreeMap<SecretSource, Named>,
    /// The socket of the user's ssh agent.
    pub agent: Option<PathBuf>,
}

impl Given {
    /// The value of a secret; none if there is none, and it is not required.
    pub fn secret(&self, secret: &StepSecret) -> Option<&SecretBytes> {
        self.secrets.get(&secret.source).map(|named| &named.value)
    }

    /// All secrets of the run, each with a name that a step has for it.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretBytes)> {
        let secrets = self.secrets.values();
        secrets.map(|named| (named.id.as_str(), &named.value))
    }

    /// Gives values of the command line.
    #[cfg(test)]
    pub fn of_flags(values: &[(&str, &str)]) -> Self {
        let named = |id: &str, value: &str| Named {
            id: id.to_owned(),
            value: value.as_bytes().to_vec().into(),
        };
        let values = values.iter();
        Self {
            secrets: values
                .map(|(id, value)| (SecretSource::Flag((*id).to_owned()), named(id, value)))
                .collect(),
            agent: None,
        }
    }
}

/// A value, and what the first step that needs it calls it.
#[derive(Clone, Debug)]
struct Named {
    id: String,
    value: SecretBytes,
}

/// Reads a flag: `id=NAME`, and `src=FILE` or `env=VARIABLE`.
pub fn read_flag(text: &str) -> Result<SecretFlag, String> {
    let (mut id, mut source) = (None, None);
    let twice = |what: &str| Err(format!("a secret has one {what}, and two are given"));
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| {
            format!("{part:?} has no `=`; write id=NAME,src=FILE or id=NAME,env=VARIABLE")
        })?;
        match (name, value) {
            (_, "") => return Err(format!("`{name}` is empty")),
            ("id", _) if id.is_some() => return twice("id"),
            ("src" | "source" | "env", _) if source.is_some() => {
                return twice("source, src=FILE or env=VARIABLE");
            }
            ("id", value) => id = Some(value.to_owned()),
            ("src" | "source", value) => source = Some(SecretSource::File(value.into())),
            ("env", value) => source = Some(SecretSource::Environment(value.to_owned())),
            // As in Docker, where it only repeats what the other part says.
            ("type", "file" | "env") => {}
            (other, _) => {
                return Err(format!(
                    "there is no part {other:?}; parts are id, src and env"
                ));
            }
        }
    }
    let id = id.ok_or("a secret needs an id: id=NAME,src=FILE")?;
    Ok(SecretFlag { id, source })
}

/// Decodes where the secret of a block comes from; none after an error.
pub(super) fn decode(
    block: &Arguments<'_>,
    id: String,
    working_folder: &Path,
) -> Option<StepSecret> {
    let is_required = block.optional("required").unwrap_or(true);
    let names = ["file", "environment", "value"];
    let [file, environment, value] = names.map(|name| block.optional::<String>(name));
    if block.any_failed(&names) {
        return None;
    }
    let given: Vec<&str> = names.into_iter().filter(|name| block.has(name)).collect();
    if let [_, second, ..] = given.as_slice() {
        block.error(
            block.span(second),
            format!(
                "a secret comes from one place, and {} are given",
                given.join(" and ")
            ),
            &["leave one of them out"],
        );
        return None;
    }
    let span = given
        .first()
        .map_or(block.header(), |name| block.span(name));
    let source = match (file, environment, value) {
        (Some(file), ..) => SecretSource::File(working_folder.join(file)),
        (_, Some(name), _) => SecretSource::Environment(name),
        (.., Some(value)) => SecretSource::Value(value.into_bytes().into()),
        _ => SecretSource::Flag(id.clone()),
    };
    Some(StepSecret {
        id,
        source,
        is_required,
        span,
    })
}

impl Plan {
    /// Finds what the steps of all builds are to be given, and makes secrets of it; an error has a
    /// diagnostic for each thing that is missing.
    pub fn gather(&mut self, origins: &Origins) -> Result<(), Diagnostics> {
        let diagnostics = Diagnostics::new();
        let mut given = Given::default();
        let builds = self.builds.iter();
        let steps = builds.flat_map(|build| build.steps.iter().chain(&build.error_cleanup));
        for step in steps {
            let Work::Layer(layer) = &step.work else {
                continue;
            };
            for mount in &layer.mounts {
                match &mount.kind {
                    StepMountKind::Secret {
                        secret, variable, ..
                    } => {
                        let found = given.add(secret, variable.is_some(), origins, &self.secrets);
                        if let Err(problem) = found {
                            diagnostics.push(problem);
                        }
                    }
                    StepMountKind::Agent { is_required, .. } => {
                        given.agent = agent(origins, mount.span, *is_required, &diagnostics);
                    }
                    _ => {}
                }
            }
        }
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        self.given = given;
        // They were written before all secrets were known.
        for step in self.builds.iter_mut().flat_map(|build| &mut build.steps) {
            step.history = self.masker.mask(&step.history).into_owned();
        }
        Ok(())
    }
}

impl Given {
    fn add(
        &mut self,
        secret: &StepSecret,
        is_variable: bool,
        origins: &Origins,
        secrets: &Secrets,
    ) -> Result<(), Diagnostic> {
        let error = |text: String| {
            Diagnostic::error(format!("the secret {:?} {text}", secret.id)).at(secret.span)
        };
        let value = match self.secrets.get(&secret.source) {
            Some(named) => named.value.clone(),
            None => {
                let found = find(&secret.source, origins).map_err(|problem| {
                    let help = match &secret.source {
                        SecretSource::Flag(id) => format!(
                            "give it with --secret id={id},src=FILE or --secret id={id},env=VARIABLE"
                        ),
                        _ => "`required = false` builds without it".to_owned(),
                    };
                    (problem.is_missing, error(problem.text).help(help))
                });
                match found {
                    Ok(value) => value,
                    Err((true, _)) if !secret.is_required => return Ok(()),
                    Err((_, problem)) => return Err(problem),
                }
            }
        };
        if is_variable && value.as_bytes().contains(&0) {
            return Err(error(
                "holds a zero byte, which a variable cannot hold".to_owned(),
            ));
        }
        secrets.add_bytes(value.as_bytes());
        self.secrets
            .entry(secret.source.clone())
            .or_insert_with(|| Named {
                id: secret.id.clone(),
                value,
            });
        Ok(())
    }
}

/// Why there is no value.
struct Problem {
    text: String,
    is_missing: bool,
}

impl Problem {
    fn missing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_missing: true,
        }
    }
}

fn find(source: &SecretSource, origins: &Origins) -> Result<SecretBytes, Problem> {
    match source {
        SecretSource::Value(value) => Ok(value.clone()),
        SecretSource::Environment(name) => {
            let value = origins.environment.get(name);
            let value = value.ok_or_else(|| {
                Problem::missing(format!("is missing: the variable {name} is not set"))
            })?;
            Ok(value.clone().into_bytes().into())
        }
        SecretSource::File(path) => {
            let path = origins.working_folder.join(path);
            read(&path).map_err(|error| Problem {
                text: format!("cannot be read from {}: {error}", path.display()),
                is_missing: error.kind() == io::ErrorKind::NotFound,
            })
        }
        SecretSource::Flag(id) => {
            let flag = origins.flags.iter().rev().find(|flag| flag.id == *id);
            match flag {
                None => Err(Problem::missing("is not given")),
                Some(SecretFlag {
                    source: Some(source),
                    ..
                }) => find(source, origins),
                Some(_) => find(&SecretSource::Environment(id.clone()), origins),
            }
        }
    }
}

/// Reads a file, or a pipe that somebody writes to until it is closed.
fn read(path: &Path) -> io::Result<SecretBytes> {
    // Or else a pipe without a writer is opened only when there is one.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(io::Error::other("it is neither a regular file nor a pipe"));
    }
    let mut bytes = Vec::new();
    let mut limited = (&file).take(LENGTH_LIMIT + 1);
    loop {
        // What has been read before it has to wait is kept.
        match limited.read_to_end(&mut bytes) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&file)?,
            Err(error) => return Err(error),
        }
    }
    if bytes.len() as u64 > LENGTH_LIMIT {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    if kind.is_fifo() && bytes.is_empty() {
        return Err(io::Error::other(
            "it is a pipe that nobody writes to, or that has been read before",
        ));
    }
    Ok(bytes.into())
}

/// Waits until there is something to read, or nobody is left who could write.
fn wait(pipe: &File) -> io::Result<()> {
    let mut pipes = [PollFd::new(pipe, PollFlags::IN)];
    match rustix::event::poll(&mut pipes, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The socket of the user's ssh agent; that there is none is reported if it is required.
fn agent(
    origins: &Origins,
    span: SourceSpan,
    is_required: bool,
    diagnostics: &Diagnostics,
) -> Option<PathBuf> {
    let path = origins
        .environment
        .get("SSH_AUTH_SOCK")
        .filter(|path| !path.is_empty());
    let problem = match path {
        None => "SSH_AUTH_SOCK is not set".to_owned(),
        Some(path) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Some(origins.working_folder.join(path)),
            Err(error) => format!("SSH_AUTH_SOCK is {path}: {error}"),
        },
    };
    if is_required {
        diagnostics.push(
            Diagnostic::error(format!("there is no ssh agent: {problem}"))
                .at_with(span, "this step needs one")
                .help("start one with `eval $(ssh-agent) && ssh-add`, or set `required = false`"),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn flags_are_read() {
        let flag = |id: &str, source| {
            Ok(SecretFlag {
                id: id.to_owned(),
                source,
            })
        };
        assert_eq!(read_flag("id=npm"), flag("npm", None));
        assert_eq!(
            read_flag("id=npm,src=a/b"),
            flag("npm", Some(SecretSource::File("a/b".into())))
        );
        assert_eq!(
            read_flag("type=env,env=TOKEN,id=npm"),
            flag("npm", Some(SecretSource::Environment("TOKEN".into())))
        );
        for wrong in [
            "",
            "npm",
            "src=a",
            "id=,src=a",
            "id=a,file=b",
            "id=a,id=b",
            "id=a,src=b,env=c",
            "id=a,src=b,source=c",
            "id=a,type=x",
        ] {
            assert!(read_flag(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn values_are_found_where_they_are_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), [0, 255]).unwrap();
        let origins = Origins {
            flags: vec![
                read_flag("id=a,env=NONE").unwrap(),
                read_flag("id=a,src=token").unwrap(),
                read_flag("id=HOME").unwrap(),
            ],
            environment: BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]),
            working_folder: folder.path().to_owned(),
        };
        let value = |source| find(&source, &origins).ok();
        let flag = |id: &str| SecretSource::Flag(id.to_owned());
        assert_eq!(value(flag("a")), Some(vec![0, 255].into()));
        assert_eq!(value(flag("HOME")), Some(b"/h".to_vec().into()));
        assert_eq!(value(flag("b")), None);
        assert_eq!(value(SecretSource::File("none".into())), None);
        let problem = find(&SecretSource::File(".".into()), &origins)
            .err()
            .unwrap();
        assert!(!problem.is_missing && problem.text.contains("regular"));
    }

    #[test]
    fn pipes_are_read_to_their_end_and_never_waited_for_without_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let refused = read(&path).unwrap_err().to_string();
        assert!(refused.contains("nobody writes"), "{refused}");

        let (reader, mut writer) = io::pipe().unwrap();
        let substituted = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
        let writing = std::thread::spawn(move || {
            for part in ["t0k", "en\n"] {
                std::thread::sleep(std::time::Duration::from_millis(20));
                writer.write_all(part.as_bytes()).unwrap();
            }
        });
        assert_eq!(read(&substituted).unwrap(), b"t0ken\n".to_vec().into());
        writing.join().unwrap();
        assert!(read(Path::new("/dev/zero")).is_err());
    }
}
