//! Running: the checks of one test, made in an open root.
//!
//! In this order: setup, the service and its ports, the command, then everything that is only looked
//! at. A setup that fails ends the test; otherwise all checks are made, whatever came of those
//! before, so that one run tells everything that is wrong.

use super::account::Accounts;
use super::command::Written;
use super::expand::expand;
use super::port::{PortCheck, open_ports};
use super::tail::Tail;
use super::{Expected, Fault, Service, Test};
use crate::image::config::ContainerConfig;
use crate::provision::StartState;
use crate::sandbox::{OpenRoot, OutputStream, RootCommand, Running, SandboxError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait until ports are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a test has found.
#[derive(Debug, Default)]
pub struct Findings {
    /// All that is not as expected.
    pub faults: Vec<Fault>,
    /// The last lines that its commands wrote.
    pub output: Vec<String>,
}

/// Makes the checks of `test` on an image with this configuration, in its open root; without a root,
/// only those of the configuration. An error is one of the sandbox, and says nothing of the image.
pub fn run(
    test: &Test,
    config: &ContainerConfig,
    start: &StartState,
    root: Option<&OpenRoot>,
) -> Result<Findings, SandboxError> {
    let mut faults = Vec::new();
    let mut output = Vec::new();
    if let Some(root) = root {
        let mut attempt = Attempt {
            test,
            config,
            start,
            root,
            end: Instant::now().checked_add(test.timeout),
            tail: Arc::default(),
            faults: Vec::new(),
        };
        attempt.run()?;
        faults = attempt.faults;
        output = lines(&attempt.tail);
    }
    faults.extend(test.config.iter().flat_map(|check| check.faults(config)));
    Ok(Findings { faults, output })
}

type SharedTail = Arc<Mutex<Tail>>;

fn lines(tail: &SharedTail) -> Vec<String> {
    tail.lock().unwrap_or_else(PoisonError::into_inner).lines()
}

fn write(tail: &SharedTail, bytes: &[u8]) {
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    tail.write(bytes);
}

/// One run of a test.
struct Attempt<'a> {
    test: &'a Test,
    config: &'a ContainerConfig,
    start: &'a StartState,
    root: &'a OpenRoot,
    /// When time is up; none if that is never.
    end: Option<Instant>,
    tail: SharedTail,
    faults: Vec<Fault>,
}

/// How a command ended.
enum End {
    Code(i32),
    /// It could not be started.
    Refused(String),
    OutOfTime,
}

/// The program in the background.
struct Background {
    running: Option<Running>,
    place: Expected<()>,
    /// The code that it has ended with, once that was seen.
    ended: Option<i32>,
}

impl Attempt<'_> {
    fn run(&mut self) -> Result<(), SandboxError> {
        let is_ready = self.set_up()?;
        if is_ready {
            let mut background = self.begin_service()?;
            self.check_ports(&mut background)?;
            self.check_command()?;
            self.check_state()?;
            if let Some(background) = background {
                self.end_service(background)?;
            }
        }
        for argv in &self.test.teardown {
            // What it leaves is thrown away, and its end says nothing of the image.
            self.command(argv, &mut |_, _| {})?;
        }
        Ok(())
    }

    /// Runs the setup; says whether all of it has succeeded.
    fn set_up(&mut self) -> Result<bool, SandboxError> {
        for argv in &self.test.setup {
            let tail = Arc::clone(&self.tail);
            let end = self.command(&argv.value, &mut |_, bytes| write(&tail, bytes))?;
            if !matches!(end, End::Code(0)) {
                let fault = argv.fault("setup", "exit code 0", self.in_words(&end));
                self.faults.push(fault);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check_command(&mut self) -> Result<(), SandboxError> {
        let Some(check) = &self.test.command else {
            return Ok(());
        };
        let mut written = Written::default();
        let tail = Arc::clone(&self.tail);
        let mut output = |stream, bytes: &[u8]| {
            written.take(stream, bytes);
            write(&tail, bytes);
        };
        let argv: Vec<String> = check
            .argv
            .value
            .iter()
            .map(|it| self.expanded(it))
            .collect();
        match self.command(&argv, &mut output)? {
            End::Code(code) => self.faults.extend(check.faults(code, &written)),
            end => {
                let fault = check
                    .argv
                    .fault("command", "that it ends", self.in_words(&end));
                self.faults.push(fault);
            }
        }
        Ok(())
    }

    /// Checks what is only looked at.
    fn check_state(&mut self) -> Result<(), SandboxError> {
        for check in &self.test.files {
            let path = self.expanded(&check.path.value);
            self.faults
                .extend(check.faults(self.root, &path, self.end)?);
        }
        if !self.test.users.is_empty() || !self.test.groups.is_empty() {
            let accounts = Accounts::read(self.root)?;
            let users = self.test.users.iter().flat_map(|it| it.faults(&accounts));
            let groups = self.test.groups.iter().flat_map(|it| it.faults(&accounts));
            let faults: Vec<Fault> = users.chain(groups).collect();
            self.faults.extend(faults);
        }
        Ok(())
    }

    /// Waits until something listens at each port, or the last of them has had its time.
    fn check_ports(&mut self, background: &mut Option<Background>) -> Result<(), SandboxError> {
        let begin = Instant::now();
        let mut waiting: Vec<&PortCheck> = self.test.ports.iter().collect();
        while !waiting.is_empty() {
            // Asked first: what it has opened before it ended is closed by now.
            let has_failed = match background {
                Some(background) => background.code(self.root)?.is_some_and(|code| code != 0),
                None => false,
            };
            let open = open_ports(self.root)?;
            waiting.retain(|check| !open.contains(&check.port.value));
            let elapsed = begin.elapsed();
            let is_late = has_failed || self.left().is_some_and(|left| left.is_zero());
            let late = waiting.extract_if(.., |check| is_late || elapsed >= check.within);
            for check in late {
                let within = crate::format::duration(check.within.as_secs_f64());
                let expected = format!("a listener within {within}");
                let found = match has_failed {
                    true => "none, and what was started has ended",
                    false => "none",
                };
                let what = check.port.value.to_string();
                self.faults.push(check.port.fault(what, expected, found));
            }
            if !waiting.is_empty() && self.root.closed().wait(LOOK_AGAIN) {
                return Err(SandboxError::Cancelled);
            }
        }
        Ok(())
    }

    fn begin_service(&mut self) -> Result<Option<Background>, SandboxError> {
        let (argv, place) = match &self.test.start {
            Service::Nothing => return Ok(None),
            Service::Command(argv) => (argv.value.clone(), argv.without_value()),
            Service::OfImage(place) => {
                let parts = [&self.config.entrypoint, &self.config.cmd];
                let argv: Vec<String> = parts.into_iter().flatten().flatten().cloned().collect();
                (argv, place.clone())
            }
        };
        if argv.is_empty() {
            let expected = "an entrypoint or cmd that can be started";
            self.faults.push(place.fault("config", expected, "neither"));
            return Ok(None);
        }
        let failed = |error: io::Error| SandboxError::Work(format!("start a service: {error}"));
        let null = File::open("/dev/null").map_err(failed)?;
        let (mut ours, theirs) = io::pipe().map_err(failed)?;
        let streams = [null.as_fd(), theirs.as_fd(), theirs.as_fd()];
        let running = match self.root.start(&self.rooted(&argv), streams) {
            Ok(running) => running,
            Err(SandboxError::Work(problem)) => {
                self.faults
                    .push(place.fault("start", "that it runs", problem));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        drop(theirs);
        let tail = Arc::clone(&self.tail);
        // It ends with the last program of the root that holds the stream.
        thread::spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(length @ 1..) = ours.read(&mut buffer) {
                write(&tail, buffer.get(..length).unwrap_or_default());
            }
        });
        Ok(Some(Background {
            running: Some(running),
            place,
            ended: None,
        }))
    }

    /// Ends the service. That it has ended by itself is fine if it was content.
    fn end_service(&mut self, mut background: Background) -> Result<(), SandboxError> {
        if let Some(code) = background.code(self.root)?.filter(|code| *code != 0) {
            let fault = background.place.fault(
                "start",
                "that it runs, or ends with exit code 0",
                format!("exit code {code}"),
            );
            self.faults.push(fault);
        }
        Ok(())
    }

    /// Runs a command to its end, or the test's.
    fn command(
        &self,
        argv: &[String],
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<End, SandboxError> {
        match self.root.run(&self.rooted(argv), self.left(), output) {
            Ok(Some(code)) => Ok(End::Code(code)),
            Ok(None) => Ok(End::OutOfTime),
            Err(SandboxError::Work(problem)) => Ok(End::Refused(problem)),
            Err(error) => Err(error),
        }
    }

    fn in_words(&self, end: &End) -> String {
        match end {
            End::Code(code) => format!("exit code {code}"),
            End::Refused(problem) => problem.clone(),
            End::OutOfTime => {
                let limit = crate::format::duration(self.test.timeout.as_secs_f64());
                format!("that the test's time of {limit} was up")
            }
        }
    }

    /// The time that is left; none for as much as there is.
    fn left(&self) -> Option<Duration> {
        self.end
            .map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// A command as it begins in the root.
    fn rooted(&self, argv: &[String]) -> RootCommand {
        let mut command = self.start.command([]);
        command.argv = argv.to_vec();
        for (name, value) in &self.test.env {
            command.env.retain(|(existing, _)| existing != name);
            command.env.push((name.clone(), value.clone()));
        }
        if self.test.expands {
            let of_image = self.image_variables();
            for (name, value) in &mut command.env {
                if self.test.env.contains_key(name) {
                    *value = expand(value, &of_image);
                }
            }
        }
        if let Some(user) = &self.test.user {
            command.user.clone_from(user);
        }
        if let Some(workdir) = &self.test.workdir {
            command.workdir.clone_from(workdir);
        }
        command
    }

    fn expanded(&self, text: &str) -> String {
        if !self.test.expands {
            return text.to_owned();
        }
        let mut variables = self.image_variables();
        let of_image = variables.clone();
        for (name, value) in &self.test.env {
            variables.insert(name.clone(), expand(value, &of_image));
        }
        expand(text, &variables)
    }

    fn image_variables(&self) -> BTreeMap<String, String> {
        self.start.environment.iter().cloned().collect()
    }
}

impl Background {
    /// The code that it has ended with; none if it still runs.
    fn code(&mut self, root: &OpenRoot) -> Result<Option<i32>, SandboxError> {
        if let Some(running) = self.running.take() {
            let mut events = [PollFd::new(&running, PollFlags::IN)];
            match poll(&mut events, Some(&Timespec::default())) {
                Ok(1..) => self.ended = Some(running.wait(root)?),
                _ => self.running = Some(running),
            }
        }
        Ok(self.ended)
    }
}
