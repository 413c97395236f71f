//! Files that are known to change in place, by how they begin: databases and disk images.

/// Bytes of a file that are looked at.
pub(crate) const HEAD: usize = 4096;

/// Where something stands in a file of a kind, and what.
const SIGNS: [(usize, &[u8]); 18] = [
    (0, b"SQLite format 3\0"),
    // Berkeley DB: B-tree and hash.
    (12, b"\x62\x31\x05\0"),
    (12, b"\x61\x15\x06\0"),
    (16, b"\xde\xc0\xef\xbe"), // LMDB
    (4, b"Standard Jet DB"),
    (4, b"Standard ACE DB"),
    (4, b"\xef\xcd\xab\x89"), // Extensible Storage Engine
    (0x438, b"\x53\xef"),     // ext2, 3 and 4
    (0, b"XFSB"),
    (3, b"NTFS    "),
    (512, b"EFI PART"),
    (510, b"\x55\xaa"), // a boot sector: MBR, FAT
    (512, b"LABELONE"), // a physical volume of LVM
    (0, b"LUKS\xba\xbe"),
    (0, b"QFI\xfb"), // QCOW
    (0, b"KDMV"),    // VMDK
    (0, b"vhdxfile"),
    (0x40, b"\x7f\x10\xda\xbe"), // VDI
];

/// Whether a file that begins like this is known to change in place.
pub(crate) fn changes_in_place(head: &[u8]) -> bool {
    SIGNS.iter().any(|(at, sign)| head.get(*at..).is_some_and(|rest| rest.starts_with(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_by_its_head_and_a_text_is_not() {
        let mut image = vec![0; HEAD];
        assert!(!changes_in_place(&image));
        image[0x438..0x43a].copy_from_slice(b"\x53\xef");
        assert!(changes_in_place(&image));
        assert!(changes_in_place(b"SQLite format 3\0"));
        assert!(!changes_in_place(b"SQLite format 3"));
        assert!(!changes_in_place(&[b'a'; HEAD]));
        assert!(!changes_in_place(b""));
    }
}
