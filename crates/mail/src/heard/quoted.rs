//! What a person wrote, without what is quoted below it.

use super::MOST_TEXT;

/// The most lines that are looked at.
const MOST_LINES: usize = 5_000;

/// The text above the quotation, trimmed and bounded.
pub(super) fn cut(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
    let mut end = lines.len();
    for (place, line) in lines.iter().enumerate() {
        let line = line.trim();
        let next = lines.get(place + 1).map_or("", |line| line.trim());
        if begins_quotation(line, next) {
            end = place;
            break;
        }
    }
    let mut kept: Vec<&str> = lines.get(..end).unwrap_or_default().to_vec();
    // Some write below or between what they answer: then everything that is not quoted is theirs.
    if kept.iter().all(|line| line.trim().is_empty()) {
        kept = lines.iter().copied().filter(|line| !line.trim_start().starts_with('>')).collect();
        kept.retain(|line| !is_attribution(line.trim(), ""));
    } else {
        kept.retain(|line| !line.trim_start().starts_with('>'));
    }
    let mut out = String::new();
    for line in kept {
        out.extend(line.trim_end().chars().filter(|letter| !letter.is_control() || *letter == '\t'));
        out.push('\n');
    }
    let out = out.trim();
    out.chars().take(MOST_TEXT).collect::<String>().trim_end().to_owned()
}

fn begins_quotation(line: &str, next: &str) -> bool {
    let small = line.to_lowercase();
    let rules = [
        "-----original message",
        "----- original message",
        "-----ursprüngliche nachricht",
        "-----message d'origine",
        "-----mensaje original",
        "-----messaggio originale",
        "-----oorspronkelijk bericht",
        "---------- forwarded message",
        "-------- original message",
        "________________________________",
    ];
    if rules.iter().any(|rule| small.starts_with(rule)) || is_attribution(line, next) {
        return true;
    }
    // The headers that Outlook puts above what it quotes.
    let heads = [
        ("from:", "sent:"),
        ("from:", "date:"),
        ("von:", "gesendet:"),
        ("de :", "envoyé :"),
        ("de:", "enviado:"),
        ("da:", "inviato:"),
        ("van:", "verzonden:"),
    ];
    let next = next.to_lowercase();
    heads.iter().any(|(first, second)| {
        small.trim_start_matches('*').starts_with(first) && next.trim_start_matches('*').starts_with(second)
    })
}

/// `On ... wrote:`, also over two lines and in other languages.
fn is_attribution(line: &str, next: &str) -> bool {
    const PAIRS: [(&str, &str); 10] = [
        ("on ", "wrote:"),
        ("am ", "schrieb"),
        ("le ", "a écrit"),
        ("el ", "escribió"),
        ("il ", "ha scritto"),
        ("em ", "escreveu"),
        ("op ", "schreef"),
        ("den ", "skrev"),
        ("dnia ", "napisał"),
        ("пн", "написал"),
    ];
    let small = line.to_lowercase();
    if small.chars().count() > 300 {
        return false;
    }
    let two = format!("{small} {}", next.to_lowercase());
    let ends = |text: &str| text.trim_end().ends_with(':');
    PAIRS.iter().any(|(start, verb)| {
        let Some(rest) = small.strip_prefix(start) else { return false };
        let one = rest.contains(verb) && ends(&small);
        // The address or the date is what a sentence of a person does not have.
        one || (two.contains(verb) && ends(&two) && small.chars().any(|letter| letter.is_ascii_digit()))
    })
}

/// Whether the whole first line asks to be left alone.
pub(super) fn is_wish(text: &str) -> bool {
    const WISHES: [&str; 34] = [
        "stop",
        "stop it",
        "please stop",
        "stop please",
        "stop emailing me",
        "stop mailing me",
        "unsubscribe",
        "unsubscribe me",
        "please unsubscribe",
        "unsubscribe please",
        "please unsubscribe me",
        "remove",
        "remove me",
        "please remove me",
        "remove me from your list",
        "please remove me from your list",
        "take me off your list",
        "please take me off your list",
        "opt out",
        "opt-out",
        "optout",
        "stopp",
        "abmelden",
        "bitte abmelden",
        "austragen",
        "bitte austragen",
        "désabonner",
        "désinscription",
        "se désabonner",
        "baja",
        "darme de baja",
        "cancellami",
        "cancelar",
        "uitschrijven",
    ];
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let plain = first.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
    WISHES.contains(&plain.as_str())
}

/// Whether a mail program asks to unsubscribe: by the address that it writes to, or by the subject alone.
pub(super) fn is_unsubscribing(to: &[String], subject: &str) -> bool {
    let words: Vec<&str> = subject.split_whitespace().take(3).collect();
    let by_subject = match words.as_slice() {
        [word] => word.trim_end_matches(':').eq_ignore_ascii_case("unsubscribe"),
        // A token beside the word is no word of a sentence.
        [word, token] => word.trim_end_matches(':').eq_ignore_ascii_case("unsubscribe") && token.len() >= 16,
        _ => false,
    };
    by_subject
        || to.iter().any(|address| {
            address.starts_with("unsubscribe@")
                || address.starts_with("unsubscribe+")
                || address.starts_with("unsubscribe-")
        })
}
