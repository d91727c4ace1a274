//! Plugins that a template asks for: nothing is installed, so their components must be built in.

use super::packer_components::of_plugin;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::template::{RequiredPlugin, Template};

/// Reports the plugins of which nothing is built in. One that Packer has is worth a warning, since
/// a component of it that is used is an error of its own; of any other one, nothing is known.
pub fn check(template: &Template, diagnostics: &Diagnostics) {
    for plugin in template.required_plugins() {
        let kind = type_of(plugin);
        let mut components = of_plugin(kind).peekable();
        let name = &plugin.name;
        if components.peek().is_none() {
            diagnostics.push(
                Diagnostic::error(format!("plugin `{name}` ({}) is not supported", plugin.source))
                    .at(plugin.span)
                    .help("components are built into hardtack, and plugins cannot be added; `hardtack plugins installed` lists what there is"),
            );
        } else if !components.any(|(group, kind)| group.built_in().contains(&kind)) {
            diagnostics.push(
                Diagnostic::warning(format!("nothing of plugin `{name}` is supported yet"))
                    .at(plugin.span)
                    .help("builds work as long as they use none of its components"),
            );
        }
    }
}

/// The last part of a plugin's source, which names it: `docker`.
pub fn type_of(plugin: &RequiredPlugin) -> &str {
    let last = plugin.source.rsplit('/').next().unwrap_or_default();
    last.strip_prefix("packer-plugin-").unwrap_or(last)
}
