use super::*;

#[test]
fn a_line_says_how_far_how_fast_and_how_long() {
    let meter = Meter::default();
    meter.entries.add(12_345);
    meter.bytes.add(3 << 30);
    assert_eq!(line("protecting", &meter, Duration::from_secs(30)), "protecting: 12,345 items, 3.0 GiB, 102 MiB/s");
    meter.expected.add(4 << 30);
    let text = line("protecting", &meter, Duration::from_secs(300));
    assert_eq!(text, "protecting: 12,345 items, 3.0 GiB of 4.0 GiB, 10 MiB/s, 100 s left");
    assert!(line("x", &Meter::default(), Duration::ZERO).contains("0 items"));
}

#[test]
fn both_bars_can_be_drawn() {
    for is_known in [true, false] {
        style_of_bar(is_known);
    }
}

#[test]
fn the_jobs_answer_comes_through() {
    let answer = watched(&Output::plain(true), "testing", |meter| {
        meter.bytes.add(1);
        meter.bytes.get()
    });
    assert_eq!(answer, 1);
}
