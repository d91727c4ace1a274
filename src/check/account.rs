//! Accounts: the users and groups of an image, as its `/etc/passwd` and `/etc/group` have them.

use super::Expected;
use super::decode::one;
use super::expected::Fault;
use crate::sandbox::{OpenRoot, SandboxError};
use crate::template::Arguments;
use serde::Serialize;
use std::io::Read;

/// A file of accounts larger than this is read no further.
const FILE_LIMIT: u64 = 16 << 20;

/// What is expected of a user.
#[derive(Clone, Debug, Serialize)]
pub struct UserCheck {
    name: Expected<String>,
    exists: Expected<bool>,
    uid: Option<Expected<u32>>,
    gid: Option<Expected<u32>>,
    home: Option<Expected<String>>,
    shell: Option<Expected<String>>,
    groups: Option<Expected<Vec<String>>>,
}

/// What is expected of a group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupCheck {
    name: Expected<String>,
    exists: Expected<bool>,
    gid: Option<Expected<u32>>,
    members: Option<Expected<Vec<String>>>,
}

impl UserCheck {
    /// Takes a `user` block.
    pub fn decode(arguments: &Arguments<'_>) -> Self {
        Self {
            name: name(arguments),
            exists: exists(arguments, &["uid", "gid", "home", "shell", "groups"]),
            uid: one(arguments, "uid", Ok),
            gid: one(arguments, "gid", Ok),
            home: one(arguments, "home", Ok),
            shell: one(arguments, "shell", Ok),
            groups: one(arguments, "groups", Ok),
        }
    }

    /// What is not fulfilled by `accounts`.
    pub fn faults(&self, accounts: &Accounts) -> Vec<Fault> {
        let what = format!("user {}", self.name.value);
        let user = accounts.users.iter().find(|it| it.name == self.name.value);
        let user = match existing(user, &self.exists, &what) {
            Ok(user) => user,
            Err(faults) => return faults,
        };
        let mut faults = Vec::new();
        let mut compare = |word: &str, expected: Option<(&Expected<String>, String)>| {
            if let Some((expected, found)) = expected.filter(|(it, found)| it.value != *found) {
                faults.push(expected.fault(format!("{what}: {word}"), &expected.value, found));
            }
        };
        let uid = self.uid.as_ref().map(Expected::in_words);
        let gid = self.gid.as_ref().map(Expected::in_words);
        compare("uid", uid.as_ref().map(|it| (it, user.uid.to_string())));
        compare("gid", gid.as_ref().map(|it| (it, user.gid.to_string())));
        compare("home", self.home.as_ref().map(|it| (it, user.home.clone())));
        compare(
            "shell",
            self.shell.as_ref().map(|it| (it, user.shell.clone())),
        );
        if let Some(expected) = &self.groups {
            let found: Vec<&str> = accounts
                .groups
                .iter()
                .filter(|group| group.gid == user.gid || group.members.contains(&user.name))
                .map(|group| group.name.as_str())
                .collect();
            faults.extend(missing(expected, &format!("{what}: groups"), &found));
        }
        faults
    }
}

impl GroupCheck {
    /// Takes a `group` block.
    pub fn decode(arguments: &Arguments<'_>) -> Self {
        Self {
            name: name(arguments),
            exists: exists(arguments, &["gid", "members"]),
            gid: one(arguments, "gid", Ok),
            members: one(arguments, "members", Ok),
        }
    }

    /// What is not fulfilled by `accounts`.
    pub fn faults(&self, accounts: &Accounts) -> Vec<Fault> {
        let what = format!("group {}", self.name.value);
        let group = accounts.groups.iter().find(|it| it.name == self.name.value);
        let group = match existing(group, &self.exists, &what) {
            Ok(group) => group,
            Err(faults) => return faults,
        };
        let mut faults = Vec::new();
        if let Some(gid) = self.gid.as_ref().filter(|gid| gid.value != group.gid) {
            faults.push(gid.fault(format!("{what}: gid"), gid.value, group.gid));
        }
        if let Some(expected) = &self.members {
            let primary = accounts.users.iter().filter(|user| user.gid == group.gid);
            let named = group.members.iter().map(String::as_str);
            let found: Vec<&str> = named
                .chain(primary.map(|user| user.name.as_str()))
                .collect();
            faults.extend(missing(expected, &format!("{what}: members"), &found));
        }
        faults
    }
}

fn name(arguments: &Arguments<'_>) -> Expected<String> {
    let place = arguments.label_span(0);
    let name = arguments.label(0).unwrap_or_default();
    if name.is_empty() || name.contains([':', '\n']) {
        arguments.error(
            place,
            format!("{name:?} cannot be the name of an account"),
            &[],
        );
    }
    Expected::new(name.to_owned(), place)
}

/// Takes `exists`, with which nothing else makes sense if it is false.
fn exists(arguments: &Arguments<'_>, others: &[&str]) -> Expected<bool> {
    let exists = one(arguments, "exists", Ok);
    let exists = exists.unwrap_or_else(|| Expected::new(true, arguments.label_span(0)));
    if !exists.value
        && let Some(other) = others.iter().find(|name| arguments.has(name))
    {
        arguments.error(
            arguments.span(other),
            format!("{other} says something of an account that is expected not to exist"),
            &[],
        );
    }
    exists
}

/// The account to be looked at further, or the fault that it is not there or is.
fn existing<'a, T>(
    found: Option<&'a T>,
    exists: &Expected<bool>,
    what: &str,
) -> Result<&'a T, Vec<Fault>> {
    match (found, exists.value) {
        (Some(account), true) => Ok(account),
        (None, false) => Err(Vec::new()),
        (None, true) => Err(vec![exists.fault(what, "an account", "none")]),
        (Some(_), false) => Err(vec![exists.fault(what, "none", "an account")]),
    }
}

/// The fault of a list that lacks some of what is expected.
fn missing(expected: &Expected<Vec<String>>, what: &str, found: &[&str]) -> Option<Fault> {
    let lacks = expected
        .value
        .iter()
        .any(|it| !found.contains(&it.as_str()));
    let words = |words: &[&str]| match words {
        [] => "none".to_owned(),
        words => words.join(", "),
    };
    let wanted: Vec<&str> = expected.value.iter().map(String::as_str).collect();
    lacks.then(|| expected.fault(what, words(&wanted), words(found)))
}

/// The accounts of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
    shell: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

impl Accounts {
    /// Reads them from a root; without its files there are none.
    pub fn read(root: &OpenRoot) -> Result<Self, SandboxError> {
        Ok(Self::parse(
            &text(root, "/etc/passwd")?,
            &text(root, "/etc/group")?,
        ))
    }

    /// The names of the user with that number, of which there may be several.
    pub fn user_names(&self, uid: u32) -> Vec<String> {
        let users = self.users.iter().filter(|user| user.uid == uid);
        users.map(|user| user.name.clone()).collect()
    }

    /// The names of the group with that number.
    pub fn group_names(&self, gid: u32) -> Vec<String> {
        let groups = self.groups.iter().filter(|group| group.gid == gid);
        groups.map(|group| group.name.clone()).collect()
    }

    /// Lines that are none of an account are passed over, as libraries do.
    fn parse(passwd: &str, group: &str) -> Self {
        let fields = |line: &str| -> Vec<String> { line.split(':').map(str::to_owned).collect() };
        let user = |line: &str| {
            let fields = fields(line);
            Some(User {
                name: fields.first()?.clone(),
                uid: fields.get(2)?.parse().ok()?,
                gid: fields.get(3)?.parse().ok()?,
                home: fields.get(5)?.clone(),
                shell: fields.get(6)?.clone(),
            })
        };
        let group_of = |line: &str| {
            let fields = fields(line);
            let members = fields.get(3)?.split(',').filter(|name| !name.is_empty());
            Some(Group {
                name: fields.first()?.clone(),
                gid: fields.get(2)?.parse().ok()?,
                members: members.map(str::to_owned).collect(),
            })
        };
        Self {
            users: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(group_of).collect(),
        }
    }
}

fn text(root: &OpenRoot, path: &str) -> Result<String, SandboxError> {
    let file = match root.read(path) {
        Ok(Some(file)) => file,
        // Something that is no file holds no accounts.
        Ok(None) | Err(SandboxError::Work(_)) => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let read = file.take(FILE_LIMIT).read_to_end(&mut bytes);
    read.map_err(|error| SandboxError::Work(format!("read {path}: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{SourceSpan, Sources};

    fn accounts() -> Accounts {
        Accounts::parse(
            "root:x:0:0:root:/root:/bin/sh\n# no account\nweb:x:33:33::/srv:/bin/false\nbad:x:y:1::/:/\n",
            "root:x:0:\nweb:x:33:\nlog:x:4:root,web\nbad:x\n",
        )
    }

    fn expected<T>(value: T) -> Expected<T> {
        Expected::new(value, SourceSpan::new(Sources::new().add("f", ""), 0..0))
    }

    fn told(faults: &[Fault]) -> Vec<String> {
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn users_are_compared_field_by_field() {
        let user = |name: &str, exists| UserCheck {
            name: expected(name.to_owned()),
            exists: expected(exists),
            uid: None,
            gid: None,
            home: None,
            shell: None,
            groups: None,
        };
        let right = UserCheck {
            uid: Some(expected(33)),
            gid: Some(expected(33)),
            home: Some(expected("/srv".to_owned())),
            groups: Some(expected(vec!["log".to_owned(), "web".to_owned()])),
            ..user("web", true)
        };
        assert_eq!(right.faults(&accounts()), []);
        assert_eq!(user("nobody", false).faults(&accounts()), []);
        let wrong = UserCheck {
            uid: Some(expected(1)),
            shell: Some(expected("/bin/sh".to_owned())),
            groups: Some(expected(vec!["web".to_owned(), "root".to_owned()])),
            ..user("web", true)
        };
        assert_eq!(
            told(&wrong.faults(&accounts())),
            [
                "user web: uid: expected 1, found 33",
                "user web: shell: expected /bin/sh, found /bin/false",
                "user web: groups: expected web, root, found web, log",
            ]
        );
        assert_eq!(
            told(&user("bad", true).faults(&accounts())),
            ["user bad: expected an account, found none"]
        );
        assert_eq!(
            told(&user("web", false).faults(&accounts())),
            ["user web: expected none, found an account"]
        );
    }

    #[test]
    fn groups_have_members_by_both_files() {
        let group = |members: &[&str]| GroupCheck {
            name: expected("web".to_owned()),
            exists: expected(true),
            gid: Some(expected(33)),
            members: Some(expected(
                members.iter().map(|it| (*it).to_owned()).collect(),
            )),
        };
        assert_eq!(group(&["web"]).faults(&accounts()), []);
        assert_eq!(
            told(&group(&["root"]).faults(&accounts())),
            ["group web: members: expected root, found web"]
        );
    }
}
