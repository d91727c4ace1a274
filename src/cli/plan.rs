//! `hardtack plan`, and what it shares with `hardtack build`: from arguments to a plan.

use super::arguments::{Plan as PlanArguments, TemplateArguments};
use super::build::open_store;
use super::error::CommandError;
use super::surroundings::Surroundings;
use crate::build::{self, Environment, Forecast, StepForecast};
use crate::plan::{Plan, PlannedBuild, Settings};
use crate::template::{self, Template};
use anyhow::Context as _;
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

/// Loads the template and plans its builds; whatever is wrong is written to stderr, all at once.
pub fn prepare(
    arguments: &TemplateArguments,
    surroundings: &Surroundings,
) -> Result<Plan, CommandError> {
    let load = template::LoadOptions {
        path: arguments.path.clone(),
        variables: arguments.variables.clone(),
        variable_files: arguments.variable_files.clone(),
        environment: surroundings.environment.clone(),
        working_folder: surroundings.working_folder.clone(),
        home: surroundings.home.clone(),
        now: surroundings.now,
    };
    let report = |diagnostics: &crate::diagnostic::Diagnostics,
                  sources: &crate::diagnostic::SourceMap| {
        let text = diagnostics.render(sources, surroundings.color);
        // Nobody is left to be told if stderr is closed.
        let _ = std::io::stderr().write_all(text.as_bytes());
        CommandError::reported()
    };
    let template = Template::load(load)
        .map_err(|failure| report(&failure.diagnostics, &failure.sources))?;
    let settings = Settings {
        working_folder: surroundings.working_folder.clone(),
        architecture: architecture().to_owned(),
        only: arguments.only.clone(),
        except: arguments.except.clone(),
        now: surroundings.now,
    };
    Plan::new(template, settings).map_err(|(diagnostics, sources)| report(&diagnostics, &sources))
}

/// The architecture of this binary as OCI names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Runs the command.
pub fn run(
    arguments: &PlanArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let plan = prepare(&arguments.template, surroundings)?;
    let store = open_store(surroundings)?;
    let environment = Environment::new(
        surroundings.build_settings(arguments.template.no_cache),
        store,
        crate::ui::silent(),
    );
    let forecasts =
        build::forecast(&environment, &plan).map_err(|error| CommandError::user(error))?;
    let text = if arguments.json {
        as_json(&plan, &forecasts)?
    } else {
        as_text(&plan, &forecasts, surroundings)
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(plan: &Plan, forecasts: &[Forecast]) -> Result<String, CommandError> {
    let builds: Vec<_> = plan
        .builds
        .iter()
        .zip(forecasts)
        .map(|(build, forecast)| {
            let steps: Vec<_> = build
                .steps
                .iter()
                .zip(&forecast.steps)
                .map(|(step, forecast)| match forecast {
                    StepForecast::Hit { key, layer } => json!({
                        "name": step.name, "key": key, "state": "hit", "diff_id": layer,
                    }),
                    StepForecast::Miss { key, reasons } => json!({
                        "name": step.name, "key": key, "state": "miss", "reasons": reasons,
                    }),
                    StepForecast::Unknown => json!({ "name": step.name, "state": "unknown" }),
                })
                .collect();
            json!({
                "name": build.name,
                "base": { "type": build.source_type, "description": build.base.description() },
                "depends_on": build.depends_on.and_then(|index| plan.builds.get(index)).map(|build| &build.name),
                "steps": steps,
            })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&json!({ "builds": builds }))
        .context("cannot write JSON")?;
    text.push('\n');
    Ok(text)
}

fn as_text(plan: &Plan, forecasts: &[Forecast], surroundings: &Surroundings) -> String {
    let mut text = String::new();
    for (build, forecast) in plan.builds.iter().zip(forecasts) {
        write_build(&mut text, build, forecast);
    }
    for warning in &plan.warnings {
        text.push_str(&warning.render(plan.source_map(), surroundings.color));
    }
    text
}

fn write_build(text: &mut String, build: &PlannedBuild, forecast: &Forecast) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", build.name);
    let _ = writeln!(text, "  base    {}", build.base.description());
    for (step, forecast) in build.steps.iter().zip(&forecast.steps) {
        let (state, key, reasons) = match forecast {
            StepForecast::Hit { key, .. } => ("hit", key.0.short(), &[][..]),
            StepForecast::Miss { key, reasons } => ("miss", key.0.short(), reasons.as_slice()),
            StepForecast::Unknown => ("later", "-".to_owned(), &[][..]),
        };
        let _ = writeln!(text, "  {state:<6}  {key:<12}  {}", step.history);
        for reason in reasons {
            let _ = writeln!(text, "                        {reason}");
        }
        for function in &step.volatile {
            let _ = writeln!(
                text,
                "                        this step can never be cached: {function}() differs on each run"
            );
        }
    }
}
