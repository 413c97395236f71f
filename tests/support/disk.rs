//! A small disk of its own: an ext4 in a file, mounted by a loop device, that can be filled and cut from its power.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::parts::run_tool;

/// A mounted disk. It is unmounted when this value goes.
#[derive(Debug)]
pub struct Disk {
    dir: TempDir,
    options: &'static str,
}

/// Mount options under which what was not synced is really lost at a power cut: nothing is written early.
pub const LAZY: &str = "noauto_da_alloc,commit=300,data=writeback";

impl Disk {
    /// A new, empty ext4 of so many MiB, with 5 % reserved for root as mkfs does by itself.
    pub fn new(mebibytes: u64, options: &'static str) -> Self {
        let dir = TempDir::with_prefix("resurgam-disk-").unwrap();
        fs::create_dir(dir.path().join("mounted")).unwrap();
        let disk = Self { dir, options };
        File::create(disk.image()).unwrap().set_len(mebibytes << 20).unwrap();
        // ea_inode: extended attributes of up to 64 KiB. -I 256: times after 2038, to the nanosecond. Small disks would get
        // blocks of 1 KiB, and with them short symlinks.
        run_tool(
            Command::new("mkfs.ext4").args(["-q", "-F", "-b", "4096", "-I", "256", "-O", "ea_inode"]).arg(disk.image()),
        );
        disk.mount();
        fs::remove_dir(disk.path().join("lost+found")).unwrap();
        // Made now: a full disk has no room for a directory.
        fs::create_dir(disk.filler()).unwrap();
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// Mounts it (again). A log left by a power cut is replayed.
    pub fn mount(&self) {
        let options = format!("loop,{}", self.options);
        run_tool(Command::new("mount").args(["-t", "ext4", "-o", &options]).arg(self.image()).arg(self.path()));
    }

    /// Unmounts it. Nothing may have a file open on it.
    pub fn unmount(&self) {
        run_tool(Command::new("umount").arg(self.path()));
    }

    /// Makes it read-only, or writable again.
    pub fn remount(&self, option: &str) {
        run_tool(Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.path()));
    }

    /// Cuts the power: from now on nothing reaches the disk, not even what is in the log's memory.
    pub fn cut_power(&self) {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH. No safe binding knows it; Python does without one.
        let script = "import fcntl,os,struct,sys\n\
                      fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        run_tool(Command::new("python3").args(["-c", script]).arg(self.path()));
    }

    /// Fills what is left to the last byte, root's reserve included. [`Disk::release`] undoes it.
    pub fn fill(&self) {
        // A block that was set aside for a file's own bookkeeping is free again once it is written: so file after file,
        // until one cannot have a single byte.
        for number in 0..1000 {
            let Ok(mut file) = File::create(self.filler().join(format!("{number}"))) else { return };
            for length in [1 << 20, 1 << 16, 4096, 512, 1] {
                let block = vec![0xA5; length];
                while file.write_all(&block).and_then(|()| file.sync_data()).is_ok() {}
            }
            if file.metadata().unwrap().len() == 0 {
                return;
            }
        }
        panic!("the disk does not fill");
    }

    /// Gives back the space that [`Disk::fill`] took.
    pub fn release(&self) {
        for file in fs::read_dir(self.filler()).unwrap().map(Result::unwrap) {
            fs::remove_file(file.path()).unwrap();
        }
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Bytes that root could still write.
    pub fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        stat.f_bfree * stat.f_frsize
    }

    /// Checks the disk itself, unmounted, without repairing anything.
    pub fn check(&self) {
        run_tool(Command::new("e2fsck").args(["-f", "-n"]).arg(self.image()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mounted = is_mounted(&self.path());
        if mounted && !Command::new("umount").arg(self.path()).status().is_ok_and(|status| status.success()) {
            // Something still has it open: let go of it now, and of the disk when that ends.
            Command::new("umount").arg("-l").arg(self.path()).status().ok();
        }
    }
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == path.to_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::{Part, is_present};

    #[test]
    fn a_power_cut_loses_what_was_not_synced_and_keeps_what_was() {
        let parts = [Part::LoopDevice, Part::Tool("python3")];
        if !is_present("a_power_cut_loses_what_was_not_synced_and_keeps_what_was", &parts) {
            return;
        }
        let disk = Disk::new(32, LAZY);
        let at = |name: &str| disk.path().join(name);
        let kept = File::create(at("kept")).unwrap();
        (&kept).write_all(b"synced").unwrap();
        kept.sync_all().unwrap();
        File::open(disk.path()).unwrap().sync_all().unwrap();
        fs::write(at("lost"), "not synced").unwrap();
        drop(kept);
        disk.cut_power();
        assert!(fs::write(at("late"), "x").is_err());
        disk.unmount();
        disk.mount();
        assert_eq!(fs::read(at("kept")).unwrap(), b"synced");
        assert!(!at("lost").exists() && !at("late").exists());
    }

    #[test]
    fn a_full_disk_has_not_one_byte_free() {
        if !is_present("a_full_disk_has_not_one_byte_free", &[Part::LoopDevice]) {
            return;
        }
        let disk = Disk::new(16, "defaults");
        disk.fill();
        assert!(fs::write(disk.path().join("more"), "x").is_err());
        disk.release();
        assert!(disk.free_bytes() > 8 << 20);
    }
}
