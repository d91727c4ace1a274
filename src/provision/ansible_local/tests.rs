use super::*;
use crate::provision::testing::Bench;
use std::fs;

const KIND: &str = "ansible-local";
const VARIABLES: &str = "--extra-vars \"packer_build_name=web packer_builder_type=docker packer_http_addr=ERR_HTTP_ADDR_NOT_IMPLEMENTED_BY_BUILDER\"";
const DEFAULT: &str = "ANSIBLE_FORCE_COLOR=1 PYTHONUNBUFFERED=1 ansible-playbook";
const S: &str = "/tmp/packer-provisioner-ansible-local";

/// Puts in what all expected texts have.
fn filled(text: &str) -> String {
    text.replace("$V", VARIABLES)
        .replace("$D", DEFAULT)
        .replace("$S", S)
}

fn bench() -> Bench {
    Bench::new(&[
        "site.yml",
        "play/site.yml",
        "play/more/db.yml",
        "play/roles/a/tasks/main.yml",
        "other/x.yml",
        "hosts",
        "roles.yml",
        "gv/all.yml",
        "hv/host.yml",
        "roles/web/tasks/main.yml",
        "collections/ansible_collections/",
        "extra/",
    ])
}

#[test]
fn everything_is_uploaded_to_its_place() {
    let options = r#"
        playbook_dir     = "play"
        playbook_file    = "play/site.yml"
        inventory_file   = "hosts"
        group_vars       = "gv"
        host_vars        = "hv"
        role_paths       = ["roles/web/"]
        collection_paths = ["collections/ansible_collections"]
        playbook_paths   = ["extra"]
    "#;
    let actions = bench().actions(KIND, options, "");
    let uploads = actions
        .lines()
        .filter(|line| !line.starts_with("temporary"));
    let expected = "\
        upload []/* to $S
        upload play/more to $S/
        upload play/roles to $S/
        upload play/site.yml to $S/
        upload play/site.yml to $S/site.yml
        upload hosts to $S/hosts
        upload []/* to $S/group_vars
        upload gv/all.yml to $S/group_vars/
        upload []/* to $S/host_vars
        upload hv/host.yml to $S/host_vars/
        upload []/* to $S/roles/web
        upload roles/web/tasks to $S/roles/web/
        upload []/* to $S/collections/ansible_collections
        upload []/* to $S/playbooks/extra
        run cd $S && ANSIBLE_COLLECTIONS_PATH=$ANSIBLE_COLLECTIONS_PATH:$S/collections $D $S/site.yml $V -c local -i $S/hosts";
    let expected: Vec<String> = expected.lines().map(|line| filled(line.trim())).collect();
    assert_eq!(uploads.collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_stays() {
    let actions = bench().actions(KIND, "playbook_file = \"site.yml\"", "");
    let expected = "\
        temporary $S
        temporary $S/site.yml
        temporary $S/packer-provisioner-ansible-local.inventory
        upload site.yml to $S/site.yml
        upload \"127.0.0.1\\n\" to $S/packer-provisioner-ansible-local.inventory
        temporary ~/.ansible/tmp
        temporary ~/.ansible/cp
        temporary ~/.ansible/galaxy_cache
        run cd $S && $D $S/site.yml $V -c local -i $S/packer-provisioner-ansible-local.inventory";
    let expected: Vec<String> = expected.lines().map(|line| filled(line.trim())).collect();
    assert_eq!(actions.lines().collect::<Vec<_>>(), expected);

    let kept = "playbook_file = \"site.yml\"\nclean_staging_directory = false";
    assert!(
        !bench()
            .actions(KIND, kept, "")
            .contains(&format!("temporary {S}"))
    );
}

#[test]
fn another_user_owns_what_is_staged() {
    let actions = bench().actions(KIND, "playbook_file = \"site.yml\"", "app:web");
    let upload = filled("upload site.yml to $S/site.yml of app:web\n");
    assert!(actions.contains(&upload), "{actions}");
    let home = "temporary ~app:web/.ansible/tmp\n";
    assert!(actions.contains(home), "{actions}");
}

#[test]
fn commands_are_packers() {
    let galaxy = |file: &str, more: &str| {
        format!(
            "playbook_file = \"site.yml\"\ngalaxy_file = \"{file}\"\ninventory_file = \"hosts\"\n{more}"
        )
    };
    let bench = bench();
    for (name, text) in [
        ("v1.yml", "- src: a.b\n"),
        ("roles.yml", "roles:\n- a.b\n"),
        ("both.yml", "roles:\n- a.b\ncollections:\n- c.d\n"),
        ("collections.yml", "---\ncollections:\n- c.d\n"),
    ] {
        fs::write(bench.path().join(name), text).unwrap();
    }
    let roles = "cd $S && ansible-galaxy install -r $S/$F -p $S/galaxy_roles";
    let collections =
        "cd $S && ansible-galaxy collection install -r $S/$F -p $S/galaxy_collections";
    let with_roles = "cd $S && ANSIBLE_ROLES_PATH=$ANSIBLE_ROLES_PATH:$S/galaxy_roles $D $S/site.yml $V -c local -i $S/hosts";
    let with_collections = "cd $S && ANSIBLE_COLLECTIONS_PATH=$ANSIBLE_COLLECTIONS_PATH:$S/galaxy_collections $D $S/site.yml $V -c local -i $S/hosts";
    let with_both = "cd $S && ANSIBLE_COLLECTIONS_PATH=$ANSIBLE_COLLECTIONS_PATH:$S/galaxy_collections ANSIBLE_ROLES_PATH=$ANSIBLE_ROLES_PATH:$S/galaxy_roles $D $S/site.yml $V -c local -i $S/hosts";
    for (file, expected) in [
        ("v1.yml", &[roles, with_roles][..]),
        ("roles.yml", &[roles, with_roles]),
        ("collections.yml", &[collections, with_collections]),
        ("both.yml", &[roles, collections, with_both]),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|line| filled(&line.replace("$F", file)))
            .collect();
        assert_eq!(
            bench.commands(KIND, &galaxy(file, ""), ""),
            expected,
            "{file}"
        );
    }
    let more = "galaxy_command = \"g\"\ngalaxy_force_install = true\ngalaxy_roles_path = \"/r\"";
    let commands = bench.commands(KIND, &galaxy("v1.yml", more), "");
    assert_eq!(
        commands[0],
        filled("cd $S && g install -r $S/v1.yml -p /r -f")
    );
    assert!(commands[1].contains("ANSIBLE_ROLES_PATH=$ANSIBLE_ROLES_PATH:/r "));

    for (options, expected) in [
        (
            r#"extra_arguments = ["--extra-vars", "\"a=$${X}\"", "-v"]"#,
            "cd $S && $D $S/site.yml $V --extra-vars \"a=${X}\" -v -c local -i $S/hosts",
        ),
        (
            "command = \"X=1 /opt/a/bin/ansible-playbook\"",
            "cd $S && X=1 /opt/a/bin/ansible-playbook $S/site.yml $V -c local -i $S/hosts",
        ),
        (
            "staging_directory = \"/opt/my stage/\"",
            "cd '/opt/my stage' && $D '/opt/my stage/site.yml' $V -c local -i '/opt/my stage/hosts'",
        ),
    ] {
        let options =
            format!("playbook_file = \"site.yml\"\ninventory_file = \"hosts\"\n{options}");
        assert_eq!(bench.commands(KIND, &options, ""), [filled(expected)]);
    }
}

#[test]
fn several_playbooks_keep_their_places() {
    let bench = bench();
    let options = r#"
        playbook_dir   = "./play"
        playbook_files = ["play/site.yml", "play/more/../more/db.yml", "site.yml", "other/x.yml"]
        inventory_file = "hosts"
    "#;
    let commands = bench.commands(KIND, options, "");
    let playbooks: Vec<&str> = commands
        .iter()
        .filter_map(|command| command.split(' ').find(|word| word.ends_with(".yml")))
        .collect();
    let expected = [
        "$S/site.yml",
        "$S/more/db.yml",
        "$S/site.yml",
        "$S/other/x.yml",
    ];
    assert_eq!(playbooks, expected.map(filled));
    let alone = "playbook_files = [\"other/x.yml\"]\ninventory_file = \"hosts\"";
    let commands = bench.commands(KIND, alone, "");
    assert!(
        commands[0].contains(&filled("$D $S/x.yml ")),
        "{commands:?}"
    );
}

#[test]
fn inventories_have_the_groups() {
    for (groups, expected) in [
        (vec![], "127.0.0.1\n"),
        (vec!["web"], "[web]\n127.0.0.1\n"),
        (
            vec!["web, db", "all_hosts"],
            "[web]\n127.0.0.1\n[db]\n127.0.0.1\n[all_hosts]\n127.0.0.1\n",
        ),
    ] {
        let groups: Vec<String> = groups.into_iter().map(str::to_owned).collect();
        assert_eq!(inventory(&groups), expected);
    }
}

#[test]
fn mistakes_have_their_place() {
    let bench = bench();
    for (options, expected) in [
        ("", "one of playbook_file and playbook_files must be given"),
        (
            "playbook_file = \"\"",
            "one of playbook_file and playbook_files must be given",
        ),
        (
            "playbook_file = \"no.yml\"",
            "playbook_file: no.yml does not exist\n --> t.pkr.hcl:5:1",
        ),
        (
            "playbook_file = \"play\"",
            "playbook_file: play is a folder, not a file",
        ),
        (
            "playbook_file = \"site.yml\"\nplaybook_files = [\"site.yml\"]",
            "only one of playbook_file and playbook_files can be given\n --> t.pkr.hcl:6:1",
        ),
        (
            "playbook_file = \"site.yml\"\nrole_paths = [\"roles/web\", \"site.yml\"]",
            "role_paths: site.yml is a file, not a folder\n --> t.pkr.hcl:6:1",
        ),
        (
            "playbook_file = \"site.yml\"\nstaging_directory = \"tmp\"",
            "staging_directory cannot be \"tmp\"",
        ),
        (
            "playbook_file = \"site.yml\"\nstaging_directory = \"/tmp/../\"",
            "staging_directory cannot be",
        ),
        (
            "playbook_file = \"site.yml\"\nstaging_directory = \"/\"",
            "staging_directory cannot be \"/\"",
        ),
        (
            "playbook_file = \"site.yml\"\nplaybok_dir = \"x\"",
            "there is no argument `playbok_dir` here",
        ),
        ("playbook_file = [1]", "`playbook_file`: "),
    ] {
        let said = bench.refusal(KIND, options);
        assert!(said.contains(expected), "{options}: {said}");
        assert_eq!(said.matches("error: ").count(), 1, "{options}: {said}");
    }
}

#[test]
fn content_decides_and_history_does_not() {
    let bench = bench();
    let options = "playbook_dir = \"play\"\nplaybook_file = \"site.yml\"";
    let material = |bench: &Bench| {
        let (provisioner, _) = bench.prepare(KIND, options).unwrap();
        let inputs = provisioner.inputs();
        let inputs = inputs
            .iter()
            .flat_map(|input| crate::provision::input::digest(input).unwrap())
            .collect::<Vec<_>>();
        (inputs, provisioner.key_material())
    };
    let first = material(&bench);
    let main = "playbook_dir play/roles/a/tasks/main.yml";
    assert!(first.0.iter().any(|(label, _)| label == main));
    fs::create_dir(bench.path().join("play/.git")).unwrap();
    fs::write(bench.path().join("play/.git/HEAD"), "").unwrap();
    assert_eq!(material(&bench), first);
    std::os::unix::fs::symlink("nowhere", bench.path().join("play/link")).unwrap();
    assert_ne!(material(&bench), first);
    let actions = bench.actions(KIND, options, "");
    assert!(actions.contains(&filled("upload [link -> nowhere]/* to $S\n")));
    assert!(!actions.contains("play/.git"));
}

#[test]
fn names_reach_ansible_as_they_are() {
    for (text, expected) in [
        ("a=b", "\"a=b\""),
        ("a='b c'", "\"a='b c'\""),
        ("a=\"$b`\\", "\"a=\\\"\\$b\\`\\\\\""),
    ] {
        assert_eq!(double_quoted(text), expected);
    }
}
