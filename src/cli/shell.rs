//! `hardtack shell`: a shell in the state that a build has at one moment.

use super::build::{Output, open_store};
use super::error::CommandError;
use super::interrupt;
use super::lock_file::LockFile;
use super::secret_arguments::SecretArguments;
use super::sharing::{self, SharingArguments};
use super::surroundings::{self, Surroundings};
use super::template::{self, Request};
use super::variable_arguments::VariableArguments;
use crate::build::state::{self, Moment, State};
use crate::plan::{Costs, Plan, PlannedBuild};
use crate::sandbox::{RootCommand, SandboxError, attach};
use anyhow::anyhow;
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The exit code for a failure of hardtack itself, as `hardtack run` has it.
const OWN_FAILURE: u8 = 125;

/// `hardtack shell`.
#[derive(Args, Debug)]
pub struct ShellArguments {
    /// A template file, or a folder of *.pkr.hcl files.
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Values of variables.
    #[command(flatten)]
    variables: VariableArguments,

    /// The build, by its name or a part of it that no other has [default: the only one].
    #[arg(long, value_name = "BUILD")]
    build: Option<String>,

    /// The state that this step begins with: its number, its name or its type.
    #[arg(long, value_name = "STEP", conflicts_with_all = ["after", "failed"])]
    before: Option<String>,

    /// The state that this step has left [default: after all steps].
    #[arg(long, value_name = "STEP", conflicts_with = "failed")]
    after: Option<String>,

    /// What the step has left that failed in the last build.
    #[arg(long)]
    failed: bool,

    /// Start as this user instead of the one that steps run as.
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Where secrets come from.
    #[command(flatten)]
    secrets: SecretArguments,

    /// With whom results of steps are shared.
    #[command(flatten)]
    sharing: SharingArguments,

    /// The command and its arguments [default: bash, or sh].
    #[arg(value_name = "CMD", last = true)]
    command: Vec<String>,
}

/// Runs the command; the exit code is that of the shell.
pub fn run(
    arguments: &ShellArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let request = Request {
        evaluate_data_sources: true,
        costs: Costs::default(),
        secrets: Some(arguments.secrets.flags.clone()),
        ..Request::to_look_at(&arguments.path, &arguments.variables)
    };
    let checked = template::check(request, surroundings, surroundings.color);
    checked.print_messages(true);
    let plan = checked.plan.ok_or_else(CommandError::reported)?;
    let build = find_build(&plan, arguments.build.as_deref())?;
    let moment = moment(arguments, build)?;

    let display = Arc::new(Output::on_stderr(surroundings).display(plan.secrets.clone()));
    let store = open_store(surroundings)?;
    let mut environment = surroundings.build_environment(store, display.clone());
    environment.cache = sharing::cache(
        &arguments.sharing,
        &plan.sharing,
        &environment,
        surroundings,
        surroundings::warnings(&environment.events),
    );
    let lock = LockFile::of(&arguments.path, surroundings).read(surroundings, &checked.masker)?;
    environment.pins = Arc::new(lock.unwrap_or_default().pins(false));
    interrupt::watch(&environment.cancel);
    let environment = Arc::new(environment);
    let visit = |state: &State<'_>| {
        display.give_way();
        let command = command(arguments, state)?;
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(
            std::io::stderr(),
            "{}; what you change is thrown away{}",
            state.description,
            but_for(state.lasting)
        );
        attach::run(state.root, &command, &environment.cancel)
    };
    match state::open(&environment, &plan, build, moment, visit) {
        Ok(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(OWN_FAILURE))),
        Err(failure) => {
            display.give_way();
            let text = checked.masker.mask_neutral(&failure.1).into_owned();
            let _ = std::io::stderr().write_all(text.as_bytes());
            Ok(ExitCode::from(OWN_FAILURE))
        }
    }
}

/// Names what is not thrown away.
fn but_for(lasting: &[&str]) -> String {
    match lasting {
        [] => String::new(),
        targets => format!(", but not in {}, which outlast it", targets.join(", ")),
    }
}

/// What runs in the root.
fn command(arguments: &ShellArguments, state: &State<'_>) -> Result<RootCommand, SandboxError> {
    let mut argv = arguments.command.clone();
    if argv.is_empty() {
        argv.extend(state::shell(state.root)?.map(str::to_owned));
    }
    if argv.is_empty() {
        return Err(SandboxError::Work(
            "this root has no shell; name a command of it: hardtack shell PATH -- CMD".to_owned(),
        ));
    }
    Ok(RootCommand {
        argv,
        env: state.start.environment.clone(),
        user: arguments
            .user
            .clone()
            .unwrap_or_else(|| state.start.user.clone()),
        workdir: state.start.workdir.clone(),
    })
}

/// Finds the build that is meant.
fn find_build<'a>(plan: &'a Plan, name: Option<&str>) -> Result<&'a PlannedBuild, CommandError> {
    let list = || {
        let names: Vec<&str> = plan
            .builds
            .iter()
            .map(|build| build.name.as_str())
            .collect();
        format!("builds are {}", names.join(", "))
    };
    let found: Vec<&PlannedBuild> = match name {
        None => plan.builds.iter().collect(),
        Some(name) => plan.matching(name),
    };
    match (found.as_slice(), name) {
        ([one], _) => Ok(one),
        ([], Some(name)) => {
            Err(CommandError::user(anyhow!("there is no build named {name:?}")).hint(list()))
        }
        (_, Some(name)) => {
            Err(CommandError::user(anyhow!("{name:?} can be several builds")).hint(list()))
        }
        (_, None) => Err(
            CommandError::user(anyhow!("the template has several builds"))
                .hint("name one with --build")
                .hint(list()),
        ),
    }
}

/// The moment that the flags mean.
fn moment(arguments: &ShellArguments, build: &PlannedBuild) -> Result<Moment, CommandError> {
    if arguments.failed {
        return Ok(Moment::Failed);
    }
    match (&arguments.before, &arguments.after) {
        (Some(step), _) => Ok(Moment::Before(find_step(build, step)?)),
        (None, Some(step)) => Ok(Moment::After(find_step(build, step)?)),
        (None, None) => Ok(Moment::End),
    }
}

/// Finds a step by its number, which counts from 1, its name, or its type.
fn find_step(build: &PlannedBuild, wanted: &str) -> Result<usize, CommandError> {
    let steps = &build.steps;
    if let Ok(number) = wanted.parse::<usize>()
        && (1..=steps.len()).contains(&number)
    {
        return Ok(number - 1);
    }
    let matching = |test: &dyn Fn(&str, &str) -> bool| -> Vec<usize> {
        let found = steps.iter().filter(|step| test(&step.name, &step.id));
        found.map(|step| step.index).collect()
    };
    let by_name = matching(&|name, id| name == wanted || id == wanted);
    let found = match by_name.is_empty() {
        false => by_name,
        true => matching(&|name, _| {
            let (kind, own) = name.split_once('.').unwrap_or((name, ""));
            kind == wanted || own == wanted
        }),
    };
    if let [one] = found.as_slice() {
        return Ok(*one);
    }
    let list = steps
        .iter()
        .map(|step| format!("{} ({})", step.index + 1, step.name));
    let list = format!("steps are {}", list.collect::<Vec<_>>().join(", "));
    let problem = match found.is_empty() {
        true => anyhow!("{} has no step {wanted:?}", build.name),
        false => anyhow!("{wanted:?} can be several steps of {}", build.name),
    };
    Err(CommandError::user(problem).hint(list))
}
