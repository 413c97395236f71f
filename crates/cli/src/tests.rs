use super::*;

#[test]
fn endings_have_the_exit_codes_of_the_contract() {
    assert_eq!([Ending::Whole, Ending::Bad, Ending::Partial].map(Ending::code), [0, 1, 3]);
}

#[test]
fn a_panic_becomes_one_failure_with_a_remedy() {
    defect::announce_in_one_line();
    let failure = defect::caught::<()>(|| panic!("two\nlines")).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.exit), ("defect", 1));
    assert!(!failure.message.contains('\n') && !failure.remedy.is_empty(), "{failure:?}");
    drop(std::panic::take_hook());
}
