//! Users: `USER[:GROUP]` as the root's own `/etc/passwd` and `/etc/group` have it.

use super::inside;
use super::sys::Ids;
use std::path::Path;

/// A file of users larger than this is none.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;

/// Who a command runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User and groups.
    pub ids: Ids,
    /// The home folder, for `HOME`.
    pub home: String,
}

impl User {
    /// Whether that is what PID 1 is already.
    pub fn is_root(&self) -> bool {
        self.ids.uid == 0 && self.ids.gid == 0 && self.ids.groups.is_empty()
    }

    /// User and group that the user's files belong to.
    pub fn owner(&self) -> (u32, u32) {
        (self.ids.uid, self.ids.gid)
    }
}

/// Finds a user, as Docker does: names and numbers, with an optional group; empty is root.
pub fn resolve(text: &str) -> Result<User, String> {
    let read = |path: &str| {
        let bytes = inside::read(Path::new(path), FILE_LIMIT).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    find(text, &read("/etc/passwd"), &read("/etc/group"))
}

fn find(text: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (user, wanted_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&user) || fields.get(2) == Some(&user));
    let number = |fields: &[&str], index: usize| fields.get(index)?.parse::<u32>().ok();
    let uid = match (&entry, user.parse::<u32>()) {
        (Some(fields), _) => number(fields, 2),
        (None, Ok(uid)) => Some(uid),
        (None, Err(_)) => None,
    };
    let uid = uid.ok_or_else(|| format!("the image has no user {user:?} in /etc/passwd"))?;
    let primary = entry
        .as_ref()
        .and_then(|fields| number(fields, 3))
        .unwrap_or(0);
    let name = entry.as_ref().and_then(|fields| fields.first().copied());
    let home = entry
        .as_ref()
        .and_then(|fields| fields.get(5).copied())
        .unwrap_or_default();
    let home = match home {
        "" if uid == 0 => "/root",
        "" => "/",
        home => home,
    };

    let lines = || {
        group
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
    };
    let (gid, groups) = match wanted_group {
        Some(wanted) => {
            let found = lines()
                .find(|fields| fields.first() == Some(&wanted) || fields.get(2) == Some(&wanted))
                .and_then(|fields| number(&fields, 2))
                .or(wanted.parse().ok());
            let gid =
                found.ok_or_else(|| format!("the image has no group {wanted:?} in /etc/group"))?;
            (gid, Vec::new())
        }
        None => {
            let is_member = |fields: &Vec<&str>| {
                let members = fields.get(3).copied().unwrap_or_default();
                name.is_some_and(|name| members.split(',').any(|member| member == name))
            };
            let mut groups: Vec<u32> = lines()
                .filter(is_member)
                .filter_map(|fields| number(&fields, 2))
                .collect();
            groups.retain(|gid| *gid != primary);
            groups.sort_unstable();
            groups.dedup();
            (primary, groups)
        }
    };
    Ok(User {
        ids: Ids { uid, gid, groups },
        home: home.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_as_docker_finds_them() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nbad:x:y:z\n";
        let group = "root:x:0:\napp:x:1001:\nadm:x:4:app,root\nwheel:x:10:app\n";
        let user = |uid, gid, groups: &[u32], home: &str| {
            Ok(User {
                ids: Ids {
                    uid,
                    gid,
                    groups: groups.to_vec(),
                },
                home: home.to_owned(),
            })
        };
        for (text, expected) in [
            ("", user(0, 0, &[4], "/root")),
            ("app", user(1000, 1001, &[4, 10], "/home/app")),
            ("1000", user(1000, 1001, &[4, 10], "/home/app")),
            ("app:adm", user(1000, 4, &[], "/home/app")),
            ("1234", user(1234, 0, &[], "/")),
            ("1234:5678", user(1234, 5678, &[], "/")),
        ] {
            assert_eq!(find(text, passwd, group), expected, "{text}");
        }
        for text in ["nobody", "app:nogroup", "bad", "-1"] {
            assert!(find(text, passwd, group).is_err(), "{text}");
        }
        assert!(find("", "", "").unwrap().is_root());
    }
}
