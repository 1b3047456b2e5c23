//! How much memory records may take: as set, or a part of what the control group allows.

use std::fs;
use std::path::Path;

use super::settings::Settings;
use super::{ConfigError, values};

/// With less, not even one large record fits beside the prefetch.
const LEAST: usize = 16 << 20;

/// The budget in bytes; where it is not set, a quarter of the control group's limit, if that is less than the default.
pub(super) fn read(settings: &Settings) -> Result<usize, ConfigError> {
    let parse = |text: &str| usize::try_from(values::bytes(text)?).ok().filter(|size| *size >= LEAST);
    let set = settings.require("engine.memory_budget")?.parse("a size of at least 16MiB", parse)?;
    if settings.find_given("engine.memory_budget")?.is_some() {
        return Ok(set);
    }
    let quarter = limit().and_then(|limit| usize::try_from(limit / 4).ok());
    Ok(quarter.map_or(set, |quarter| set.min(quarter.max(LEAST))))
}

/// The bytes that the control group of this process allows: the least of its own limit and of those around it. `None`
/// without one, or where it cannot be read.
///
/// Files of both versions of control groups are known: see `cgroups(7)` and the kernel's `cgroup-v2.rst`.
fn limit() -> Option<u64> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    least(Path::new("/sys/fs/cgroup"), &membership)
}

/// `membership` is what `/proc/self/cgroup` holds: lines of `ID:CONTROLLERS:PATH`.
fn least(root: &Path, membership: &str) -> Option<u64> {
    membership.lines().filter_map(|line| of_line(root, line)).min()
}

fn of_line(root: &Path, line: &str) -> Option<u64> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let (mount, file) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
        _ => return None,
    };
    // In a container the path may be the host's, and the mount the container's own group: then the root alone is there.
    let group = mount.join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|folder| folder.starts_with(&mount));
    groups.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_limit_around_the_process_counts() {
        let second = tree(&[("memory.max", "max\n"), ("a/memory.max", "200\n"), ("a/b/memory.max", "300\n")]);
        assert_eq!(least(second.path(), "0::/a/b\n"), Some(200));
        assert_eq!(least(second.path(), "0::/\n"), None);
        let first =
            tree(&[("memory/memory.limit_in_bytes", "9223372036854771712"), ("memory/a/memory.limit_in_bytes", "100")]);
        assert_eq!(least(first.path(), "8:cpu:/a\n4:hugetlb,memory:/a\n0::/\n"), Some(100));
    }

    #[test]
    fn a_path_of_the_host_leaves_the_group_of_the_mount() {
        let root = tree(&[("memory.max", "500")]);
        assert_eq!(least(root.path(), "0::/system.slice/docker-1.scope\n"), Some(500));
    }

    #[test]
    fn without_a_limit_there_is_none() {
        let root = tree(&[("memory.max", "max")]);
        for membership in ["0::/\n", "", "nonsense", "1:cpu:/"] {
            assert_eq!(least(root.path(), membership), None, "{membership}");
        }
    }
}
