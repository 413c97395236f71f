//! Reading packs: whole for verification, by frames for everything else, mended on the way where that is possible.

use resurgam_model::VolumeId;

use super::{Layout, PackId, PackKind, PackedFrame, Trailer, mend, page_sum, parse_index};
use crate::{
    backend::Backend,
    error::{BackendError, Fault, StoreError},
    frame::{FrameKind, Sealer},
    limits::{FRAME_MAX, PAGE},
};

/// An object that claims to be a pack, with a trailer that holds.
pub(crate) struct OpenPack<'a> {
    backend: &'a dyn Backend,
    object: String,
    layout: Layout,
    trailer: Trailer,
}

/// What checking the pages of a pack found.
#[derive(Debug, Default)]
pub(crate) struct PageCheck {
    /// Damaged data, parity and trailer pages, by number in the object.
    pub(crate) damaged: Vec<usize>,
    /// Data pages that parity cannot bring back.
    pub(crate) lost: Vec<usize>,
    /// Data pages brought back, by number.
    pub(crate) mended: Vec<(usize, Vec<u8>)>,
}

impl<'a> OpenPack<'a> {
    /// Finds and checks the trailer of the object `object`, which must be the pack `pack` of `volume`.
    pub(crate) fn open(
        backend: &'a dyn Backend,
        object: String,
        volume: VolumeId,
        pack: PackId,
    ) -> Result<Self, StoreError> {
        let length = backend.length(&object)?;
        let layout = Layout::of_length(length).ok_or_else(|| {
            StoreError::corrupt(&object, format!("no pack is {length} bytes long: it was cut off or grew"))
        })?;
        // The second first: it is where an interrupted copy would be short.
        for at in layout.trailers().into_iter().rev() {
            let mut bytes = vec![0; layout.trailer_pages * PAGE];
            backend.read_at(&object, at, &mut bytes)?;
            if let Some(trailer) = Trailer::parse(&bytes, &layout) {
                if trailer.volume != volume || trailer.pack != pack {
                    let what =
                        format!("it is pack {} of volume {}, in the place of another", trailer.pack, trailer.volume);
                    return Err(StoreError::corrupt(&object, what));
                }
                return Ok(Self { backend, object, layout, trailer });
            }
        }
        Err(StoreError::corrupt(&object, "both of its trailers are damaged"))
    }

    pub(crate) fn kind(&self) -> PackKind {
        self.trailer.kind
    }

    pub(crate) fn length(&self) -> u64 {
        (self.layout.pages() * PAGE) as u64
    }

    /// The pack's own index, mended if need be.
    pub(crate) fn index(&self, sealer: &mut Sealer<'_>) -> Result<Vec<PackedFrame>, StoreError> {
        let (offset, length) = (self.trailer.index_offset, self.trailer.index_length);
        let mut bytes = vec![0; length as usize];
        self.backend.read_at(&self.object, u64::from(offset), &mut bytes)?;
        let payload = match sealer.open(&bytes, FrameKind::PackIndex, super::PACK_MAX as usize) {
            Some(payload) => payload,
            None => {
                let bytes = self.mended(offset, length)?;
                let open = sealer.open(&bytes, FrameKind::PackIndex, super::PACK_MAX as usize);
                open.ok_or_else(|| StoreError::corrupt(&self.object, "its index cannot be opened"))?
            }
        };
        parse_index(&payload).ok_or_else(|| StoreError::corrupt(&self.object, "its index makes no sense"))
    }

    /// A range of the data pages with all damage in it mended.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where parity does not suffice.
    pub(crate) fn mended(&self, offset: u32, length: u32) -> Result<Vec<u8>, StoreError> {
        let (start, end) = (offset as usize, offset as usize + length as usize);
        let mut out = Vec::with_capacity(length as usize);
        for group in self.layout.groups() {
            let (first, last) = (group.first * PAGE, (group.first + group.count) * PAGE);
            if last <= start || end <= first {
                continue;
            }
            let mut data = self.pages(group.first, group.count)?;
            let mut check = PageCheck::default();
            self.check_group(&group, &data, &mut check)?;
            for (number, page) in check.mended {
                let at = (number - group.first) * PAGE;
                data[at..at + PAGE].copy_from_slice(&page);
            }
            let wanted = start.max(first)..end.min(last);
            if let Some(lost) =
                check.lost.iter().find(|&&page| page * PAGE < wanted.end && wanted.start < (page + 1) * PAGE)
            {
                return Err(StoreError::corrupt(
                    &self.object,
                    format!("page {lost} is damaged beyond what parity mends"),
                ));
            }
            out.extend_from_slice(&data[wanted.start - first..wanted.end - first]);
        }
        Ok(out)
    }

    /// Checks every page against its checksum and brings back what parity can.
    ///
    /// Calls `each` with the bytes of each group, mended, so that its frames can be proved without another read.
    pub(crate) fn check_pages(&self, each: &mut dyn FnMut(&[u8])) -> Result<PageCheck, StoreError> {
        let mut check = PageCheck::default();
        for group in self.layout.groups() {
            let mut data = self.pages(group.first, group.count)?;
            let already = check.mended.len();
            self.check_group(&group, &data, &mut check)?;
            for (number, page) in &check.mended[already..] {
                let at = (number - group.first) * PAGE;
                data[at..at + PAGE].copy_from_slice(page);
            }
            each(&data);
        }
        let wanted = self.trailer.encode(&self.layout);
        for at in self.layout.trailers() {
            let mut bytes = vec![0; wanted.len()];
            self.backend.read_at(&self.object, at, &mut bytes)?;
            let first = at as usize / PAGE;
            let pages = bytes.chunks_exact(PAGE).zip(wanted.chunks_exact(PAGE)).enumerate();
            check.damaged.extend(pages.filter(|(_, (is, wanted))| is != wanted).map(|(number, _)| first + number));
        }
        Ok(check)
    }

    /// The whole pack as it was written, given its data pages, mended.
    pub(crate) fn rebuild(&self, data: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut bytes = data.to_vec();
        let mut parity = mend::Parity::default();
        for group in self.layout.groups() {
            bytes.extend(parity.of(&data[group.first * PAGE..(group.first + group.count) * PAGE])?);
        }
        let trailer = self.trailer.encode(&self.layout);
        bytes.extend_from_slice(&trailer);
        bytes.extend_from_slice(&trailer);
        Ok(bytes)
    }

    fn pages(&self, first: usize, count: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; count * PAGE];
        match self.backend.read_at(&self.object, (first * PAGE) as u64, &mut bytes) {
            Ok(()) => Ok(bytes),
            // A medium that cannot read some pages: what it can read may be enough to mend them.
            Err(BackendError { kind: Fault::Io, .. }) => {
                for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate() {
                    if self.backend.read_at(&self.object, ((first + number) * PAGE) as u64, page).is_err() {
                        page.fill(0);
                    }
                }
                Ok(bytes)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn check_group(&self, group: &super::Group, data: &[u8], check: &mut PageCheck) -> Result<(), StoreError> {
        let parity = self.pages(group.parity, group.parity_count)?;
        let sound = |bytes: &'_ [u8], first: usize| -> Vec<bool> {
            let sums = &self.trailer.sums[first..];
            bytes.chunks_exact(PAGE).zip(sums).map(|(page, sum)| page_sum(page) == *sum).collect()
        };
        let (data_sound, parity_sound) = (sound(data, group.first), sound(&parity, group.parity));
        let bad = |sound: &[bool], first: usize| -> Vec<usize> {
            sound.iter().enumerate().filter(|(_, sound)| !**sound).map(|(number, _)| first + number).collect()
        };
        let lost = bad(&data_sound, group.first);
        check.damaged.extend(&lost);
        check.damaged.extend(bad(&parity_sound, group.parity));
        if lost.is_empty() {
            return Ok(());
        }
        let data: Vec<_> =
            data.chunks_exact(PAGE).zip(&data_sound).map(|(page, sound)| sound.then_some(page)).collect();
        let parity: Vec<_> =
            parity.chunks_exact(PAGE).zip(&parity_sound).map(|(page, sound)| sound.then_some(page)).collect();
        match mend::mend(&data, &parity)? {
            Some(pages) => {
                for (number, page) in pages {
                    let number = group.first + number;
                    // Never trust the code alone: what came back must be what was written.
                    if page_sum(&page) == self.trailer.sums[number] {
                        check.mended.push((number, page));
                    } else {
                        check.lost.push(number);
                    }
                }
            }
            None => check.lost.extend(lost),
        }
        Ok(())
    }
}

/// Opens a frame's payload, or says that it is none.
pub(crate) fn open_payload(sealer: &mut Sealer<'_>, bytes: &[u8], kind: PackKind) -> Option<Vec<u8>> {
    sealer.open(bytes, kind.frame(), FRAME_MAX)
}
