//! Mounts of a process's own, which go with it.

use std::process::Command;

/// A file system of eight mebibytes at `data` in the working directory.
pub(crate) const SMALL_DISK: &str = "mkdir -p data && mount -t tmpfs -o size=8m tmpfs data";
/// What the file `meminfo` in the working directory says is what the machine says of its memory.
pub(crate) const MEMORY: &str = "touch meminfo && mount --bind meminfo /proc/meminfo";

/// What a program is started through, so that it alone has the mount. Nothing where that is not permitted, as in most
/// containers.
pub(crate) fn mounted(mount: &str) -> Option<Vec<String>> {
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    let ways: [&[&str]; 2] = [&["unshare", "--mount"], &["unshare", "--user", "--map-root-user", "--mount"]];
    let way = |way: &[&str]| way.iter().copied().chain(["sh", "-c", &script]).map(str::to_owned).collect::<Vec<_>>();
    ways.into_iter().map(way).find(|way| {
        let folder = tempfile::tempdir().expect("a folder");
        let tried = Command::new(&way[0]).args(&way[1..]).arg("true").current_dir(folder.path()).output();
        tried.is_ok_and(|output| output.status.success())
    })
}
