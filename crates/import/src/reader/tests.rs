use std::time::Instant;

use proptest::prelude::*;

use super::*;

type Told = (u64, Result<Vec<String>, RowFault>, Position);

/// Reads a file in pieces of a size.
fn read_with(mut reader: Reader, bytes: &[u8], piece: usize) -> (Result<Form, FileFault>, Vec<Told>) {
    let mut rows = Vec::new();
    let mut each = |row: Row<'_>| {
        let fields = row.fields.map(|fields| fields.into_iter().map(Cow::into_owned).collect());
        rows.push((row.line, fields, row.behind));
    };
    for piece in bytes.chunks(piece) {
        if let Err(fault) = reader.feed(piece, &mut each) {
            return (Err(fault), rows);
        }
    }
    let form = reader.finish(&mut each);
    (form, rows)
}

/// Reads a file whole and byte by byte, which is the same.
fn read(bytes: &[u8]) -> (Result<Form, FileFault>, Vec<Told>) {
    let whole = read_with(Reader::new(), bytes, usize::MAX);
    assert_eq!(whole, read_with(Reader::new(), bytes, 1));
    // And from behind each row to the end.
    if let Ok(form) = &whole.0 {
        let step = whole.1.len() / 20 + 1;
        for (place, (_, _, behind)) in whole.1.iter().enumerate().step_by(step) {
            let rest = &bytes[usize::try_from(behind.offset).expect("an offset")..];
            let (_, rows) = read_with(Reader::resume(form.clone(), *behind), rest, 7);
            assert_eq!(rows, whole.1[place + 1..], "behind row {place}");
        }
    }
    whole
}

/// The rows of a file that has some, with their lines.
fn rows(text: &str) -> Vec<(u64, Result<Vec<String>, RowFault>)> {
    let (form, rows) = read(text.as_bytes());
    form.unwrap_or_else(|fault| panic!("{text:?}: {fault}"));
    rows.into_iter().map(|(line, fields, _)| (line, fields)).collect()
}

fn good(line: u64, fields: &[&str]) -> (u64, Result<Vec<String>, RowFault>) {
    (line, Ok(fields.iter().map(|field| (*field).to_owned()).collect()))
}

#[test]
fn rows_are_read_as_they_are_written_in_the_world() {
    for (text, expected) in [
        ("a,b\n1,2\n3,4\n", vec![good(2, &["1", "2"]), good(3, &["3", "4"])]),
        ("a,b\r\n1,2\r\n3,4", vec![good(2, &["1", "2"]), good(3, &["3", "4"])]),
        ("a,b\r1,2\r3,4\r", vec![good(2, &["1", "2"]), good(3, &["3", "4"])]),
        ("\n\r\n a , b \n\n1,2\n,,\n\n3,4\n", vec![good(5, &["1", "2"]), good(8, &["3", "4"])]),
        ("a,b\n\"1,\"\"x\"\"\",\"2\n\r\n2\"\n3,4\n", vec![good(2, &["1,\"x\"", "2\n\n2"]), good(5, &["3", "4"])]),
        ("a,b\n \"1\" , \"2,\" \n", vec![good(2, &["1", "2,"])]),
        ("a,b\nx\"y\",5\" z\n", vec![good(2, &["x\"y\"", "5\" z"])]),
        ("a,b\n\"\",\"\"\n\"\"\"\",x\n", vec![good(3, &["\"", "x"])]),
        ("a,b\n1\n1,2,\n1,2, ,\n", vec![good(2, &["1"]), good(3, &["1", "2"]), good(4, &["1", "2"])]),
        ("a;b\n1,5;2\n", vec![good(2, &["1,5", "2"])]),
        ("a\tb\n1,5\t2;3\n", vec![good(2, &["1,5", "2;3"])]),
        ("a|b|c\n1|2|3\n", vec![good(2, &["1", "2", "3"])]),
        ("sep=;\r\na;b\r\n1;2\r\n", vec![good(3, &["1", "2"])]),
        ("email\nx@example.com\n", vec![good(2, &["x@example.com"])]),
        ("\u{FEFF}a,b\n\u{E9},\u{1F600}\n", vec![good(2, &["\u{E9}", "\u{1F600}"])]),
        ("a,b\n", vec![]),
        (
            "a,b\n1,2,3\n4,5\n\"6\"x,7\n8,9\n",
            vec![
                (2, Err(RowFault::MoreThanHeader)),
                good(3, &["4", "5"]),
                (4, Err(RowFault::TextAfterQuote)),
                good(5, &["8", "9"]),
            ],
        ),
    ] {
        assert_eq!(rows(text), expected, "{text:?}");
    }
}

#[test]
fn the_header_names_the_columns() {
    let header = |text: &str| read(text.as_bytes()).0.map(|form| form.header);
    let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(
        header("Email, First\u{A0}name ,,\"Two\nlines\"\n"),
        names(&["Email", "First name", "column 3", "Two lines"])
    );
    assert_eq!(header("a"), names(&["a"]));
    for (text, expected) in [
        (&b""[..], FileFault::Empty),
        (b"\n\r\n  \n,,,\n", FileFault::Empty),
        (b"\xEF\xBB\xBF", FileFault::Empty),
        (b"PK\x03\x04\x14\x00", FileFault::Spreadsheet),
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", FileFault::Spreadsheet),
        (b"a,b\x00\n1,2\n", FileFault::NotText),
        (b"\n\"a\"b,c\n", FileFault::Header { fault: RowFault::TextAfterQuote, line: 2 }),
        (b"a,\"b\nc\n", FileFault::Header { fault: RowFault::OpenQuote { line: 1 }, line: 1 }),
    ] {
        assert_eq!(read(text).0, Err(expected), "{text:?}");
    }
    let wide = vec!["a"; 201].join(",");
    assert_eq!(header(&wide), Err(FileFault::Header { fault: RowFault::TooManyColumns, line: 1 }));
    assert_eq!(header(&wide[2..]).map(|names| names.len()), Ok(200));
}

#[test]
fn what_is_too_long_is_told_and_ends_nothing() {
    let (most, wide) = ("é".repeat(MOST_CHARACTERS), vec!["x"; 201].join(","));
    let long = vec!["x".repeat(9_000); 8].join(";");
    let text = format!("a;b;c\n{most};;\n{most}é;;\n\"{most}\né\";;\n{wide};{wide}\n{long}\n1;2;3\n");
    let found: Vec<_> =
        rows(&text).into_iter().map(|(line, fields)| (line, fields.map(|fields| fields[0].chars().count()))).collect();
    assert_eq!(
        found,
        [
            (2, Ok(MOST_CHARACTERS)),
            (3, Err(RowFault::FieldTooLong)),
            (4, Err(RowFault::FieldTooLong)),
            (6, Ok(401)),
            (7, Err(RowFault::TooLong)),
            (8, Ok(1)),
        ]
    );
    let many = format!("a,b\n{}\n{wide}\n1,2\n", ",".repeat(300));
    let told: Vec<_> =
        rows(&many).into_iter().map(|(line, fields)| (line, fields.map(|fields| fields.len()))).collect();
    assert_eq!(told, [(2, Err(RowFault::TooManyColumns)), (3, Err(RowFault::TooManyColumns)), (4, Ok(2))]);
    // Bytes of a quote in a row that is given up begin nothing.
    let given_up = format!("a,b\n{},\"x\n1,2\n", "x,".repeat(40_000));
    assert_eq!(rows(&given_up).last(), Some(&good(3, &["1", "2"])));
}

#[test]
fn a_quote_that_is_never_closed_costs_its_line_alone() {
    let rest: String = (0..5_000).map(|number| format!("{number},\"the \"\"{number}\"\"\"\n")).collect();
    for before in ["", "\"x\ny\",z\n"] {
        let text = format!("a,b\n{before}1,\"2\n{rest}");
        let first = if before.is_empty() { 2 } else { 4 };
        let found = rows(&text);
        // Within the quote that is open, the next line's quotes close it: that is what the rules say.
        let fault = found.iter().filter(|(_, fields)| fields.is_err()).map(|(line, _)| *line).collect::<Vec<_>>();
        assert_eq!(fault, [first], "{before:?}");
        assert!(found.len() >= 4_999);
    }
    let plain: String = (0..20_000).map(|number| format!("{number},x\n")).collect();
    for before in ["", "\"x\ny\",z\n"] {
        let text = format!("a,b\n{before}1,\"2\n{plain}");
        let found = rows(&text);
        let opened = if before.is_empty() { 2 } else { 4 };
        let place = usize::from(!before.is_empty());
        assert_eq!(found[place], (opened, Err(RowFault::OpenQuote { line: opened })));
        assert_eq!(found.len(), 20_001 + place, "nothing behind that line is lost");
        assert_eq!(found[place + 1], good(opened + 1, &["0", "x"]));
    }
    // A quoted field goes on before the quote that stays open: the rows behind that one's line are read.
    let mixed = format!("a,b\n\"x\ny\",\"2\n{plain}");
    let found = rows(&mixed);
    assert_eq!(found[0], (2, Err(RowFault::OpenQuote { line: 3 })));
    assert_eq!((found.len(), &found[1]), (20_001, &good(4, &["0", "x"])));
    // At the end of the file, and without a line behind it.
    assert_eq!(rows("a,b\n1,\"2\n3,4\n"), [(2, Err(RowFault::OpenQuote { line: 2 })), good(3, &["3", "4"])]);
    assert_eq!(rows("a,b\n1,\"2"), [(2, Err(RowFault::OpenQuote { line: 2 }))]);
    let endless = format!("a,b\n1,\"{}\n3,4\n", "x".repeat(200_000));
    assert_eq!(rows(&endless), [(2, Err(RowFault::OpenQuote { line: 2 })), good(3, &["3", "4"])]);
}

#[test]
fn encodings_are_read_and_places_are_those_of_the_file() {
    let text = "email;name\r\nx@example.com;J\u{FC}rgen \u{20AC}\r\n\"y@example.com\";\"Bj\u{F6}rn\r\n\u{E9}\"\r\nz@example.com;Zo\u{EB}\r\n";
    let expected = vec![
        good(2, &["x@example.com", "J\u{FC}rgen \u{20AC}"]),
        good(3, &["y@example.com", "Bj\u{F6}rn\n\u{E9}"]),
        good(5, &["z@example.com", "Zo\u{EB}"]),
    ];
    let utf16 = |low_first: bool| -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if low_first { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    };
    let (western, _, _) = encoding_rs::WINDOWS_1252.encode(text);
    for bytes in [
        text.as_bytes().to_vec(),
        [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
        [b"\xFF\xFE", &utf16(true)[..]].concat(),
        [b"\xFE\xFF", &utf16(false)[..]].concat(),
        utf16(true),
        western.into_owned(),
    ] {
        let (form, found) = read(&bytes);
        let form = form.expect("a file");
        let lines: Vec<_> = found.iter().map(|(line, fields, _)| (*line, fields.clone())).collect();
        assert_eq!(lines, expected, "{}", form.charset);
        let end = Position { offset: bytes.len() as u64, line: 6 };
        assert_eq!(found.last().map(|(_, _, behind)| *behind), Some(end), "{}", form.charset);
        let json = serde_json::to_string(&form).expect("JSON");
        assert_eq!(serde_json::from_str::<Form>(&json).expect("a form"), form);
    }
}

#[test]
fn what_is_no_text_costs_its_row_alone() {
    let utf8 = [b"a,b\n\xC3\xA9,1\n".as_slice(), b"\xFF,2\n3,4\n5,\xEF\xBF\xBD\n"].concat();
    let reader = || Reader::new().with_charset(Charset::Utf8);
    let (_, found) = read_with(reader(), &utf8, 3);
    let found: Vec<_> = found.into_iter().map(|(line, fields, _)| (line, fields)).collect();
    assert_eq!(
        found,
        [good(2, &["é", "1"]), (3, Err(RowFault::NotText)), good(4, &["3", "4"]), (5, Err(RowFault::NotText))]
    );
    // ASCII as far as the eye reaches, and then an older encoding.
    let late = [b"a,b\n".as_slice(), &b"1,2\n".repeat(20_000), b"J\xFCrgen,\xC3\xA9\n"].concat();
    let (form, found) = read_with(Reader::new(), &late, 4_096);
    assert_eq!(form.map(|form| form.charset), Ok(Charset::Ascii));
    assert_eq!(found.last().map(|(line, fields, _)| (*line, fields.clone())), Some(good(20_002, &["Jürgen", "é"])));
    // Half a character of UTF-16 at the end.
    let half = [b"\xFE\xFF".as_slice(), b"\x00a\x00,\x00b\x00\n\x001\x00,\x002\x00\n\x003\x00,\x00"].concat();
    let (_, found) = read(&half);
    assert_eq!(found.last().map(|(line, fields, _)| (*line, fields.clone())), Some((3, Err(RowFault::NotText))));
}

#[test]
fn a_delimiter_of_an_encoding_that_has_it_within_characters_is_none() {
    // The second byte of a character of Shift_JIS may be the one of `|`.
    let text = "メール,名前\nx@example.com,ポール\ny@example.com,ポスト\n";
    let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(text);
    assert!(bytes.contains(&b'|') || bytes.contains(&b'\\'));
    let (form, found) = read_with(Reader::new().with_charset(Charset::Legacy(encoding_rs::SHIFT_JIS)), &bytes, 5);
    assert_eq!(form.map(|form| form.header), Ok(vec!["メール".to_owned(), "名前".to_owned()]));
    assert_eq!(found[0].1, Ok(vec!["x@example.com".to_owned(), "ポール".to_owned()]));
}

#[test]
fn an_excerpt_shows_how_a_row_begins() {
    let mut excerpts = Vec::new();
    let mut reader = Reader::new();
    let mut each = |row: Row<'_>| excerpts.push(row.excerpt());
    let text = format!("a,b\n1,\"2\n2\"x\n{},y,z\n", "é".repeat(300));
    assert_eq!(reader.feed(text.as_bytes(), &mut each), Ok(()));
    assert!(reader.form().is_none(), "the beginning is not whole yet");
    assert!(reader.finish(&mut each).is_ok());
    assert_eq!(excerpts, ["1,\"2 2\"x".to_owned(), "é".repeat(200)]);
}

/// The plainest reader: the whole text, character by character, for files without faults.
fn plainly(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let row = rows.last_mut().expect("a row");
        match (quoted, character) {
            (true, '"') if characters.peek() == Some(&'"') => {
                characters.next();
                row.last_mut().expect("a field").push('"');
            }
            (_, '"') => quoted = !quoted,
            (false, ',') => row.push(String::new()),
            (false, '\n') => rows.push(vec![String::new()]),
            _ => row.last_mut().expect("a field").push(character),
        }
    }
    rows.retain(|row| row.iter().any(|field| !field.trim().is_empty()));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn good_files_are_read_as_by_the_plainest_reader(
        table in prop::collection::vec(prop::collection::vec(("[a-c\",\n é]{0,6}", any::<bool>()), 3), 1..12),
        piece in 1..40_usize,
        ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
    ) {
        let mut text = "x,y,z\n".to_owned();
        for row in &table {
            let fields: Vec<_> = row
                .iter()
                .map(|(field, quote)| {
                    let plain = !quote && !field.contains(['"', ',', '\n', ' ']);
                    if plain { field.clone() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
                })
                .collect();
            text.push_str(&fields.join(","));
            text.push('\n');
        }
        let expected = plainly(&text);
        let bytes = text.replace('\n', ending).into_bytes();
        let (form, found) = read_with(Reader::new().with_delimiter(','), &bytes, piece);
        prop_assert!(form.is_ok());
        let fields: Vec<_> = found.iter().map(|(_, fields, _)| fields.clone().expect("a good row")).collect();
        prop_assert_eq!(&fields[..], &expected[1..]);
        for (place, (_, _, behind)) in found.iter().enumerate() {
            let (_, rest) = read_with(Reader::resume(form.clone().expect("a form"), *behind), &bytes[behind.offset as usize..], piece);
            prop_assert_eq!(&rest[..], &found[place + 1..]);
        }
    }

    #[test]
    fn any_file_is_read_in_any_pieces(text in "[a\"\",;\n\r é|\t]{0,120}", bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1..30_usize) {
        for bytes in [text.as_bytes(), &bytes] {
            let whole = read_with(Reader::new(), bytes, usize::MAX);
            prop_assert_eq!(&whole, &read_with(Reader::new(), bytes, piece));
            let (form, found) = whole;
            let Ok(form) = form else { continue };
            let lines: Vec<_> = found.iter().map(|(line, _, _)| *line).collect();
            prop_assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "{lines:?}");
            for (place, (_, _, behind)) in found.iter().enumerate() {
                let (_, rest) = read_with(Reader::resume(form.clone(), *behind), &bytes[behind.offset as usize..], piece);
                prop_assert_eq!(&rest[..], &found[place + 1..]);
            }
        }
    }
}

#[test]
fn what_is_made_to_be_slow_is_not() {
    for line in
        ["\"\n", "\"\"\"\n", "a,\"b\n", "\"\"\"\"\n", "\"a\"b\n", ",\n", "\"", "\r", "\r\"", "\"\"", "a", "\"\n\"\"\n"]
    {
        let bytes = format!("a,b\n{}", line.repeat(2_000_000 / line.len())).into_bytes();
        // Minutes, if bytes were gone over again and again.
        let mut rows = 0_u64;
        let mut reader = Reader::new().with_delimiter(',');
        let mut each = |_: Row<'_>| rows += 1;
        for piece in bytes.chunks(65_536) {
            assert_eq!(reader.feed(piece, &mut each), Ok(()));
            if let Stage::Rows(rows) = &reader.stage {
                assert!(rows.raw.capacity() <= 4 * MOST_ROW_BYTES, "{line:?}");
            }
        }
        assert!(reader.finish(&mut each).is_ok());
    }
}

/// How fast, and in how much memory: `cargo test --release -p mainstay-import -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement is of the real clock")]
fn a_hundred_thousand_rows() {
    let mut text = String::from("Email,First name,Last name,Company,Time zone,Job title,City,Notes\r\n");
    for number in 0..100_000 {
        let row = format!(
            "person{number}@company{}.example,Zo\u{EB} {number},Quint,\"Sons, {number} & Co\",Europe/Berlin,Head of \"x\",K\u{F6}ln,\"two\nlines\"\r\n",
            number % 977
        );
        text.push_str(&row);
    }
    let start = resident();
    let began = Instant::now();
    let mut reader = Reader::new();
    let header: Vec<String> = text.lines().next().expect("a header").split(',').map(str::to_owned).collect();
    let mapping = crate::Mapping::guess(&header);
    let (mut good, mut peak) = (0, start);
    let mut each = |row: Row<'_>| {
        good += usize::from(mapping.lead(&row, &header).lead.is_ok());
    };
    for piece in text.as_bytes().chunks(65_536) {
        assert_eq!(reader.feed(piece, &mut each), Ok(()));
        peak = peak.max(resident());
    }
    assert!(reader.finish(&mut each).is_ok());
    let took = began.elapsed();
    println!(
        "{good} leads of {} bytes in {took:?}: {:.0} rows a second, {} KiB more than before",
        text.len(),
        f64::from(100_000) / took.as_secs_f64(),
        peak.saturating_sub(start)
    );
    assert_eq!(good, 100_000);
    assert!(took.as_secs_f64() < 2.0 && peak - start < 8 * 1024);
}

/// The resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
