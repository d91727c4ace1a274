//! The options of an `ansible` block: Packer's, decoded and checked.

use super::galaxy::Galaxy;
use super::inventory::{Inventory, MadeInventory};
use super::{Ansible, CONNECTION, Configuration};
use crate::provision::{Context, Provisioner};
use crate::template::Arguments;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

const DEFAULT_COMMAND: &str = "ansible-playbook";
const DEFAULT_ALIAS: &str = "default";

/// Decodes the options of an `ansible` block.
pub fn prepare(arguments: &Arguments<'_>, context: &Context) -> Option<Box<dyn Provisioner>> {
    let playbook: Option<String> = arguments.required("playbook_file");
    let command: Option<String> = arguments.optional("command");
    let extra: Vec<String> = arguments.optional("extra_arguments").unwrap_or_default();
    let user: Option<String> = arguments.optional("user");
    let keep_inventory_file = arguments.optional("keep_inventory_file").unwrap_or(false);
    let skip_version_check = arguments.optional("skip_version_check").unwrap_or(false);
    let variables = variables(arguments);
    let inventory = inventory(arguments, context);
    let roles_path = folder(arguments, "roles_path", context);
    let collections_path = folder(arguments, "collections_path", context);
    let galaxy = galaxy(arguments, context);
    explain_connection_options(arguments);

    let playbook = playbook.and_then(|it| file(arguments, "playbook_file", &it, context));
    let (extra, connections) = without_connection(extra);
    for connection in &connections {
        arguments.warning(
            arguments.span("extra_arguments"),
            format!("the connection {connection} is left out: tasks enter the image directly"),
            &["drop it here, and the run_command with --name of the source"],
        );
    }
    let mut valid = true;
    if let Some(user) = user.as_deref().filter(|it| !is_name(it)) {
        arguments.error(
            arguments.span("user"),
            format!("{user:?} is not the name of a user"),
            &["it is a user of the image, by name or number"],
        );
        valid = false;
    }
    let variables = variables?;
    let named = variables.get("ANSIBLE_CONFIG");
    let named = named.or_else(|| context.caller.environment.get("ANSIBLE_CONFIG"));
    let configuration = Configuration::find(
        named.map(String::as_str),
        &context.working_folder,
        context.caller.home.as_deref(),
    );
    let command = command.filter(|it| !it.is_empty());
    let ansible = Ansible {
        command: command.unwrap_or_else(|| DEFAULT_COMMAND.to_owned()),
        playbook: playbook?,
        arguments: extra,
        variables,
        inventory: inventory?,
        user: user.filter(|it| !it.is_empty()),
        keep_inventory_file,
        galaxy: galaxy?,
        roles_path,
        collections_path,
        skip_version_check,
        source_name: context.source_name.clone(),
        source_type: context.source_type.clone(),
        working_folder: context.working_folder.clone(),
        caller: Arc::clone(&context.caller),
        configuration,
        go_template: context.go_template.clone(),
        installation: OnceLock::new(),
    };
    if let Inventory::Made(made) = &ansible.inventory
        && let Err(error) = made.text("root", &ansible.go_template)
    {
        let place = arguments.span("inventory_file_template");
        arguments.error(place, error.to_string(), &[]);
        valid = false;
    }
    valid.then(|| Box::new(ansible) as Box<dyn Provisioner>)
}

/// `ansible_env_vars`; none after an error.
fn variables(arguments: &Arguments<'_>) -> Option<BTreeMap<String, String>> {
    let pairs: Vec<String> = arguments.optional("ansible_env_vars").unwrap_or_default();
    let mut variables = BTreeMap::new();
    for pair in pairs {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            _ => {
                arguments.error(
                    arguments.span("ansible_env_vars"),
                    format!("{pair:?} is not of the form NAME=value"),
                    &["write \"ANSIBLE_FORCE_COLOR=1\""],
                );
                return None;
            }
        }
    }
    Some(variables)
}

/// What is taken from Galaxy, if anything; none after an error.
fn galaxy(arguments: &Arguments<'_>, context: &Context) -> Option<Option<Galaxy>> {
    let file: Option<String> = arguments.optional("galaxy_file");
    let command: Option<String> = arguments.optional("galaxy_command");
    // What is installed goes into an empty folder: there is nothing to overwrite.
    let _: Option<bool> = arguments.optional("galaxy_force_install");
    let _: Option<bool> = arguments.optional("galaxy_force_with_deps");
    let Some(file) = file.filter(|it| !it.is_empty()) else {
        return Some(None);
    };
    Some(Some(Galaxy {
        file: self::file(arguments, "galaxy_file", &file, context)?,
        command: command.filter(|it| !it.is_empty()),
        caller: Arc::clone(&context.caller),
        working_folder: context.working_folder.clone(),
    }))
}

/// Where Ansible learns of hosts; none after an error.
fn inventory(arguments: &Arguments<'_>, context: &Context) -> Option<Inventory> {
    let given: Option<String> = arguments.optional("inventory_file");
    let directory = folder(arguments, "inventory_directory", context);
    let host_alias: Option<String> = arguments.optional("host_alias");
    let groups: Vec<String> = arguments.optional("groups").unwrap_or_default();
    let empty_groups: Vec<String> = arguments.optional("empty_groups").unwrap_or_default();
    let template: Option<String> = arguments.unrendered("inventory_file_template");
    if let Some(given) = given.filter(|it| !it.is_empty()) {
        let made = [
            "host_alias",
            "groups",
            "empty_groups",
            "inventory_file_template",
        ];
        for option in made.into_iter().filter(|it| arguments.has(it)) {
            arguments.warning(
                arguments.span(option),
                format!("{option} has no effect, since inventory_file says which hosts there are"),
                &[],
            );
        }
        let path = context.working_folder.join(&given);
        if !path.exists() {
            report_missing(arguments, "inventory_file", &given, context);
            return None;
        }
        return Some(Inventory::Given(path));
    }
    let host_alias = host_alias.filter(|it| !it.is_empty());
    let host_alias = host_alias.unwrap_or_else(|| DEFAULT_ALIAS.to_owned());
    let mut valid = true;
    for (option, names) in [
        ("host_alias", std::slice::from_ref(&host_alias)),
        ("groups", &groups),
        ("empty_groups", &empty_groups),
    ] {
        for name in names.iter().filter(|it| !is_name(it)) {
            arguments.error(
                arguments.span(option),
                format!("{name:?} cannot be a name in an inventory"),
                &["letters, digits, `_`, `-` and `.` can be in one"],
            );
            valid = false;
        }
    }
    let made = MadeInventory {
        host_alias,
        groups,
        empty_groups,
        template,
        folder: directory,
    };
    valid.then_some(Inventory::Made(made))
}

fn is_name(text: &str) -> bool {
    let is_allowed = |it: char| it.is_alphanumeric() || "_-.:".contains(it);
    !text.starts_with('-') && text.chars().all(is_allowed)
}

/// An option that names a folder; it may be made later.
fn folder(arguments: &Arguments<'_>, option: &str, context: &Context) -> Option<PathBuf> {
    let path: Option<String> = arguments.optional(option);
    path.filter(|it| !it.is_empty())
        .map(|it| context.working_folder.join(it))
}

/// Finds the file that an option names; none after an error.
fn file(arguments: &Arguments<'_>, option: &str, path: &str, context: &Context) -> Option<PathBuf> {
    let found = context.working_folder.join(path);
    if !found.is_file() {
        report_missing(arguments, option, path, context);
        return None;
    }
    Some(found)
}

fn report_missing(arguments: &Arguments<'_>, option: &str, path: &str, context: &Context) {
    let problem = match context.working_folder.join(path).exists() {
        true => format!("{path} is not a file"),
        false => format!("there is no file {path}"),
    };
    let help = format!(
        "{option} is looked up from the working directory {}; use \"${{path.root}}/…\" for files beside the template",
        context.working_folder.display()
    );
    arguments.error(arguments.span(option), problem, &[&help]);
}

/// Says of Packer's options about its connection why they have no effect.
fn explain_connection_options(arguments: &Arguments<'_>) {
    let _: Option<Vec<String>> = arguments.optional("ansible_ssh_extra_args");
    let _: Option<bool> = arguments.optional("use_proxy");
    let _: Option<bool> = arguments.optional("use_sftp");
    let _: Option<i64> = arguments.optional("local_port");
    for text in [
        "ansible_proxy_bind_address",
        "ansible_proxy_host",
        "ansible_proxy_key_type",
        "sftp_command",
        "ssh_authorized_key_file",
        "ssh_host_key_file",
    ] {
        let _: Option<String> = arguments.optional(text);
    }
    for (option, what) in [
        ("ansible_proxy_bind_address", "SSH proxy"),
        ("ansible_proxy_host", "SSH proxy"),
        ("ansible_proxy_key_type", "SSH proxy, and so no key"),
        ("ansible_ssh_extra_args", "SSH client"),
        ("local_port", "SSH proxy, and so no port"),
        ("sftp_command", "SFTP: files go the way that commands go"),
        ("ssh_authorized_key_file", "SSH proxy, and so no key"),
        ("ssh_host_key_file", "SSH proxy, and so no key"),
        ("use_proxy", "proxy: tasks enter the image directly"),
        ("use_sftp", "SFTP: files go the way that commands go"),
    ] {
        if arguments.has(option) {
            let text = format!("{option} has no effect: there is no {what}");
            arguments.warning(arguments.span(option), text, &["it can be left out"]);
        }
    }
    if arguments
        .optional("ansible_winrm_use_http")
        .unwrap_or(false)
    {
        arguments.error(
            arguments.span("ansible_winrm_use_http"),
            "there is no WinRM: images are of Linux",
            &["leave it out, or build this image with Packer"],
        );
    }
}

/// Takes out of the arguments what names another connection; gives what that was. Templates for
/// Docker have `--extra-vars "ansible_host=NAME ansible_connection=docker"`.
fn without_connection(given: Vec<String>) -> (Vec<String>, Vec<String>) {
    let mut kept: Vec<String> = Vec::with_capacity(given.len());
    let mut connections = Vec::new();
    let mut words = given.into_iter();
    while let Some(word) = words.next() {
        let (option, mut value) = match word.split_once('=') {
            Some((option @ ("--extra-vars" | "--connection"), value)) => {
                (format!("{option}="), Some(value.to_owned()))
            }
            _ if ["-e", "--extra-vars", "-c", "--connection"].contains(&word.as_str()) => {
                (word.clone(), None)
            }
            _ => {
                kept.push(word);
                continue;
            }
        };
        let is_split = value.is_none();
        if is_split {
            value = words.next();
        }
        let Some(value) = value else {
            kept.push(word);
            continue;
        };
        let before = connections.len();
        let remaining = match option.trim_end_matches('=') {
            "-c" | "--connection" if is_foreign(&value) => {
                connections.push(value.clone());
                String::new()
            }
            "-c" | "--connection" => value.clone(),
            _ => without_variable(&value, &mut connections),
        };
        if remaining.is_empty() && connections.len() > before {
            continue;
        }
        if is_split {
            kept.extend([option, remaining]);
        } else {
            kept.push(format!("{option}{remaining}"));
        }
    }
    (kept, connections)
}

/// Whether a connection leads elsewhere than into the image, or onto this host.
fn is_foreign(connection: &str) -> bool {
    ![CONNECTION, "local", "ansible.builtin.local"].contains(&connection)
}

/// Extra variables without `ansible_connection`, in either of their forms.
fn without_variable(text: &str, connections: &mut Vec<String>) -> String {
    const NAME: &str = "ansible_connection";
    if !text.contains(NAME) {
        return text.to_owned();
    }
    if let Ok(serde_json::Value::Object(mut members)) = serde_json::from_str(text) {
        let given = members.get(NAME).and_then(|it| it.as_str());
        if let Some(given) = given.filter(|it| is_foreign(it)) {
            connections.push(given.to_owned());
            members.remove(NAME);
            return match members.is_empty() {
                true => String::new(),
                false => serde_json::Value::Object(members).to_string(),
            };
        }
        return text.to_owned();
    }
    let mut kept = Vec::new();
    for word in text.split(' ').filter(|it| !it.is_empty()) {
        match word.split_once('=') {
            Some((NAME, value)) if is_foreign(value.trim_matches(['"', '\''])) => {
                connections.push(value.trim_matches(['"', '\'']).to_owned());
            }
            _ => kept.push(word),
        }
    }
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_connections_are_taken_out_of_the_arguments() {
        for (given, expected, connections) in [
            (
                &["--extra-vars", "ansible_host=web ansible_connection=docker"][..],
                &["--extra-vars", "ansible_host=web"][..],
                &["docker"][..],
            ),
            (
                &["-e", "ansible_connection=docker", "-v"],
                &["-v"],
                &["docker"],
            ),
            (
                &["--extra-vars=a=1 ansible_connection='podman'"],
                &["--extra-vars=a=1"],
                &["podman"],
            ),
            (
                &["-e", "{\"ansible_connection\": \"docker\", \"x\": 1}"],
                &["-e", "{\"x\":1}"],
                &["docker"],
            ),
            (
                &["-c", "ssh", "--connection=docker"],
                &[],
                &["ssh", "docker"],
            ),
            (
                &["-e", "ansible_connection=local", "-c", "local"],
                &["-e", "ansible_connection=local", "-c", "local"],
                &[],
            ),
            (
                &["-e", "x='a  b'", "--extra-vars", "@vars.yml", "-e"],
                &["-e", "x='a  b'", "--extra-vars", "@vars.yml", "-e"],
                &[],
            ),
        ] {
            let given: Vec<String> = given.iter().map(|it| (*it).to_owned()).collect();
            let (kept, found) = without_connection(given.clone());
            assert_eq!(
                (kept, found),
                (
                    expected.iter().map(|it| (*it).to_owned()).collect(),
                    connections.iter().map(|it| (*it).to_owned()).collect(),
                ),
                "{given:?}"
            );
        }
    }
}
