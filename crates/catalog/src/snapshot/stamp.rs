//! A checksum inside an SQLite copy. SQLite's own check finds what breaks its structure, but not a changed letter.
//!
//! It stands in two numbers of the database's header that SQLite leaves to applications, so that stock tools open the
//! copy as before. `user_version` holds the checksum of the file without these numbers; `application_id` holds the
//! count of changes that the file had then. Once the copy is written to, the count is another one, and the stamp says
//! nothing any more.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use crate::Fault;

/// Bytes of the header, <https://sqlite.org/fileformat2.html#the_database_header>.
const HEADER: usize = 100;
const PAGE_SIZE: usize = 16;
const CHANGES: usize = 24;
const PAGES: usize = 28;
const CHECKSUM: usize = 60;
const CHANGES_THEN: usize = 68;

/// Stamps a copy that nobody has open.
pub(super) fn write(path: &Path) -> Result<(), Fault> {
    let stamped = || -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let (header, checksum) = read(&mut file)?;
        put(&mut file, CHECKSUM, checksum)?;
        put(&mut file, CHANGES_THEN, number(&header, CHANGES))
    };
    stamped().map_err(|e| Fault::of_file(&e))
}

/// Refuses a copy whose stamp holds and does not fit, or that is not as long as it says.
pub(super) fn refuse_changed(path: &Path) -> Result<(), Fault> {
    let mut file = File::open(path).map_err(|e| Fault::of_file(&e))?;
    let length = file.metadata().map_err(|e| Fault::of_file(&e))?.len();
    let (header, checksum) = read(&mut file).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => Fault::Corrupt("the database breaks off in its header".to_owned()),
        _ => Fault::of_file(&e),
    })?;
    let page_size = match u64::from(u16::from_be_bytes([header[PAGE_SIZE], header[PAGE_SIZE + 1]])) {
        1 => 65_536,
        size => size,
    };
    let wanted = page_size * u64::from(number(&header, PAGES));
    if length != wanted {
        return Err(Fault::Corrupt(format!("the database is damaged: {length} bytes long instead of {wanted}")));
    }
    let stamped = number(&header, CHECKSUM) != 0 && number(&header, CHANGES_THEN) == number(&header, CHANGES);
    if stamped && number(&header, CHECKSUM) != checksum {
        return Err(Fault::Corrupt("the copy is damaged: it is not what its checksum says".to_owned()));
    }
    Ok(())
}

/// The header, and the checksum of all but the stamp; never 0, which stands for none.
fn read(file: &mut File) -> io::Result<([u8; HEADER], u32)> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let mut bare = header;
    bare[CHECKSUM..CHECKSUM + 4].fill(0);
    bare[CHANGES_THEN..CHANGES_THEN + 4].fill(0);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bare);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => _ = hasher.update(&buffer[..length]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok((header, number(hasher.finalize().as_bytes(), 0).max(1)))
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn put(file: &mut File, at: usize, number: u32) -> io::Result<()> {
    file.seek(SeekFrom::Start(at as u64))?;
    file.write_all(&number.to_be_bytes())
}
