//! `hardtack plan`.

use super::arguments::Plan as PlanArguments;
use super::build::open_store;
use super::error::CommandError;
use super::lock_file::LockFile;
use super::output;
use super::sharing;
use super::surroundings::Surroundings;
use super::template::{self, Request};
use crate::build::{self, Forecast, StepForecast};
use crate::cache::Warn;
use crate::mask::Masker;
use crate::plan::{Plan, PlannedBuild};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command.
pub fn run(
    arguments: &PlanArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let request = Request::to_build(&arguments.template, surroundings)?;
    let checked = template::check(request, surroundings, surroundings.color);
    checked.print_messages(true);
    let plan = checked.plan.ok_or_else(CommandError::reported)?;
    let store = open_store(surroundings)?;
    let mut environment = surroundings.build_environment(store, crate::ui::silent());
    environment.no_cache = arguments.template.no_cache;
    let masker = checked.masker.clone();
    let warn: Warn = Arc::new(move |text| {
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(std::io::stderr(), "warning: {}", masker.mask_neutral(&text));
    });
    environment.cache = sharing::cache(
        &arguments.sharing,
        &plan.sharing,
        &environment,
        surroundings,
        warn,
    );
    let lock = LockFile::of(&arguments.template.path, surroundings);
    let lock = lock.read(surroundings, &checked.masker)?;
    environment.pins = Arc::new(lock.unwrap_or_default().pins(false));
    let forecasts = match build::forecast(&environment, &plan) {
        Ok(forecasts) => forecasts,
        Err(failure) => {
            let (error, text) = *failure;
            // Nobody is left to be told if stderr is closed.
            let _ = write!(std::io::stderr(), "{}", checked.masker.mask_neutral(&text));
            return Ok(ExitCode::from(if error.is_of_host() { 4 } else { 1 }));
        }
    };
    if arguments.json {
        output::print_json(&as_json(&plan, &forecasts, &checked.masker))?;
    } else {
        let text = as_text(&plan, &forecasts);
        output::print(&checked.masker.mask_neutral(&text))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(plan: &Plan, forecasts: &[Forecast], masker: &Masker) -> Value {
    let masked = |text: &str| masker.mask(text).into_owned();
    let one = |(name, forecast): (&str, &StepForecast)| match forecast {
        StepForecast::Hit { key, layer, source } => json!({
            "name": masked(name), "key": key, "state": "hit", "diff_id": layer,
            "source": source,
        }),
        StepForecast::Miss { key, reasons } => json!({
            "name": masked(name), "key": key, "state": "miss",
            "reasons": reasons.iter().map(|reason| masked(reason)).collect::<Vec<_>>(),
        }),
        StepForecast::Host => json!({ "name": masked(name), "state": "host" }),
        StepForecast::Unknown => json!({ "name": masked(name), "state": "unknown" }),
    };
    let builds: Vec<_> = plan
        .builds
        .iter()
        .zip(forecasts)
        .map(|(build, forecast)| {
            let steps = build.steps.iter().map(|step| step.name.as_str());
            let tests = build.tests.iter().map(|test| test.name.as_str());
            let steps: Vec<_> = steps.zip(&forecast.steps).map(one).collect();
            let tests: Vec<_> = tests.zip(&forecast.tests).map(one).collect();
            json!({
                "name": masked(&build.name),
                "base": { "type": build.source_type, "description": masked(&build.description()) },
                "depends_on": build.depends_on.and_then(|index| plan.builds.get(index)).map(|build| masked(&build.name)),
                "steps": steps,
                "tests": tests,
            })
        })
        .collect();
    json!({ "builds": builds })
}

fn as_text(plan: &Plan, forecasts: &[Forecast]) -> String {
    let mut text = String::new();
    for (build, forecast) in plan.builds.iter().zip(forecasts) {
        write_build(&mut text, build, forecast);
    }
    text
}

fn write_build(text: &mut String, build: &PlannedBuild, forecast: &Forecast) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", build.name);
    let _ = writeln!(text, "  base    {}", build.description());
    let steps = build.steps.iter().map(|step| step.history.clone());
    let tests = build
        .tests
        .iter()
        .map(|test| format!("test: {}", test.name));
    let of_steps = steps.zip(&forecast.steps);
    for (what, forecast) in of_steps.chain(tests.zip(&forecast.tests)) {
        let (state, key, reasons) = match forecast {
            StepForecast::Hit { key, source, .. } => {
                let source = source.iter().map(|source| format!("from {source}"));
                ("hit", key.0.short(), source.collect())
            }
            StepForecast::Miss { key, reasons } => ("miss", key.0.short(), reasons.clone()),
            StepForecast::Host => ("host", "-".to_owned(), Vec::new()),
            StepForecast::Unknown => ("later", "-".to_owned(), Vec::new()),
        };
        let _ = writeln!(text, "  {state:<6}  {key:<12}  {what}");
        for reason in reasons {
            let _ = writeln!(text, "                        {reason}");
        }
    }
}
