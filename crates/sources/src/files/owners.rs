//! Names of users and groups for their numbers, and back.
//!
//! They are read from `/etc/passwd` and `/etc/group` once per job. Accounts that only a directory service knows keep
//! their number and get no name: asking the service would mean code that may block for minutes on a dead network, for a
//! name that only matters when a tree is put back on another machine.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use resurgam_store::Owner;

/// Names by number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    users: HashMap<u32, Arc<[u8]>>,
    groups: HashMap<u32, Arc<[u8]>>,
    nobody: Arc<[u8]>,
}

/// Numbers by name.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Names {
    /// Those of this machine. Where a file cannot be read there are no names, only numbers.
    pub(crate) fn of_this_machine() -> Self {
        let (users, groups) = account_files();
        let first_wins = |list: Vec<(Vec<u8>, u32)>| {
            let mut names = HashMap::new();
            for (name, number) in list {
                names.entry(number).or_insert_with(|| name.into());
            }
            names
        };
        Self { users: first_wins(users), groups: first_wins(groups), nobody: Arc::default() }
    }

    pub(crate) fn user(&self, uid: u32) -> &Arc<[u8]> {
        self.users.get(&uid).unwrap_or(&self.nobody)
    }

    pub(crate) fn group(&self, gid: u32) -> &Arc<[u8]> {
        self.groups.get(&gid).unwrap_or(&self.nobody)
    }

    pub(crate) fn owner(&self, uid: u32, gid: u32) -> Owner {
        Owner { uid, gid, user: Arc::clone(self.user(uid)), group: Arc::clone(self.group(gid)) }
    }

    /// Puts the names of today into `owner`, and says whether they are others.
    pub(crate) fn refresh(&self, owner: &mut Owner) -> bool {
        let (user, group) = (self.user(owner.uid), self.group(owner.gid));
        let others = owner.user != *user || owner.group != *group;
        if others {
            (owner.user, owner.group) = (Arc::clone(user), Arc::clone(group));
        }
        others
    }
}

impl Numbers {
    /// Those of this machine.
    pub(crate) fn of_this_machine() -> Self {
        let (users, groups) = account_files();
        Self { users: users.into_iter().collect(), groups: groups.into_iter().collect() }
    }

    /// User and group number on this machine: by name where the name is known here, else the number as it was.
    pub(crate) fn of(&self, owner: &Owner) -> (u32, u32) {
        let find = |map: &HashMap<Vec<u8>, u32>, name: &[u8], number| match name {
            b"" => number,
            name => map.get(name).copied().unwrap_or(number),
        };
        (find(&self.users, &owner.user, owner.uid), find(&self.groups, &owner.group, owner.gid))
    }
}

type Accounts = Vec<(Vec<u8>, u32)>;

fn account_files() -> (Accounts, Accounts) {
    let read = |path: &str| fs::read(Path::new(path)).map(|bytes| parse(&bytes)).unwrap_or_default();
    (read("/etc/passwd"), read("/etc/group"))
}

/// Names with their numbers, from lines of the form `name:password:number:…`; other lines are passed over.
fn parse(bytes: &[u8]) -> Accounts {
    let line = |line: &[u8]| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next().filter(|n| !n.is_empty() && !n.starts_with(b"#"))?;
        let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((name.to_vec(), number))
    };
    bytes.split(|&b| b == b'\n').filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_account_files_are_understood_and_others_passed_over() {
        let text =
            b"root:x:0:0:root:/root:/bin/bash\n# a comment:x:4\n\n+::::\nbad:x:many:\nweb\xff:x:33:33\nshort:x\n";
        assert_eq!(parse(text), vec![(b"root".to_vec(), 0), (b"web\xff".to_vec(), 33)]);
    }

    #[test]
    fn an_owner_is_found_by_name_and_else_by_number() {
        let numbers = Numbers {
            users: HashMap::from([(b"web".to_vec(), 1033)]),
            groups: HashMap::from([(b"staff".to_vec(), 7)]),
        };
        let owner = |user: &[u8], group: &[u8]| Owner { uid: 33, gid: 50, user: user.into(), group: group.into() };
        assert_eq!(numbers.of(&owner(b"web", b"staff")), (1033, 7));
        assert_eq!(numbers.of(&owner(b"gone", b"")), (33, 50));
    }

    #[test]
    fn names_that_changed_are_refreshed() {
        let names = Names { users: HashMap::from([(1, (*b"new").into())]), ..Names::default() };
        let mut owner = Owner { uid: 1, gid: 2, user: (*b"old").into(), group: (*b"gone").into() };
        assert!(names.refresh(&mut owner));
        assert_eq!(owner, Owner { uid: 1, gid: 2, user: (*b"new").into(), group: Arc::default() });
        assert!(!names.refresh(&mut owner));
    }
}
