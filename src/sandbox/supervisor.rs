//! The supervisor: the helper's first process. It enters the user namespace, starts and watches
//! PID 1 of a step, and does the work on trees that needs the same namespace.

use super::connection::Connection;
use super::control_group::ControlGroup;
use super::error::{Failure, NAMESPACES, namespace_refusal};
use super::init::{InitReport, InitSpec};
use super::means::Means;
use super::mount_point::Stub;
use super::protocol::{
    Action, Answer, Envelope, FailureKind, Mount, MountKind, Network, Request, RootSpec,
    StepOutcome, StepReport, StepSpec,
};
use super::writable::{self, Upper};
use super::{
    INIT_NAME, agent, chown, chroot, descendants, host_process, root, sys, tasks, user_network,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::UnshareFlags;
use rustix::time::Timespec;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// The exit code of the helper itself when it cannot even talk to hardtack.
const BROKEN: i32 = 125;

/// What every step gets of its own, beside its mounts.
const NAMESPACES_OF_STEP: UnshareFlags = UnshareFlags::NEWIPC
    .union(UnshareFlags::NEWUTS)
    .union(UnshareFlags::NEWCGROUP);

/// Serves one request, and gives the exit code of the helper.
pub(super) fn main() -> i32 {
    // A folder that a careless caller has left open would be a way out of the root
    // (CVE-2024-21626).
    if sys::keep_descriptors_private().is_err() {
        return BROKEN;
    }
    let Ok(mut connection) = Connection::inherited() else {
        return BROKEN;
    };
    let Ok(Some((envelope, descriptor))) = connection.receive_with::<Envelope>() else {
        return BROKEN;
    };
    let answer = match serve(&mut connection, envelope, descriptor) {
        Ok(answer) => answer,
        Err((kind, text)) => Answer::Failed { kind, text },
    };
    // If nobody listens any more, nobody is left to be told.
    match connection.send(&answer) {
        Ok(()) => 0,
        Err(_) => BROKEN,
    }
}

fn serve(
    connection: &mut Connection,
    envelope: Envelope,
    descriptor: Option<OwnedFd>,
) -> Result<Answer, Failure> {
    if envelope.user_namespace {
        enter_user_namespace(connection)?;
    }
    let facts = Facts {
        user_namespace: envelope.user_namespace,
        many_ids: envelope.many_ids,
        means: envelope.means,
    };
    if !matches!(envelope.request, Request::HostCommand { .. }) {
        // The same files whatever the caller's.
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
    }
    match envelope.request {
        Request::Probe { scratch } => probe(connection, scratch.as_deref(), &facts),
        Request::Step(spec) => step(connection, &spec, &facts, descriptor),
        Request::Open(root) => open(connection, &root, &facts, descriptor),
        Request::Task(task) => {
            die_with_parent();
            tasks::run(task)
                .map(Answer::Task)
                .map_err(|text| (FailureKind::Work, text))
        }
        Request::HostCommand {
            argv,
            environment,
            working_folder,
            has_stdout,
        } => {
            let stdout = descriptor.filter(|_| has_stdout);
            host_process::run(connection, &argv, environment, &working_folder, stdout)
        }
    }
}

/// What the mapping of ids means for a step, and what it is made with.
#[derive(Clone, Copy)]
struct Facts {
    user_namespace: bool,
    many_ids: bool,
    means: Means,
}

/// Makes a user namespace and waits until hardtack has mapped its ids.
fn enter_user_namespace(connection: &mut Connection) -> Result<(), Failure> {
    let failed = |text: String| (FailureKind::UserNamespace, text);
    sys::unshare(UnshareFlags::NEWUSER).map_err(|error| failed(namespace_refusal(&error)))?;
    connection
        .send(&Answer::NeedsIds)
        .map_err(|error| failed(error.to_string()))?;
    match connection.receive::<bool>() {
        Ok(Some(true)) => {}
        Ok(_) => return Err(failed("hardtack has gone".to_owned())),
        Err(error) => return Err(failed(error.to_string())),
    }
    let root = rustix::process::Gid::ROOT;
    rustix::thread::set_thread_res_gid(root, root, root)
        .map_err(|error| failed(error.to_string()))?;
    let root = rustix::process::Uid::ROOT;
    rustix::thread::set_thread_res_uid(root, root, root)
        .map_err(|error| failed(error.to_string()))?;
    // Merging the layers below takes a mount namespace that belongs to this user namespace.
    sys::unshare(UnshareFlags::NEWNS).map_err(|error| failed(namespace_refusal(&error)))
}

/// Tries the namespaces that every step needs, or runs a step that does nothing.
fn probe(
    connection: &Connection,
    scratch: Option<&Path>,
    facts: &Facts,
) -> Result<Answer, Failure> {
    let Some(scratch) = scratch else {
        if !facts.means.has_namespaces() {
            return Ok(Answer::Ready);
        }
        make_namespaces(NAMESPACES_OF_STEP | UnshareFlags::NEWNS)?;
        return Ok(Answer::Ready);
    };
    let root = RootSpec {
        scratch: scratch.to_owned(),
        ..RootSpec::default()
    };
    let group = ControlGroup::make(&root.limits);
    let end = Upper::prepare(scratch, &[], facts.means).and_then(|upper| {
        let run = Run {
            actions: &[],
            root: &root,
            stubs: &upper.stubs,
            timeout: None,
            group: &group,
        };
        watched(connection, &run, facts, None)
    });
    empty(scratch);
    match end? {
        End::Reported(InitReport::Done { .. }) => Ok(Answer::Ready),
        End::Reported(InitReport::Failed { kind, text }) => Err((kind, text)),
        End::Cancelled => Err((FailureKind::Cancelled, "interrupted".to_owned())),
        _ => Err(unexpected_report()),
    }
}

fn make_namespaces(kinds: UnshareFlags) -> Result<(), Failure> {
    sys::unshare(kinds).map_err(|error| {
        let text = format!("{NAMESPACES}: {}", namespace_refusal(&error));
        (FailureKind::Setup, text)
    })
}

/// Ends this process when hardtack ends; for work that has no process below it.
fn die_with_parent() {
    // Without it the work is merely finished in vain.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

fn step(
    connection: &Connection,
    spec: &StepSpec,
    facts: &Facts,
    door: Option<OwnedFd>,
) -> Result<Answer, Failure> {
    let scratch = &spec.root.scratch;
    let mut upper = Upper::prepare(scratch, &spec.root.lowers, facts.means).map(Some);
    let mut result = match &mut upper {
        Ok(upper) => attempt(connection, spec, upper, facts, door),
        Err((kind, text)) => Err((*kind, std::mem::take(text))),
    };
    let is_done = matches!(
        &result,
        Ok(Answer::Step(StepReport {
            outcome: StepOutcome::Done,
            ..
        }))
    );
    if !is_done {
        let refusal = match spec.keep_failed {
            true => may_be_kept(&result, &spec.root),
            false => Err(None),
        };
        if let Err(why) = refusal {
            if let (Ok(Answer::Step(report)), Some(why)) = (&mut result, why) {
                report
                    .notes
                    .push(format!("nothing of the failed step is kept: {why}"));
            }
            empty(scratch);
            return result;
        }
    }
    // As the commands left it, it is to be the uppermost layer of another step.
    let kept = match upper {
        Ok(Some(upper)) => upper.finish().map(drop),
        _ => Ok(()),
    };
    let tidied = kept.and_then(|()| writable::tidy(scratch));
    match (result, tidied) {
        (Ok(_), Err(text)) => Err((FailureKind::Work, text)),
        (result, _) => result,
    }
}

/// Runs the actions of a step and, if they succeed, takes `upper` to make a layer of it.
fn attempt(
    connection: &Connection,
    spec: &StepSpec,
    upper: &mut Option<Upper>,
    facts: &Facts,
    door: Option<OwnedFd>,
) -> Result<Answer, Failure> {
    let stubs = upper
        .as_ref()
        .map_or_else(Vec::new, |upper| upper.stubs.clone());
    let group = ControlGroup::make(&spec.root.limits);
    let run = Run {
        actions: &spec.actions,
        root: &spec.root,
        stubs: &stubs,
        timeout: spec.timeout,
        group: &group,
    };
    let end = watched(connection, &run, facts, door);
    chroot::leave(&spec.root.scratch).map_err(|text| (FailureKind::Work, text))?;
    let end = end?;
    finish_step(connection, spec, upper, facts, &group, end)
}

/// Looks whether what a failed step has left is free of secrets; an error says why not, if the
/// result does not.
fn may_be_kept(result: &Result<Answer, Failure>, root: &RootSpec) -> Result<(), Option<String>> {
    if matches!(result, Err((FailureKind::Secret, _))) {
        return Err(None);
    }
    if root.secrets.is_empty() {
        return Ok(());
    }
    tasks::search(&root.scratch.join("fs"), &root.secrets).map_err(|(_, why)| Some(why))
}

/// Turns the upper of a step that succeeded into a clean tree and names its layer.
fn finish_step(
    connection: &Connection,
    spec: &StepSpec,
    upper: &mut Option<Upper>,
    facts: &Facts,
    group: &ControlGroup,
    end: End,
) -> Result<Answer, Failure> {
    let outcome = match end {
        End::Reported(InitReport::Done { .. }) if group.has_killed() => StepOutcome::KilledAtLimit,
        End::Reported(InitReport::Done { stubs }) => {
            root::tidy(&spec.root.scratch, &stubs).map_err(|text| (FailureKind::Work, text))?;
            StepOutcome::Done
        }
        End::Reported(InitReport::Exited { code, action }) => {
            let allowed = match spec.actions.get(action) {
                Some(Action::Run { accept, .. }) => accept.clone(),
                _ => vec![0],
            };
            StepOutcome::Failed { code, allowed }
        }
        End::Reported(InitReport::Failed { kind, text }) => {
            return Err((kind, group.explain(&spec.root.limits, text)));
        }
        End::Reported(InitReport::Listening | InitReport::Isolated | InitReport::Agent { .. }) => {
            return Err(unexpected_report());
        }
        End::Reported(InitReport::Abandoned) => StepOutcome::Abandoned,
        End::TimedOut => StepOutcome::TimedOut,
        End::Cancelled => StepOutcome::Cancelled,
    };
    let mut report = StepReport {
        outcome,
        diff_id: None,
        tar_size: 0,
        notes: group.unlimited(&spec.root.limits, facts.user_namespace),
        reached: Vec::new(),
    };
    report.reached = group.reached(&spec.root.limits, &report.outcome);
    if report.outcome != StepOutcome::Cancelled {
        report.notes.extend(tasks::search_caches(&spec.root));
    }
    if report.outcome != StepOutcome::Done {
        return Ok(Answer::Step(report));
    }
    die_with_parent();
    // It sends nothing more, so that all there is to hear is its end.
    if connection.is_readable() {
        return Err((FailureKind::Cancelled, "hardtack has gone".to_owned()));
    }
    let below = upper
        .take()
        .map_or_else(|| Ok(spec.root.lowers.clone()), Upper::finish)
        .map_err(|text| (FailureKind::Work, text))?;
    let (diff_id, tar_size) = tasks::settle_step(&spec.root, &below, spec.epoch)?;
    report.notes.extend(tasks::unsearched(&spec.root.secrets));
    report.diff_id = diff_id;
    report.tar_size = tar_size;
    Ok(Answer::Step(report))
}

/// Keeps a root open until it is closed, on an upper that is thrown away.
fn open(
    connection: &Connection,
    root: &RootSpec,
    facts: &Facts,
    door: Option<OwnedFd>,
) -> Result<Answer, Failure> {
    let group = ControlGroup::make(&root.limits);
    let result = Upper::prepare(&root.scratch, &root.lowers, facts.means).and_then(|upper| {
        let run = Run {
            actions: &[Action::Open],
            root,
            stubs: &upper.stubs,
            timeout: None,
            group: &group,
        };
        watched(connection, &run, facts, door)
    });
    drop(group);
    empty(&root.scratch);
    match result? {
        End::Reported(InitReport::Done { .. } | InitReport::Abandoned) => Ok(Answer::Closed),
        End::Reported(InitReport::Failed { kind, text }) => Err((kind, text)),
        End::Reported(
            InitReport::Listening
            | InitReport::Isolated
            | InitReport::Agent { .. }
            | InitReport::Exited { .. },
        ) => Err(unexpected_report()),
        End::TimedOut | End::Cancelled => Err((FailureKind::Cancelled, "interrupted".to_owned())),
    }
}

fn unexpected_report() -> Failure {
    let text = "the first process gave a report out of turn; this is a bug in hardtack";
    (FailureKind::Setup, text.to_owned())
}

/// Threads that were started while they could be.
struct Helpers {
    forwarder: Option<Sender<agent::Forwarding>>,
    starter: Option<user_network::Starter>,
}

/// How PID 1 ended.
enum End {
    Reported(InitReport),
    TimedOut,
    Cancelled,
}

/// What PID 1 is started for.
struct Run<'a> {
    actions: &'a [Action],
    root: &'a RootSpec,
    /// Mount points that were made for it.
    stubs: &'a [Stub],
    timeout: Option<Duration>,
    group: &'a ControlGroup,
}

/// Starts PID 1 of a step and watches it until it has ended.
#[allow(clippy::too_many_arguments)] // Each is one fact of the step, and they come from two callers.
fn watched(
    connection: &Connection,
    run: &Run<'_>,
    facts: &Facts,
    door: Option<OwnedFd>,
) -> Result<End, Failure> {
    let Run {
        actions,
        root,
        stubs,
        timeout,
        group,
    } = *run;
    let setup = |what: &'static str| {
        move |error: io::Error| (FailureKind::Setup, format!("{what}: {error}"))
    };
    let is_agent = |mount: &Mount| matches!(mount.kind, MountKind::Agent { .. });
    let forwarder = match root.mounts.iter().any(is_agent) {
        true => Some(agent::forwarder().map_err(setup("forward an ssh agent"))?),
        false => None,
    };
    let starter = match root.network {
        Network::User => {
            Some(user_network::starter(!facts.user_namespace).map_err(setup("make a network"))?)
        }
        Network::Host | Network::None => None,
    };
    let helpers = Helpers { forwarder, starter };
    let mut namespaces = NAMESPACES_OF_STEP;
    if root.network == Network::None {
        namespaces |= UnshareFlags::NEWNET;
    }
    if facts.means.has_process_namespace() {
        namespaces |= UnshareFlags::NEWPID;
    } else {
        descendants::adopt_orphans().map_err(|error| setup("adopt orphans")(error.into()))?;
    }
    if facts.means.has_namespaces() {
        make_namespaces(namespaces)?;
    } else if let Some(text) = chroot::refusal(root) {
        return Err((FailureKind::Work, text));
    }

    let (mut init, theirs) = Connection::pair().map_err(setup("make a socket"))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(INIT_NAME).stdin(theirs).env_clear();
    let child = command.spawn().map_err(setup("start the first process"))?;
    drop(command);
    // What still writes when PID 1 has ended must be the end of the streams.
    detach_output().map_err(setup("close the output"))?;
    // It waits for what it is to do, and so is in the groups before it does anything.
    if let Err(error) = group.add(child.id()) {
        kill_and_wait(child);
        return Err(setup("enter a control group")(error));
    }
    let spec = InitSpec {
        actions: actions.to_vec(),
        root: root.clone(),
        means: facts.means,
        user_namespace: facts.user_namespace,
        many_ids: facts.many_ids,
        limits: group.rest(&root.limits),
        has_control_group: !group.is_empty(),
        stubs: stubs.to_vec(),
    };
    let sent = match &door {
        Some(door) => init.send_with(&spec, door.as_fd()),
        None => init.send(&spec),
    };
    // With PID 1 the last one goes who could answer those that wait at it.
    drop(door);
    match sent {
        Ok(()) => watch(connection, &mut init, child, timeout, &helpers),
        Err(error) => {
            kill_and_wait(child);
            Err((
                FailureKind::Setup,
                format!("talk to the first process: {error}"),
            ))
        }
    }
}

/// Points this process' own output elsewhere.
pub(super) fn detach_output() -> io::Result<()> {
    let null = fs::File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Waits for PID 1's end; kills it on timeout, or when hardtack hangs up.
fn watch(
    connection: &Connection,
    init: &mut Connection,
    child: Child,
    timeout: Option<Duration>,
    helpers: &Helpers,
) -> Result<End, Failure> {
    let setup = |error: io::Error| {
        (
            FailureKind::Setup,
            format!("watch the first process: {error}"),
        )
    };
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut calls: Option<chown::Answerer> = None;
    let mut network = None;
    let mut report = None;
    let mut talking = true;
    while talking {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            kill_and_wait(child);
            return Ok(End::TimedOut);
        }
        let mut events = vec![
            PollFd::new(connection, PollFlags::IN),
            PollFd::new(init, PollFlags::IN),
        ];
        if let Some(calls) = &calls {
            events.push(PollFd::new(calls, PollFlags::IN));
        }
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut events, left.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => {
                kill_and_wait(child);
                return Err(setup(error.into()));
            }
        }
        let ready: Vec<PollFlags> = events.iter().map(PollFd::revents).collect();
        drop(events);
        if ready.first().is_some_and(|ready| !ready.is_empty()) {
            kill_and_wait(child);
            return Ok(End::Cancelled);
        }
        if ready
            .get(2)
            .is_some_and(|ready| ready.contains(PollFlags::IN))
            && let Some(calls) = &calls
        {
            calls.answer_one();
        }
        if ready.get(1).is_some_and(|ready| !ready.is_empty()) {
            match init.receive_with::<InitReport>() {
                Ok(Some((InitReport::Listening, listener))) => {
                    calls = listener.map(chown::Answerer::new);
                }
                Ok(Some((InitReport::Agent { socket }, Some(listener)))) => {
                    if let Some(forwarder) = &helpers.forwarder {
                        // It listens as long as this process lives.
                        let _ = forwarder.send((listener.into(), socket));
                    }
                }
                Ok(Some((InitReport::Isolated, _))) => {
                    let attached = match &helpers.starter {
                        Some(starter) => starter.attach(child.id()),
                        None => Err("nobody is there to make it".to_owned()),
                    };
                    match attached {
                        Ok(attached) => {
                            // An error is the end of PID 1, of which we learn soon.
                            let _ = init.send(&attached.resolver);
                            network = Some(attached);
                        }
                        Err(text) => {
                            kill_and_wait(child);
                            return Err((FailureKind::Network, text));
                        }
                    }
                }
                Ok(Some((message, _))) => report = Some(message),
                Ok(None) => talking = false,
                Err(error) => {
                    kill_and_wait(child);
                    return Err(setup(error));
                }
            }
        }
        if report.is_some() {
            break;
        }
    }
    // Its end kills whatever it has left running.
    let code = kill_and_wait(child);
    drop(network);
    report.map(End::Reported).ok_or_else(|| {
        (
            FailureKind::Setup,
            format!("the first process of the step was killed ({code})"),
        )
    })
}

/// Kills the first process, and with it everything that it has started, and waits until all of it
/// has gone.
fn kill_and_wait(mut child: Child) -> String {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
    {
        // It only fails when the process has ended already.
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
    let end = child
        .wait()
        .map_or_else(|error| error.to_string(), |status| status.to_string());
    // The end of a process namespace has ended all that was in it: there is nothing to find then.
    descendants::kill_all();
    end
}

/// Removes all that is in the scratch folder of a step that failed.
fn empty(scratch: &Path) {
    // What stays is swept by a later build.
    let _ = tasks::empty(scratch);
}
