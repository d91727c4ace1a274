//! Helpers: programs named `docker-credential-…` that keep credentials (docker-credential-helpers).
//!
//! A helper is called with one verb, is told the rest on its standard input, and answers on its
//! standard output. One that does not end is killed.

use super::CredentialsError;
use crate::registry::{Credentials, Settings};
use crate::text;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a helper may take; some ask their user.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a wait looks whether the run was ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// More than any answer has.
const ANSWER_LIMIT: u64 = 1024 * 1024;
/// What a helper says that has no credentials for a registry; it is an error of its own.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user whose password is a token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    #[serde(rename = "ServerURL", default)]
    server: String,
    username: String,
    secret: String,
}

/// The program of a helper.
pub(super) fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

/// The credentials that a helper has for a registry.
pub(super) fn get(
    settings: &Settings,
    file: &Path,
    helper: &str,
    server: &str,
) -> Result<Option<Credentials>, CredentialsError> {
    let (status, answer) = call(settings, file, helper, "get", server.as_bytes())?;
    if !status.success() {
        if answer.trim().eq_ignore_ascii_case(NOT_FOUND) {
            return Ok(None);
        }
        return Err(failed(file, helper, says(status, &answer)));
    }
    let record: Record = serde_json::from_str(&answer).map_err(|_| {
        failed(
            file,
            helper,
            "answers what is no JSON of credentials".into(),
        )
    })?;
    if record.username.is_empty() && record.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(match record.username.as_str() {
        TOKEN_USER => Credentials::IdentityToken(record.secret),
        _ => Credentials::Password {
            user: record.username,
            password: record.secret,
        },
    }))
}

/// Lets a helper keep credentials.
pub(super) fn store(
    settings: &Settings,
    file: &Path,
    helper: &str,
    server: &str,
    credentials: &Credentials,
) -> Result<(), CredentialsError> {
    let (username, secret) = match credentials {
        Credentials::Password { user, password } => (user.clone(), password.clone()),
        Credentials::IdentityToken(token) => (TOKEN_USER.to_owned(), token.clone()),
    };
    let record = Record {
        server: server.to_owned(),
        username,
        secret,
    };
    let text = serde_json::to_vec(&record).unwrap_or_default();
    check(settings, file, helper, "store", &text)
}

/// Lets a helper forget the credentials of a registry.
pub(super) fn erase(
    settings: &Settings,
    file: &Path,
    helper: &str,
    server: &str,
) -> Result<(), CredentialsError> {
    check(settings, file, helper, "erase", server.as_bytes())
}

fn check(
    settings: &Settings,
    file: &Path,
    helper: &str,
    verb: &str,
    input: &[u8],
) -> Result<(), CredentialsError> {
    let (status, answer) = call(settings, file, helper, verb, input)?;
    match status.success() {
        true => Ok(()),
        false => Err(failed(file, helper, says(status, &answer))),
    }
}

fn call(
    settings: &Settings,
    file: &Path,
    helper: &str,
    verb: &str,
    input: &[u8],
) -> Result<(ExitStatus, String), CredentialsError> {
    if helper.contains('/') {
        return Err(failed(file, helper, "is a path and not a name".to_owned()));
    }
    let spawned = Command::new(program(helper))
        .arg(verb)
        .env_clear()
        .envs(&settings.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(failed(file, helper, "is not installed".to_owned()));
        }
        Err(error) => {
            return Err(failed(file, helper, format!("cannot be started: {error}")));
        }
    };
    let result = converse(settings, &mut child, input.to_vec());
    if result.is_err() {
        // It may have ended meanwhile.
        let _ = child.kill();
        let _ = child.wait();
    }
    result.map_err(|end| match end {
        End::Cancelled => CredentialsError::Interrupted,
        End::Late => failed(file, helper, "does not answer".to_owned()),
        End::Io(error) => failed(file, helper, format!("cannot be used: {error}")),
    })
}

/// Why a helper was not waited for any longer.
enum End {
    Cancelled,
    Late,
    Io(io::Error),
}

/// Hands over the input and takes the answer, each in a thread of its own, since a helper may do
/// either first and may leave a child behind that holds both open.
fn converse(
    settings: &Settings,
    child: &mut Child,
    input: Vec<u8>,
) -> Result<(ExitStatus, String), End> {
    if let Some(mut stdin) = child.stdin.take() {
        thread::spawn(move || {
            // A helper that does not listen says so by its answer.
            let _ = stdin.write_all(&input);
        });
    }
    let (sender, answers) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut answer = Vec::new();
            let read = stdout.take(ANSWER_LIMIT).read_to_end(&mut answer);
            let _nobody_waits = sender.send(read.map(|_| answer));
        });
    }
    let begin = Instant::now();
    let mut status = None;
    let mut answer = None;
    loop {
        if status.is_none() {
            status = child.try_wait().map_err(End::Io)?;
        }
        if answer.is_none() {
            answer = answers.try_recv().ok();
        }
        if let (Some(status), Some(answer)) = (&status, &mut answer) {
            let answer = std::mem::replace(answer, Ok(Vec::new())).map_err(End::Io)?;
            return Ok((*status, String::from_utf8_lossy(&answer).into_owned()));
        }
        if (settings.is_cancelled)() {
            return Err(End::Cancelled);
        }
        if begin.elapsed() > PATIENCE {
            return Err(End::Late);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn says(status: ExitStatus, answer: &str) -> String {
    let answer = text::neutralise(answer.trim()).replace('\n', " ");
    match answer.is_empty() {
        true => format!("fails with {status}"),
        false => format!("fails: {}", text::cut(&answer, 200)),
    }
}

fn failed(file: &Path, helper: &str, reason: String) -> CredentialsError {
    CredentialsError::Helper {
        helper: program(helper),
        path: file.to_owned(),
        reason,
    }
}
