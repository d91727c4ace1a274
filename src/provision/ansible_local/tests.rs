use super::*;

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
