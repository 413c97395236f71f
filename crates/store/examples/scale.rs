//! What an index of many blobs costs: see `benches/scale`, which runs this.

#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use resurgam_model::{PointId, ReplicaId, ServerId, Timestamp, VolumeId};
use resurgam_store::{
    BlobId, Session, StoreError, Volume,
    backend::directory::Directory,
    index::{Index, kept::Tables},
    keys::{Secret, SigningKey, Slot, Unlock, VolumeKeys},
    limits::SEGMENT_BLOBS_MAX,
    point::ReplicaPlace,
    scale,
    volume::NewVolume,
};
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Files of a tree of which there are many points, and how many of them change from one to the next.
const FILES: u64 = 2_000;
const CHANGED: u64 = 20;
const SOURCES: u64 = 100;

/// Time that has passed, and time that the processor has worked for this program.
#[derive(Clone, Copy)]
struct Times {
    wall: Duration,
    cpu: Duration,
}

fn now() -> Times {
    let of = |clock| {
        let time = clock_gettime(clock);
        Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
    };
    Times { wall: of(ClockId::Monotonic), cpu: of(ClockId::ProcessCPUTime) }
}

fn show(what: &str, from: Times, to: Times, each: Option<u64>) {
    let (wall, cpu) = (to.wall - from.wall, to.cpu - from.cpu);
    let one = each.map_or_else(String::new, |count| {
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count.max(1) as f64;
        format!("   each {:.2} us, {:.2} us CPU", micros(wall), micros(cpu))
    });
    println!("{what:34} {:8.2} s {:8.2} CPU s{one}", wall.as_secs_f64(), cpu.as_secs_f64());
}

/// What the kernel says of this program's memory, in MB: now, and at most.
fn memory() -> Result<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let of = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
    };
    Ok((of("VmRSS:").unwrap_or(0), of("VmHWM:").unwrap_or(0)))
}

fn show_memory(when: &str) -> Result<()> {
    let (now, most) = memory()?;
    println!("{when:34} {now:8} MB resident, {most} MB at most so far");
    Ok(())
}

fn signing() -> std::result::Result<SigningKey, StoreError> {
    SigningKey::from_seed(&Secret::new([9; 32]))
}

fn create(root: &Path) -> Result<()> {
    let keys = VolumeKeys { identity: Secret::new([1; 32]), sealing: Secret::new([2; 32]) };
    let slots = vec![Slot::clear(&keys)];
    let new = NewVolume {
        volume: VolumeId::from_random([3; 16]),
        server: ServerId::from_random([4; 16]),
        server_name: "server.example",
        signing: &signing()?,
        keys,
        slots,
        features: &[],
        created: Timestamp::UNIX_EPOCH,
    };
    fs::create_dir_all(root)?;
    Volume::create(Arc::new(Directory::local(root)), new)?;
    Ok(())
}

fn open(root: &Path, tables: &Path) -> Result<Arc<Volume>> {
    let volume = Volume::open(Arc::new(Directory::local(root)), &Unlock::default())?;
    Ok(Arc::new(volume.with_tables(Tables::kept_in(tables))))
}

/// Segments of the length to which merging brings them, and the rest in short ones.
fn make_index(root: &Path, volume: &Volume, blobs: u64) -> Result<()> {
    let mut first = 0;
    while first < blobs {
        let left = blobs - first;
        let full = SEGMENT_BLOBS_MAX as u64;
        let count = if left >= full { full } else { left.min(1 << 18) }.next_multiple_of(1024);
        scale::add_segment(volume, root, first, count)?;
        first += count;
    }
    Ok(())
}

/// Points of many sources, each a little different from the one before; and one point of all other blobs up to `needed`.
fn make_points(root: &Path, volume: &Arc<Volume>, points: u64, needed: u64) -> Result<()> {
    let session = Session::begin(volume)?;
    let mut trees = Vec::new();
    for point in 0..points {
        let (source, round) = (point % SOURCES, point / SOURCES);
        let blob_of = |file: u64| {
            let has_changed = file / CHANGED < round;
            source * 2 * FILES + file + if has_changed { FILES } else { 0 }
        };
        trees.push(scale::add_tree(&session, FILES, &blob_of)?);
    }
    let beyond = SOURCES * 2 * FILES;
    trees.push(scale::add_tree(&session, needed.saturating_sub(beyond), &|file| beyond + file)?);
    scale::finish(session)?;
    let signing = signing()?;
    for (number, tree) in trees.iter().enumerate() {
        let replica = ReplicaId::from_random([(number as u64 % SOURCES) as u8; 16]);
        let place = ReplicaPlace { server: "server.example".to_owned(), replica };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        scale::add_point(volume, root, &place, PointId::from_random(id), tree, &signing)?;
    }
    Ok(())
}

/// `count` names that are spread over all segments; those from `first` on.
fn names(first: u64, count: u64, blobs: u64) -> Vec<BlobId> {
    let numbers = (0..count).map(|number| first + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blobs);
    numbers.map(scale::name_of).collect()
}

fn look_up(what: &str, index: &Index, names: &[BlobId], rounds: u64) -> Result<()> {
    let began = now();
    let found = (0..rounds).flat_map(|_| names).filter(|name| index.find(name).is_some()).count();
    let count = rounds * names.len() as u64;
    show(what, began, now(), Some(count));
    println!("{:34} {found} of {count} found", "");
    Ok(index.check()?)
}

fn measure(root: &Path, tables: &Path, blobs: u64) -> Result<()> {
    let volume = open(root, tables)?;
    let began = now();
    let index = scale::load(&volume)?;
    show("opening, as a reader", began, now(), None);
    println!("{:34} {} blobs", "", index.blobs());
    show_memory("with the index open")?;
    let (there, not_there) = (names(0, 50_000, blobs), names(1 << 40, 50_000, blobs));
    look_up("look-ups, tables on disk perhaps", &index, &there, 1)?;
    look_up("the same, in the page cache", &index, &there, 20)?;
    look_up("look-ups of what is not there", &index, &not_there, 20)?;
    drop(index);
    let began = now();
    let index = scale::load_and_match(&volume)?;
    show("opening, as a writer", began, now(), None);
    let began = now();
    let (points, marked, counted) = scale::mark(&volume, index, &now)?;
    println!("{:34} {points} points", "");
    show("marking what all points need", began, marked, None);
    show("what each pack is needed for", marked, counted, Some(blobs));
    show_memory("at the end")
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, work, numbers @ ..] = &arguments[..] else { return Err("make|points|measure WORK NUMBER …".into()) };
    let (root, tables) = (Path::new(work).join("volume"), Path::new(work).join("tables"));
    let numbers = numbers.iter().map(|number| number.parse()).collect::<std::result::Result<Vec<u64>, _>>()?;
    let began = now();
    match (what.as_str(), &numbers[..]) {
        ("make", [blobs]) => {
            create(&root)?;
            make_index(&root, &*open(&root, &tables)?, *blobs)?;
            show("making segments", began, now(), None);
        }
        ("lay-out", []) => {
            scale::load(&*open(&root, &tables)?)?;
            show("laying tables out, once", began, now(), None);
        }
        ("points", [points, needed]) => {
            make_points(&root, &open(&root, &tables)?, *points, *needed)?;
            show("making points", began, now(), None);
        }
        ("measure", [blobs]) => measure(&root, &tables, *blobs)?,
        _ => return Err("make WORK BLOBS | lay-out WORK | points WORK POINTS NEEDED | measure WORK BLOBS".into()),
    }
    show_memory(what)
}
