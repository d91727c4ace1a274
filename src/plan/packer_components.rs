//! The components that Packer and its plugins have, so that one that is missing here can be told
//! from a misspelt one.
//!
//! What is built in is not decided here: each stage has its own list of kinds.

use crate::{base, imageless, postprocess, provision};
use std::fmt;

/// What a component does in a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// A source, Packer's builder.
    Source,
    /// A provisioner.
    Provisioner,
    /// A post-processor.
    PostProcessor,
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Group::Source => "source",
            Group::Provisioner => "provisioner",
            Group::PostProcessor => "post-processor",
        })
    }
}

impl Group {
    /// The types that are built in, sorted.
    pub fn built_in(self) -> Vec<&'static str> {
        match self {
            Group::Source => {
                let mut kinds = base::kinds();
                kinds.extend(imageless::kinds());
                kinds.sort_unstable();
                kinds
            }
            Group::Provisioner => provision::kinds(),
            Group::PostProcessor => postprocess::kinds(),
        }
    }
}

/// The plugin that a component belongs to, `packer` for those of Packer itself; none if there is no
/// such component.
pub fn plugin_of(group: Group, kind: &str) -> Option<&'static str> {
    let plugin = COMPONENTS
        .iter()
        .find(|plugin| plugin.kinds(group).contains(&kind))?;
    Some(plugin.name)
}

/// The components of a plugin by its type, the last part of its source: `docker`.
pub fn of_plugin(name: &str) -> impl Iterator<Item = (Group, &'static str)> + use<> {
    let plugin = COMPONENTS
        .iter()
        .find(|plugin| plugin.name == name && plugin.name != "packer");
    let groups = [Group::Source, Group::Provisioner, Group::PostProcessor];
    plugin.into_iter().flat_map(move |plugin| {
        groups
            .into_iter()
            .flat_map(|group| plugin.kinds(group).iter().map(move |kind| (group, *kind)))
    })
}

/// Why a component of Packer will not be built in.
pub struct Refusal {
    /// Goes on after its name.
    pub reason: &'static str,
    /// What to use.
    pub instead: &'static str,
}

/// Why a component is missing for good; none if it may come, or is there.
pub fn refusal(group: Group, kind: &str) -> Option<Refusal> {
    let (reason, instead) = match (group, kind) {
        (Group::Provisioner, "chef-client") => (
            "needs a Chef server that it registers the machine with: a step is no machine, and what a server says is part of no key",
            "use chef-solo with the cookbooks, roles and data bags as folders",
        ),
        (Group::Provisioner, "puppet-server") => (
            "needs a Puppet server that knows the machine by its certificate: a step is no machine, and what a server says is part of no key",
            "use puppet-masterless with the manifests and modules as folders",
        ),
        _ => return None,
    };
    Some(Refusal { reason, instead })
}

struct Plugin {
    name: &'static str,
    sources: &'static [&'static str],
    provisioners: &'static [&'static str],
    post_processors: &'static [&'static str],
}

impl Plugin {
    fn kinds(&self, group: Group) -> &'static [&'static str] {
        match group {
            Group::Source => self.sources,
            Group::Provisioner => self.provisioners,
            Group::PostProcessor => self.post_processors,
        }
    }
}

const fn plugin(
    name: &'static str,
    sources: &'static [&'static str],
    provisioners: &'static [&'static str],
    post_processors: &'static [&'static str],
) -> Plugin {
    Plugin {
        name,
        sources,
        provisioners,
        post_processors,
    }
}

/// Those of Packer 1.16 and of the plugins that HashiCorp's registry lists as official or partner,
/// and the best known others.
const COMPONENTS: &[Plugin] = &[
    plugin(
        "packer",
        &["file", "null"],
        &[
            "breakpoint",
            "file",
            "hcp-sbom",
            "powershell",
            "shell",
            "shell-local",
            "sleep",
            "windows-restart",
            "windows-shell",
        ],
        &[
            "artifice",
            "checksum",
            "compress",
            "manifest",
            "provenance",
            "shell-local",
        ],
    ),
    plugin("alicloud", &["alicloud-ecs"], &[], &["alicloud-import"]),
    plugin(
        "amazon",
        &[
            "amazon-chroot",
            "amazon-ebs",
            "amazon-ebssurrogate",
            "amazon-ebsvolume",
            "amazon-instance",
        ],
        &[],
        &["amazon-import"],
    ),
    plugin("ansible", &[], &["ansible", "ansible-local"], &[]),
    plugin(
        "azure",
        &["azure-arm", "azure-chroot", "azure-dtl"],
        &["azure-dtlartifact"],
        &[],
    ),
    plugin("chef", &[], &["chef-client", "chef-solo"], &[]),
    plugin("cloudstack", &["cloudstack"], &[], &[]),
    plugin("converge", &[], &["converge"], &[]),
    plugin(
        "digitalocean",
        &["digitalocean"],
        &[],
        &["digitalocean-import"],
    ),
    plugin(
        "docker",
        &["docker"],
        &[],
        &["docker-import", "docker-push", "docker-save", "docker-tag"],
    ),
    plugin("goss", &[], &["goss"], &[]),
    plugin(
        "googlecompute",
        &["googlecompute"],
        &[],
        &["googlecompute-export", "googlecompute-import"],
    ),
    plugin("hcloud", &["hcloud"], &[], &[]),
    plugin("hyperv", &["hyperv-iso", "hyperv-vmcx"], &[], &[]),
    plugin("inspec", &[], &["inspec"], &[]),
    plugin("linode", &["linode"], &[], &[]),
    plugin("lxc", &["lxc"], &[], &[]),
    plugin("lxd", &["lxd"], &[], &[]),
    plugin("nutanix", &["nutanix"], &[], &[]),
    plugin("openstack", &["openstack"], &[], &[]),
    plugin("oracle", &["oracle-classic", "oracle-oci"], &[], &[]),
    plugin(
        "parallels",
        &[
            "parallels-ipsw",
            "parallels-iso",
            "parallels-macvm",
            "parallels-pvm",
        ],
        &[],
        &[],
    ),
    plugin(
        "proxmox",
        &["proxmox", "proxmox-clone", "proxmox-iso"],
        &[],
        &[],
    ),
    plugin("puppet", &[], &["puppet-masterless", "puppet-server"], &[]),
    plugin("qemu", &["qemu"], &[], &[]),
    plugin("salt", &[], &["salt-masterless"], &[]),
    plugin("scaleway", &["scaleway"], &[], &[]),
    plugin("tart", &["tart-cli"], &[], &[]),
    plugin("tencentcloud", &["tencentcloud-cvm"], &[], &[]),
    plugin("triton", &["triton"], &[], &[]),
    plugin("ucloud", &["ucloud-uhost"], &[], &["ucloud-import"]),
    plugin(
        "vagrant",
        &["vagrant"],
        &[],
        &["vagrant", "vagrant-cloud", "vagrant-registry"],
    ),
    plugin(
        "virtualbox",
        &["virtualbox-iso", "virtualbox-ovf", "virtualbox-vm"],
        &[],
        &[],
    ),
    plugin("vmware", &["vmware-iso", "vmware-vmx"], &[], &[]),
    plugin(
        "vsphere",
        &["vsphere-clone", "vsphere-iso", "vsphere-supervisor"],
        &[],
        &["vsphere", "vsphere-template"],
    ),
    plugin("vultr", &["vultr"], &[], &[]),
    plugin("windows-update", &[], &["windows-update"], &[]),
    plugin(
        "yandex",
        &["yandex"],
        &[],
        &["yandex-export", "yandex-import"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_found_by_group() {
        for (group, kind, expected) in [
            (Group::Source, "amazon-ebs", Some("amazon")),
            (Group::PostProcessor, "docker-tag", Some("docker")),
            (Group::Source, "docker-tag", None),
            (Group::Provisioner, "powershell", Some("packer")),
            (Group::Provisioner, "shel", None),
        ] {
            assert_eq!(plugin_of(group, kind), expected, "{kind}");
        }
        let docker: Vec<_> = of_plugin("docker").collect();
        assert_eq!(docker.len(), 5);
        assert_eq!(docker[0], (Group::Source, "docker"));
        assert_eq!(of_plugin("packer").count(), 0);
        assert_eq!(of_plugin("nope").count(), 0);
    }
}
