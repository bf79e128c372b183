use proptest::prelude::*;

use super::*;
use crate::{FileFault, Form, Reader};

fn import(csv: &str) -> Vec<ImportRow> {
    let mut reader = Reader::new();
    let mut found: Vec<(u64, Result<Vec<String>, crate::RowFault>)> = Vec::new();
    let mut rows = Vec::new();
    let header: Vec<String> = csv.lines().next().unwrap_or_default().split(',').map(str::to_owned).collect();
    let mapping = Mapping::guess(&header);
    let mut each = |row: Row<'_>| {
        rows.push(mapping.lead(&row, &header));
        found.push((row.line, row.fields.map(|fields| fields.into_iter().map(Cow::into_owned).collect())));
    };
    let fed: Result<Form, FileFault> = reader.feed(csv.as_bytes(), &mut each).and_then(|()| reader.finish(&mut each));
    assert_eq!(fed.map(|form| form.header), Ok(header));
    assert_eq!(rows.len(), found.len());
    rows
}

#[test]
fn rows_become_leads() {
    let csv = "Email,First name,Last name,Company,Timezone,Job title,Notes\r\n\
               \"Ada Lovelace <Ada@Example.COM>\",\u{200B}Ada\u{A0} ,\"Love\nlace\",Analytical & Sons,Europe/London,'=x,\"a\r\n b\u{FEFF}\"\r\n\
               mailto:b@b\u{FC}cher.example,,,,,,\r\n";
    let rows = import(csv);
    let lead = rows[0].lead.as_ref().expect("a lead");
    assert_eq!(lead.address.as_str(), "ada@example.com");
    assert_eq!((lead.first_name.as_str(), lead.last_name.as_str()), ("Ada", "Love lace"));
    assert_eq!(lead.company.as_ref().map(Label::as_str), Some("Analytical & Sons"));
    assert_eq!(lead.zone.as_ref().map(Zone::name), Some("Europe/London"));
    let fields: Vec<_> = lead.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fields, [("job_title", "=x"), ("notes", "a\n b")]);
    let lead = rows[1].lead.as_ref().expect("a lead");
    assert_eq!(lead.address.as_str(), "b@xn--bcher-kva.example");
    assert!(
        lead.fields.is_empty() && lead.company.is_none() && lead.zone.is_none() && lead.first_name.as_str().is_empty()
    );
    assert_eq!((rows[0].line, rows[1].line), (2, 5));
}

#[test]
fn everything_that_is_wrong_with_a_row_is_told_by_its_column() {
    let csv = format!(
        "email,first name,company,tz\nada,{long},{long},Mars/Olympus\n,x,,\na@example.com,b,c,d,e\nb@example.com\n",
        long = "x".repeat(201)
    );
    let rows = import(&csv);
    let told = |row: &ImportRow| -> Vec<(String, &'static str)> {
        let faults = row.lead.as_ref().err().into_iter().flatten();
        faults.map(|fault| (fault.column.clone(), fault.code)).collect()
    };
    let fault = |column: &str, code| (column.to_owned(), code);
    assert_eq!(
        told(&rows[0]),
        [
            fault("email", "invalid_email"),
            fault("first name", "too_long"),
            fault("company", "too_long"),
            fault("tz", "unknown_time_zone")
        ]
    );
    assert_eq!(told(&rows[1]), [fault("email", "invalid_email")]);
    assert_eq!(told(&rows[2]), [fault("", "more_columns_than_header")]);
    assert!(rows[3].lead.is_ok(), "columns that are left out at the end are empty");
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
}

#[test]
fn addresses_have_one_form_for_each_mailbox() {
    for (text, expected) in [
        ("ada@example.com", "ada@example.com"),
        ("  ADA@EXAMPLE.COM\t", "ada@example.com"),
        ("a\u{200B}da@exam\u{AD}ple.com\u{FEFF}", "ada@example.com"),
        ("Ada <ada@example.com>", "ada@example.com"),
        ("\"Lovelace, Ada\" <ada@example.com>", "ada@example.com"),
        ("MailTo:ada@example.com", "ada@example.com"),
        ("ada@M\u{FC}nchen.example", "ada@xn--mnchen-3ya.example"),
        ("ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
        ("ada@\u{4F8B}\u{3048}.\u{30C6}\u{30B9}\u{30C8}", "ada@xn--r8jz45g.xn--zckzah"),
        ("ada@ex\u{FF41}mple.com", "ada@example.com"),
        ("ada+tag.x@sub.example.co.uk", "ada+tag.x@sub.example.co.uk"),
        ("o'hara@example.com", "o'hara@example.com"),
    ] {
        let address = recipient(text).unwrap_or_else(|refused| panic!("{text:?}: {refused:?}"));
        assert_eq!(address.as_str(), expected, "{text:?}");
    }
    for bad in [
        "",
        " ",
        "<>",
        "ada",
        "ada@",
        "@example.com",
        "ada@localhost",
        "ada@example",
        "ada@example.com.",
        "ada@.example.com",
        "ada@exa mple.com",
        "ada@exa_mple.com",
        "ada@example.com!",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "ada@-example.com",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "\u{E4}da@example.com",
        "ada@example.com, bob@example.com",
        "ada@example.com;bob@example.com",
        "ada@@example.com",
        "ada@example.com\nBcc: x@example.com",
        "ada@xn--a.example\u{FC}\u{10FFFF}",
    ] {
        let refused = recipient(bad).map(|address| address.as_str().to_owned());
        assert_eq!(refused.as_ref().map_err(|refused| refused.code), Err("invalid_email"), "{bad:?} was taken");
    }
}

#[test]
fn values_are_cleaned() {
    assert_eq!(line(" a\u{200B}b \r\n\t c\u{A0}d\u{7}e "), "ab c d e");
    assert_eq!(line("\u{202E}evil\u{2066}"), "evil");
    assert_eq!(line("👩\u{200D}💻"), "👩\u{200D}💻", "what joins characters stays");
    assert_eq!(lines(" a\r\nb\u{0}\tc "), "a\nb\tc");
    assert_eq!(lines("plain value"), "plain value");
}

proptest! {
    #[test]
    fn an_address_that_is_taken_is_ascii_and_stays_itself(text in any::<String>(), near in "[a-zA-Z.ü]{1,6}@[a-zA-Z.ü\u{200B}-]{1,10}\\.[a-z]{2,3}") {
        for text in [text, near] {
            if let Ok(address) = recipient(&text) {
                prop_assert!(address.as_str().is_ascii());
                prop_assert_eq!(recipient(address.as_str()), Ok(address.clone()));
            }
        }
    }
}
