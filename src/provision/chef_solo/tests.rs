use crate::provision::testing::Bench;
use std::fs;

const KIND: &str = "chef-solo";
const S: &str = "/tmp/packer-chef-solo";

fn bench() -> Bench {
    Bench::new(&[
        "cookbooks/web/recipes/default.rb",
        "more/",
        "roles/",
        "data_bags/",
        "environments/",
        "secret",
        "solo.tmpl",
    ])
}

fn filled(text: &str) -> String {
    text.replace("$S", S)
}

#[test]
fn commands_are_packers() {
    let run = "chef-solo --no-color -c $S/solo.rb -j $S/node.json";
    let sudo_run = "sudo chef-solo --no-color -c $S/solo.rb -j $S/node.json";
    for (options, user, expected) in [
        ("skip_install = true", "", vec![run]),
        ("skip_install = true\nprevent_sudo = true", "app", vec![run]),
        (
            "skip_install = true\nguest_os_type = \"unix\"",
            "app",
            vec![sudo_run],
        ),
        (
            "",
            "root",
            vec![
                "curl -L https://omnitruck.chef.io/install.sh | bash -s --",
                run,
            ],
        ),
        (
            "version = \"17.2\"",
            "app",
            vec![
                "curl -L https://omnitruck.chef.io/install.sh | sudo bash -s -- -v 17.2",
                sudo_run,
            ],
        ),
        (
            "install_command = \"i {{.Version}} {{.Sudo}}\"\nversion = \"1\"\nexecute_command = \"e {{.JsonPath}} {{.ConfigPath}}\"",
            "",
            vec!["i 1 ", "e $S/node.json $S/solo.rb"],
        ),
    ] {
        let commands = bench().commands(KIND, options, user);
        let expected: Vec<String> = expected.into_iter().map(filled).collect();
        assert_eq!(commands, expected, "{options}");
    }
}

/// What is uploaded as `name` in the staging folder.
fn written(bench: &Bench, options: &str, name: &str) -> String {
    let actions = bench.actions(KIND, options, "");
    let end = format!(" to {S}/{name}");
    let line = actions.lines().find(|line| line.ends_with(&end));
    let text = line.and_then(|line| line.strip_prefix("upload "));
    let text = text.and_then(|text| text.strip_suffix(&end)).unwrap();
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_configuration_names_what_is_there() {
    for (options, expected) in [
        ("", "cookbook_path []\nchef_license \"accept-silent\"\n"),
        ("skip_install = true", "cookbook_path []\n"),
        ("install_command = \"true\"", "cookbook_path []\n"),
        (
            "chef_license = \"accept\"\ncookbook_paths = [\"cookbooks\", \"more\"]\nremote_cookbook_paths = [\"/opt/c\"]",
            "cookbook_path [\"/opt/c\",\"$S/cookbooks-0\",\"$S/cookbooks-1\"]\nchef_license \"accept\"\n",
        ),
        (
            "skip_install = true\nroles_path = \"roles\"\ndata_bags_path = \"data_bags\"\nenvironments_path = \"environments\"\nencrypted_data_bag_secret_path = \"secret\"\nchef_environment = \"prod\"",
            "cookbook_path []\nrole_path \"$S/roles\"\ndata_bag_path \"$S/data_bags\"\nencrypted_data_bag_secret \"$S/encrypted_data_bag_secret\"\nenvironment_path \"$S/environments\"\nenvironment \"prod\"\n",
        ),
    ] {
        assert_eq!(
            written(&bench(), options, "solo.rb"),
            filled(expected),
            "{options}"
        );
    }
    let bench = bench();
    let template = "cookbook_path [{{.CookbookPaths}}]\n{{if .HasRolesPath}}role_path '{{.RolesPath}}'{{end}}{{if .HasDataBagsPath}}x{{end}}\nlog_level :debug\n";
    fs::write(bench.path().join("solo.tmpl"), template).unwrap();
    let options =
        "config_template = \"solo.tmpl\"\nroles_path = \"roles\"\ncookbook_paths = [\"more\"]";
    let expected = "cookbook_path [\"$S/cookbooks-0\"]\nrole_path '$S/roles'\nlog_level :debug\n";
    assert_eq!(written(&bench, options, "solo.rb"), filled(expected));
}

#[test]
fn the_node_has_its_attributes_and_run_list() {
    for (options, expected) in [
        ("", "{}"),
        (
            "run_list = [\"recipe[web]\", \"role[db]\"]",
            "{\n  \"run_list\": [\n    \"recipe[web]\",\n    \"role[db]\"\n  ]\n}",
        ),
        (
            "json_string = jsonencode({ b = [1], a = { x = true }, run_list = [\"recipe[old]\"] })\nrun_list = [\"recipe[web]\"]",
            "{\n  \"a\": {\n    \"x\": true\n  },\n  \"b\": [\n    1\n  ],\n  \"run_list\": [\n    \"recipe[web]\"\n  ]\n}",
        ),
    ] {
        assert_eq!(
            written(&bench(), options, "node.json"),
            expected,
            "{options}"
        );
    }
}

#[test]
fn everything_is_uploaded_to_its_place_and_nothing_stays() {
    let options = "skip_install = true\ncookbook_paths = [\"cookbooks\"]\nroles_path = \"roles\"\nencrypted_data_bag_secret_path = \"secret\"\nstaging_directory = \"/var/stage\"";
    let actions = bench().actions(KIND, options, "");
    for expected in [
        "temporary /var/stage\n",
        "upload cookbooks/web to /var/stage/cookbooks-0/\n",
        "upload []/* to /var/stage/roles\n",
        "upload secret to /var/stage/encrypted_data_bag_secret\n",
    ] {
        assert!(actions.contains(expected), "{actions}");
    }
}

#[test]
fn mistakes_have_their_place() {
    let bench = bench();
    fs::write(bench.path().join("solo.tmpl"), "{{.Nothing}}").unwrap();
    for (options, expected) in [
        (
            "cookbook_paths = [\"no\"]",
            "cookbook_paths: no does not exist\n --> t.pkr.hcl:5:1",
        ),
        (
            "cookbook_paths = [\"secret\"]",
            "secret is a file, not a folder",
        ),
        (
            "json = { a = 1 }",
            "json is for templates of Packer's first language\n --> t.pkr.hcl:5:1",
        ),
        (
            "json_string = \"[1]\"",
            "json_string is not an object in JSON: ",
        ),
        (
            "json_string = \"{\"",
            "json_string is not an object in JSON: ",
        ),
        ("config_template = \"solo.tmpl\"", " --> t.pkr.hcl:5:1"),
        (
            "config_template = \"roles\"",
            "roles is a folder, not a file",
        ),
        ("execute_command = \"{{.Nothing}}\"", "Nothing"),
        ("install_command = \"{{\"", " --> t.pkr.hcl:5:1"),
        (
            "guest_os_type = \"windows\"",
            "guest_os_type cannot be \"windows\"",
        ),
        ("run_list = [[]]", "`run_list`: "),
    ] {
        let said = bench.refusal(KIND, options);
        assert!(said.contains(expected), "{options}: {said}");
        assert_eq!(said.matches("error: ").count(), 1, "{options}: {said}");
    }
    let (_, said) = bench
        .prepare(KIND, "chef_environment = \"prod\"")
        .unwrap_or_else(|said| panic!("{said}"));
    assert!(
        said.starts_with("warning: chef_environment has no effect"),
        "{said}"
    );
}
