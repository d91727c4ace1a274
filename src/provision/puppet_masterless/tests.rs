use crate::provision::testing::Bench;

const KIND: &str = "puppet-masterless";
const S: &str = "/tmp/packer-puppet-masterless";
const FACTS: &str = "FACTER_packer_build_name='web' FACTER_packer_builder_type='docker'";

fn bench() -> Bench {
    Bench::new(&[
        "site.pp",
        "hiera.yaml",
        "manifests/a.pp",
        "modules/web/manifests/init.pp",
        "more/",
    ])
}

fn filled(text: &str) -> String {
    text.replace("$S", S).replace("$F", FACTS)
}

#[test]
fn commands_are_packers() {
    for (options, user, expected) in [
        (
            "",
            "",
            "cd $S && $F puppet apply --detailed-exitcodes $S/manifests/site.pp accepts [0, 2]",
        ),
        (
            "",
            "app",
            "cd $S && $F sudo -E puppet apply --detailed-exitcodes $S/manifests/site.pp accepts [0, 2]",
        ),
        (
            "prevent_sudo = true",
            "app",
            "cd $S && $F puppet apply --detailed-exitcodes $S/manifests/site.pp accepts [0, 2]",
        ),
        (
            "ignore_exit_codes = true\nguest_os_type = \"Unix\"",
            "0:0",
            "cd $S && $F puppet apply --detailed-exitcodes $S/manifests/site.pp accepts 254 codes",
        ),
        (
            "module_paths = [\"modules\", \"more\"]\nhiera_config_path = \"hiera.yaml\"\nmanifest_dir = \"manifests\"\npuppet_bin_dir = \"/opt/puppetlabs/bin\"\nworking_directory = \"/srv\"\nstaging_directory = \"/var/stage\"",
            "",
            "cd /srv && $F /opt/puppetlabs/bin/puppet apply --detailed-exitcodes --modulepath='/var/stage/module-0:/var/stage/module-1' --hiera_config='/var/stage/hiera.yaml' --manifestdir='/var/stage/manifests' /var/stage/manifests/site.pp accepts [0, 2]",
        ),
        (
            "facter = { role = \"it's\", a = \"1\" }\nextra_arguments = [\"--verbose\", \"--x={{.WorkingDir}}\"]",
            "root",
            "cd $S && FACTER_a='1' $F FACTER_role='it'\"'\"'s' puppet apply --detailed-exitcodes --verbose --x=$S $S/manifests/site.pp accepts [0, 2]",
        ),
        (
            "execute_command = \"{{if .Sudo}}doas {{end}}p {{.ModulePath}}{{.ModulePathJoiner}}{{.ManifestFile}}\"\nmodule_paths = [\"more\"]",
            "app",
            "doas p $S/module-0:$S/manifests/site.pp accepts [0, 2]",
        ),
        // What is written stays, also what needs a program that the image may not have.
        (
            "execute_command = \"sudo puppet\"",
            "",
            "sudo puppet accepts [0, 2]",
        ),
    ] {
        let options = format!("manifest_file = \"site.pp\"\n{options}");
        let commands = bench().commands(KIND, &options, user);
        assert_eq!(commands.last().unwrap(), &filled(expected), "{options}");
    }
}

#[test]
fn a_folder_of_manifests_is_applied_as_one() {
    let actions = bench().actions(KIND, "manifest_file = \"manifests\"", "");
    assert!(actions.contains(&filled("upload manifests/a.pp to $S/manifests/\n")));
    assert!(
        actions.ends_with(&filled(" $S/manifests accepts [0, 2]")),
        "{actions}"
    );
}

#[test]
fn nothing_stays() {
    let options = "manifest_file = \"site.pp\"";
    let actions = bench().actions(KIND, options, "");
    for expected in [
        "temporary $S\n",
        "temporary /var/cache/puppet/state/last_run_report.yaml\n",
        "temporary /opt/puppetlabs/puppet/cache/reports\n",
    ] {
        assert!(actions.contains(&filled(expected)), "{actions}");
    }
    let kept = format!("{options}\nclean_staging_directory = false");
    assert!(
        !bench()
            .actions(KIND, &kept, "")
            .contains(&filled("temporary $S"))
    );
}

#[test]
fn mistakes_have_their_place() {
    for (options, expected) in [
        ("", "`manifest_file` is required\n --> t.pkr.hcl:4:3"),
        (
            "manifest_file = \"no.pp\"",
            "manifest_file: no.pp does not exist\n --> t.pkr.hcl:5:1",
        ),
        (
            "manifest_file = \"site.pp\"\nguest_os_type = \"windows\"",
            "guest_os_type cannot be \"windows\"\n --> t.pkr.hcl:6:1",
        ),
        (
            "manifest_file = \"site.pp\"\nguest_os_type = \"x\"",
            "guest_os_type cannot be \"x\"",
        ),
        (
            "manifest_file = \"site.pp\"\nhiera_config_path = \"more\"",
            "more is a folder, not a file",
        ),
        (
            "manifest_file = \"site.pp\"\nfacter = { \"a b\" = \"c\" }",
            "\"a b\" cannot be the name of a fact\n --> t.pkr.hcl:6:1",
        ),
        (
            "manifest_file = \"site.pp\"\nexecute_command = \"{{.Nothing}}\"",
            "Nothing",
        ),
        (
            "manifest_file = \"site.pp\"\nextra_arguments = [\"{{if}}\"]",
            " --> t.pkr.hcl:6:1",
        ),
    ] {
        let said = bench().refusal(KIND, options);
        assert!(said.contains(expected), "{options}: {said}");
        assert_eq!(said.matches("error: ").count(), 1, "{options}: {said}");
    }
}

#[test]
fn what_means_nothing_here_is_warned_of() {
    for option in [
        "elevated_user = \"x\"",
        "elevated_password = \"x\"",
        "manifest_dir = \"manifests\"",
    ] {
        let options = format!("manifest_file = \"site.pp\"\n{option}");
        let (_, said) = bench()
            .prepare(KIND, &options)
            .unwrap_or_else(|said| panic!("{said}"));
        assert!(said.starts_with("warning: "), "{said}");
    }
}
