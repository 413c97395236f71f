use arbtest::arbtest;

use super::*;

#[test]
fn the_length_of_a_pack_tells_its_layout() {
    for data_pages in (1..=40).chain([1023, 1024, 1025, 2047, 2048, 2049, 16_384, 20_000]) {
        let layout = Layout::new(data_pages);
        assert_eq!(Layout::of_length((layout.pages() * PAGE) as u64), Some(layout));
        assert_eq!(layout.groups().map(|group| group.count).sum::<usize>(), data_pages);
        assert_eq!(layout.groups().map(|group| group.parity_count).sum::<usize>(), layout.parity_pages);
    }
    assert_eq!(Layout::of_length(PAGE as u64), None);
    assert_eq!(Layout::of_length(0), None);
    assert_eq!(Layout::of_length(u64::MAX), None);
    assert_eq!(Layout::of_length((Layout::new(100).pages() * PAGE) as u64 + 1), None);
}

#[test]
fn as_many_lost_pages_as_there_is_parity_come_back_and_not_one_more() {
    arbtest(|u| {
        let pages: usize = u.int_in_range(1..=200)?;
        let data: Vec<u8> = (0..pages * PAGE).map(|at| (at * 31 % 251) as u8).collect();
        let parity = mend::Parity::default().of(&data).unwrap();
        let count = parity_of_group(pages);
        assert_eq!(parity.len(), count * PAGE);
        let lost = u.int_in_range(1..=(count + 1).min(pages))?;
        let mut left: Vec<Option<&[u8]>> = data.chunks_exact(PAGE).map(Some).collect();
        let mut gone = std::collections::BTreeSet::new();
        while gone.len() < lost {
            gone.insert(u.choose_index(pages)?);
        }
        gone.iter().for_each(|page| left[*page] = None);
        let parity: Vec<Option<&[u8]>> = parity.chunks_exact(PAGE).map(Some).collect();
        let mended = mend::mend(&left, &parity).unwrap();
        if lost > count {
            assert_eq!(mended, None);
        } else {
            let mended = mended.unwrap();
            assert_eq!(mended.len(), lost);
            assert!(mended.iter().all(|(number, page)| page == &data[number * PAGE..(number + 1) * PAGE]));
        }
        Ok(())
    })
    .budget_ms(800);
}
