use super::*;

type Seen = Vec<(String, Option<Vec<Option<String>>>)>;

fn seen(script: &[u8]) -> Result<Seen, Fault> {
    let mut seen = Seen::new();
    read_rows(script, &mut |row| {
        seen.push((row.table.to_owned(), row.cells.map(<[_]>::to_vec)));
        Ok(())
    })?;
    Ok(seen)
}

#[test]
fn rows_stand_in_blocks() {
    let script = b"SET x;\n\nCOPY public.point (id, \"time\") FROM stdin;\na\\tb\\\\c\\n\t\\N\n\t\\\\N\n\\.\n\nCOPY public.none (a) FROM stdin;\n\\.\n";
    let point = |cells| ("point".to_owned(), cells);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen(script).unwrap(),
        [
            point(None),
            point(Some(vec![text("a\tb\\c\n"), None])),
            point(Some(vec![text(""), text("\\N")])),
            ("none".to_owned(), None)
        ]
    );
}

#[test]
fn a_block_that_breaks_off_is_damage() {
    for script in [&b"COPY public.p (a, b) FROM stdin;\nx\ty\n"[..], b"COPY p (a, b) FROM stdin;\nx\n\\.\n"] {
        assert!(matches!(seen(script), Err(Fault::Corrupt(_))));
    }
}

#[test]
fn bytes_are_hexadecimal() {
    assert_eq!(bytes("\\x00ff"), Some(vec![0, 255]));
    assert_eq!(bytes("\\x"), Some(vec![]));
    assert_eq!((bytes("\\x0"), bytes("00"), bytes("\\x+1")), (None, None, None));
}
