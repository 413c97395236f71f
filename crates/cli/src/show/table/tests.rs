use super::*;

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let mut table = Table::new(&[("ID", Align::Left), ("SIZE", Align::Right), ("STATE", Align::Left)]);
    table.row(["a".to_owned(), "1,024".to_owned(), "complete".to_owned()]);
    table.row(["längste".to_owned(), "7".to_owned(), String::new()]);
    assert_eq!(table.text(), "ID        SIZE  STATE\na        1,024  complete\nlängste      7\n");
}

#[test]
fn an_empty_table_is_its_head() {
    assert_eq!(Table::new(&[("A", Align::Left), ("B", Align::Right)]).text(), "A  B\n");
}

#[test]
fn a_row_that_lacks_cells_is_still_a_row() {
    let mut table = Table::new(&[("A", Align::Left), ("B", Align::Left)]);
    table.row(["x".to_owned()]);
    assert_eq!(table.text(), "A  B\nx\n");
}
