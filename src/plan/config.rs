//! The `config` block: what the image's configuration says.

use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan};
use crate::image::change::expand_port;
use crate::image::config::Healthcheck;
use crate::image::{ConfigChanges, Instruction, instruction};
use crate::mask::Masker;
use crate::template::Arguments;
use std::collections::BTreeMap;
use std::time::Duration;

/// Decodes all `config` blocks inside a source's body.
pub fn decode_blocks(
    arguments: &Arguments<'_>,
    changes: &mut ConfigChanges,
    annotations: &mut BTreeMap<String, String>,
) {
    for block in arguments.blocks("config") {
        decode(&block, changes, annotations);
        block.finish();
    }
}

/// Decodes one `config` block onto `changes`; a later block wins over an earlier one.
pub fn decode(
    arguments: &Arguments<'_>,
    changes: &mut ConfigChanges,
    annotations: &mut BTreeMap<String, String>,
) {
    for line in arguments
        .optional::<Vec<String>>("changes")
        .unwrap_or_default()
    {
        match Instruction::parse(&line, '\\') {
            Ok(instruction) => changes.instructions.push(instruction),
            Err(problem) => arguments.error(
                arguments.span("changes"),
                format!("cannot apply the change {line:?}: {problem}"),
                &[&format!("instructions are {}", instruction::NAMES)],
            ),
        }
    }
    if let Some(author) = arguments.optional("author") {
        changes.author = Some(author);
    }
    let env: BTreeMap<String, String> = arguments.optional("env").unwrap_or_default();
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            arguments.error(
                arguments.span("env"),
                format!("{name:?} cannot be the name of an environment variable"),
                &[],
            );
        } else {
            changes.env.retain(|(existing, _)| *existing != name);
            changes.env.push((name, value));
        }
    }
    if let Some(entrypoint) = arguments.optional("entrypoint") {
        changes.entrypoint = Some(entrypoint);
    }
    if let Some(cmd) = arguments.optional("cmd") {
        changes.cmd = Some(cmd);
    }
    if let Some(user) = arguments.optional("user") {
        changes.user = Some(user);
    }
    if let Some(workdir) = arguments.optional::<String>("workdir") {
        if workdir.starts_with('/') {
            changes.workdir = Some(workdir);
        } else {
            arguments.error(
                arguments.span("workdir"),
                format!("workdir {workdir:?} is not an absolute path"),
                &["it must start with /"],
            );
        }
    }
    let labels: BTreeMap<String, String> = arguments.optional("labels").unwrap_or_default();
    changes.labels.extend(labels);
    for port in arguments
        .optional::<Vec<String>>("ports")
        .unwrap_or_default()
    {
        match expand_port(&port) {
            Ok(_) => changes.ports.push(port),
            Err(_) => arguments.error(
                arguments.span("ports"),
                format!("{port:?} is not a port"),
                &["write a number from 1 to 65535, or \"NUMBER/tcp\", \"NUMBER/udp\", \"NUMBER/sctp\""],
            ),
        }
    }
    for volume in arguments
        .optional::<Vec<String>>("volumes")
        .unwrap_or_default()
    {
        if volume.starts_with('/') {
            changes.volumes.push(volume);
        } else {
            arguments.error(
                arguments.span("volumes"),
                format!("the volume {volume:?} is not an absolute path"),
                &["it must start with /"],
            );
        }
    }
    if let Some(signal) = arguments.optional("stop_signal") {
        changes.stop_signal = Some(signal);
    }
    let more: BTreeMap<String, String> = arguments.optional("annotations").unwrap_or_default();
    annotations.extend(more);
    let blocks = arguments.blocks("healthcheck");
    if blocks.len() > 1 {
        arguments.error(
            arguments.header(),
            "a config block has at most one healthcheck",
            &[],
        );
    }
    for block in blocks {
        if let Some(healthcheck) = decode_healthcheck(&block) {
            let change = ConfigChanges {
                healthcheck: Some(healthcheck),
                ..ConfigChanges::default()
            };
            report_refused(&change, &block);
            changes.healthcheck = change.healthcheck;
        }
        block.finish();
    }
    let rest = ConfigChanges {
        healthcheck: None,
        ..changes.clone()
    };
    report_refused(&rest, arguments);
}

/// Warns of sensitive values in the configuration, which everyone reads who gets the image.
pub fn warn_of_secrets(
    changes: &ConfigChanges,
    annotations: &BTreeMap<String, String>,
    masker: &Masker,
    place: SourceSpan,
    diagnostics: &Diagnostics,
) {
    let pairs = |pairs: Vec<(&String, &String)>| -> Vec<String> {
        pairs.into_iter().map(|(a, b)| format!("{a}={b}")).collect()
    };
    let listed = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let one = |text: &Option<String>| text.iter().cloned().collect();
    let env = changes.env.iter().map(|(name, value)| (name, value));
    let probe = changes.healthcheck.as_ref();
    let instructions = changes.instructions.iter();
    let instructions = instructions.flat_map(Instruction::texts).collect();
    let options: [(&str, Vec<String>); 10] = [
        ("changes", instructions),
        ("env", pairs(env.collect())),
        ("entrypoint", listed(&changes.entrypoint)),
        ("cmd", listed(&changes.cmd)),
        ("user", one(&changes.user)),
        ("workdir", one(&changes.workdir)),
        ("labels", pairs(changes.labels.iter().collect())),
        ("volumes", changes.volumes.clone()),
        ("annotations", pairs(annotations.iter().collect())),
        (
            "healthcheck",
            listed(&probe.and_then(|probe| probe.test.clone())),
        ),
    ];
    for (option, texts) in options {
        if texts.iter().any(|text| masker.mask(text) != text.as_str()) {
            diagnostics.push(
                Diagnostic::warning(format!(
                    "`{option}` puts a sensitive value into the image, where whoever gets the image can read it"
                ))
                .at(place)
                .help("give it to the container when it starts instead"),
            );
        }
    }
}

/// Reports what an image's configuration cannot hold.
fn report_refused(changes: &ConfigChanges, arguments: &Arguments<'_>) {
    if let Err(error) = changes.check() {
        arguments.error(arguments.header(), error.to_string(), &[]);
    }
}

fn decode_healthcheck(arguments: &Arguments<'_>) -> Option<Healthcheck> {
    let test: Vec<String> = arguments.required("test")?;
    let interval: Option<Duration> = arguments.optional("interval");
    let timeout: Option<Duration> = arguments.optional("timeout");
    let start_period: Option<Duration> = arguments.optional("start_period");
    let start_interval: Option<Duration> = arguments.optional("start_interval");
    let retries: Option<u64> = arguments.optional("retries");
    // As in a Dockerfile: a plain command is run without a shell, NONE switches off the base's.
    let marked = test
        .first()
        .is_some_and(|word| ["NONE", "CMD", "CMD-SHELL"].contains(&word.as_str()));
    let test = match test.len() {
        0 => {
            arguments.error(
                arguments.span("test"),
                "the test of a healthcheck must not be empty",
                &[],
            );
            return None;
        }
        _ if marked => test,
        _ => std::iter::once("CMD".to_owned()).chain(test).collect(),
    };
    // Docker counts nanoseconds.
    let nanoseconds = |duration: Option<Duration>| {
        duration.map(|duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    };
    Some(Healthcheck {
        test: Some(test),
        interval: nanoseconds(interval),
        timeout: nanoseconds(timeout),
        start_period: nanoseconds(start_period),
        start_interval: nanoseconds(start_interval),
        retries: retries.map(|retries| i64::try_from(retries).unwrap_or(i64::MAX)),
    })
}
