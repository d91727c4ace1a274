//! `hardtack plan`, and what it shares with `hardtack build`: from arguments to a plan.

use super::arguments::{Plan as PlanArguments, TemplateArguments};
use super::build::open_store;
use super::error::CommandError;
use super::surroundings::Surroundings;
use crate::build::{self, Forecast, StepForecast};
use crate::diagnostic::{Colours, Diagnostics, Sources};
use crate::plan::{Plan, PlannedBuild, Settings};
use crate::store::Platform;
use crate::template::{self, LoadArguments, World};
use anyhow::Context as _;
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Loads the template and plans its builds; whatever is wrong is written to stderr, all at once.
pub fn prepare(
    arguments: &TemplateArguments,
    surroundings: &Surroundings,
) -> Result<Plan, CommandError> {
    let load = LoadArguments {
        path: arguments.path.clone(),
        variables: arguments.variables.clone(),
        variable_files: arguments.variable_files.clone(),
        world: World {
            // The loader sets it from the path.
            template_folder: PathBuf::new(),
            working_folder: surroundings.working_folder.clone(),
            home: surroundings.home.clone(),
            now: surroundings.now,
            random: Arc::new(super::surroundings::random),
            environment: surroundings.environment.clone(),
        },
    };
    let write = |diagnostics: &Diagnostics, sources: &Sources| {
        let text = diagnostics.render(sources, colours(surroundings));
        // Nobody is left to be told if stderr is closed.
        let _ = std::io::stderr().write_all(text.as_bytes());
    };
    let loaded = template::load(load).map_err(|failure| {
        write(&failure.diagnostics, &failure.sources);
        CommandError::reported()
    })?;
    write(&loaded.warnings, loaded.template.sources());
    let settings = Settings {
        working_folder: surroundings.working_folder.clone(),
        platform: Platform::host(),
        only: arguments.only.clone(),
        except: arguments.except.clone(),
        now: surroundings.now,
    };
    let plan = Plan::new(loaded.template, settings).map_err(|(diagnostics, sources)| {
        write(&diagnostics, &sources);
        CommandError::reported()
    })?;
    for warning in &plan.warnings {
        let text = warning.render(plan.sources(), colours(surroundings));
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    Ok(plan)
}

fn colours(surroundings: &Surroundings) -> Colours {
    if surroundings.color {
        Colours::On
    } else {
        Colours::Off
    }
}

/// Runs the command.
pub fn run(
    arguments: &PlanArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let plan = prepare(&arguments.template, surroundings)?;
    let store = open_store(surroundings)?;
    let mut environment = surroundings.build_environment(store, crate::ui::silent());
    environment.no_cache = arguments.template.no_cache;
    let forecasts = build::forecast(&environment, &plan).map_err(CommandError::user)?;
    let text = if arguments.json {
        as_json(&plan, &forecasts)?
    } else {
        as_text(&plan, &forecasts)
    };
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .context("cannot write to stdout")?;
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
    let mut text =
        serde_json::to_string_pretty(&json!({ "builds": builds })).context("cannot write JSON")?;
    text.push('\n');
    Ok(text)
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
    }
}
