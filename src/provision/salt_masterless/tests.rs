use crate::provision::testing::Bench;
use std::fs;

const KIND: &str = "salt-masterless";

fn bench() -> Bench {
    Bench::new(&[
        "states/top.sls",
        "states/.git/HEAD",
        "pillar/top.sls",
        "minion",
        "grains",
    ])
}

#[test]
fn commands_are_packers() {
    let fetch = "curl -L https://bootstrap.saltproject.io -o /tmp/install_salt.sh || wget -O /tmp/install_salt.sh https://bootstrap.saltproject.io && ";
    for (options, user, expected) in [
        (
            "skip_bootstrap = true",
            "",
            vec!["salt-call --local state.highstate --file-root=/srv/salt --pillar-root=/srv/pillar --retcode-passthrough -l info".to_owned()],
        ),
        (
            "bootstrap_args = \"-X stable\"",
            "app",
            vec![
                format!("{fetch}sudo sh /tmp/install_salt.sh -X stable"),
                "sudo salt-call --local state.highstate --file-root=/srv/salt --pillar-root=/srv/pillar --retcode-passthrough -l info".to_owned(),
            ],
        ),
        (
            "disable_sudo = true\nminion_config = \"minion\"\ncustom_state = \"web\"\nlog_level = \"debug\"",
            "app",
            vec![
                format!("{fetch}sh /tmp/install_salt.sh "),
                "salt-call --local state.sls web --retcode-passthrough -l debug".to_owned(),
            ],
        ),
        (
            "skip_bootstrap = true\nno_exit_on_failure = true\nsalt_bin_dir = \"/opt/salt/bin/\"\nsalt_call_args = \"test=True\"\nremote_state_tree = \"/s\"\nremote_pillar_roots = \"/p\"",
            "",
            vec!["/opt/salt/bin/salt-call --local state.highstate --file-root=/s --pillar-root=/p -l info test=True accepts 254 codes".to_owned()],
        ),
    ] {
        let options = format!("local_state_tree = \"states\"\n{options}");
        assert_eq!(bench().commands(KIND, &options, user), expected, "{options}");
    }
}

#[test]
fn trees_stay_only_where_they_are_asked_for() {
    let options = "local_state_tree = \"states\"\nlocal_pillar_roots = \"pillar\"\ngrains_file = \"grains\"\nskip_bootstrap = true\ntemp_config_dir = \"/tmp/x\"";
    let actions = bench().actions(KIND, options, "");
    let lines: Vec<&str> = actions.lines().collect();
    for expected in [
        "temporary /srv/salt",
        "temporary /srv/salt/top.sls",
        "temporary /srv/pillar",
        "temporary /etc/salt/minion_id",
        "upload grains to /etc/salt/grains",
        "upload states/top.sls to /srv/salt/",
        "upload []/* to /srv/pillar",
        "upload pillar/top.sls to /srv/pillar/",
    ] {
        assert!(lines.contains(&expected), "{expected}: {actions}");
    }
    assert!(!actions.contains("temporary /etc/salt/grains"));
    assert!(!actions.contains("upload states/.git"));
    let named = format!("{options}\nremote_state_tree = \"/srv/salt\"");
    let actions = bench().actions(KIND, &named, "");
    assert!(!actions.contains("temporary /srv/salt"), "{actions}");
    assert!(actions.contains("temporary /srv/pillar"), "{actions}");
}

#[test]
fn mistakes_have_their_place() {
    for (options, expected) in [
        ("", "`local_state_tree` is required\n --> t.pkr.hcl:4:3"),
        (
            "local_state_tree = \"no\"",
            "local_state_tree: no does not exist\n --> t.pkr.hcl:5:1",
        ),
        (
            "local_state_tree = \"minion\"",
            "minion is a file, not a folder",
        ),
        (
            "local_state_tree = \"states\"\nminion_config = \"minion\"\nremote_state_tree = \"/x\"",
            "minion_config cannot be given together with remote_state_tree or remote_pillar_roots\n --> t.pkr.hcl:6:1",
        ),
        (
            "local_state_tree = \"states\"\nformulas = [\"https://x/y.git\"]",
            "\"https://x/y.git\" is not a formula\n --> t.pkr.hcl:6:1",
        ),
        (
            "local_state_tree = \"states\"\nguest_os_type = \"windows\"",
            "cannot be \"windows\"",
        ),
    ] {
        let said = bench().refusal(KIND, options);
        assert!(said.contains(expected), "{options}: {said}");
        assert_eq!(said.matches("error: ").count(), 1, "{options}: {said}");
    }
}

#[test]
fn formulas_that_the_tree_has_are_not_fetched() {
    let bench = bench();
    fs::create_dir(bench.path().join("states/vault")).unwrap();
    let options = "local_state_tree = \"states\"\nskip_bootstrap = true\nformulas = [\"git::https://nowhere.invalid/f.git//vault?ref=v1\"]";
    assert!(
        bench
            .actions(KIND, options, "")
            .contains("upload states/vault to /srv/salt/")
    );
}

#[test]
fn hints_name_the_bootstrap_that_was_asked_for() {
    for (options, expected) in [("", "curl or wget"), ("skip_bootstrap = true", "has none")] {
        let options = format!("local_state_tree = \"states\"\n{options}");
        let (provisioner, _) = bench()
            .prepare(KIND, &options)
            .unwrap_or_else(|said| panic!("{said}"));
        assert!(provisioner.hint(127).unwrap().contains(expected));
    }
}
