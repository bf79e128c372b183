//! What commands that list and show things share: columns, facts and times for a terminal, and JSON. Whatever could move the
//! cursor of a terminal is left out: much of what is shown was written by somebody outside.

use std::fmt::Write as _;
use std::time::Duration;

use mainstay_domain::{Error, Timestamp};
use serde::Serialize;

use super::Answer;
use crate::jobs::JobAttemptBody;

/// A time in one unit that suits it: `340 ms`, `12 s`, `5 min`, `3 h`, `2 d`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How far a moment is away.
pub(super) fn distance(moment: Timestamp, now: Timestamp) -> String {
    if moment > now { format!("in {}", span(moment.since(now))) } else { format!("{} ago", span(now.since(moment))) }
}

/// A moment, and how far it is away.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    format!("{at} ({})", distance(at, now))
}

/// Without what could move the cursor of a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// A text of several lines, set in.
pub(super) fn set_in(text: &str) -> String {
    text.lines().map(|line| format!("    {}\n", plain(line))).collect()
}

/// Columns as wide as what stands in them, two spaces apart. The last one is not filled up.
pub(super) fn columns<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<[String; N]> =
        std::iter::once(head.map(str::to_owned)).chain(rows).map(|row| row.map(|cell| plain(&cell))).collect();
    let width = |place: usize| rows.iter().map(|row| row[place].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Names and values, one a line.
pub(super) fn facts(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(name, value)| format!("{name:<14} {}\n", plain(value))).collect()
}

/// The attempts of a job that failed.
pub(super) fn attempts(attempts: &[JobAttemptBody], now: Timestamp) -> String {
    if attempts.is_empty() {
        return "No attempt has failed.\n".to_owned();
    }
    let mut text = String::new();
    for attempt in attempts {
        let JobAttemptBody { attempt, outcome, error, started_at, ended_at } = attempt;
        let took = span(ended_at.since(*started_at));
        let _ = writeln!(text, "attempt {attempt} {outcome} {}, after {took}", moment(*ended_at, now));
        text.push_str(&set_in(error));
    }
    text
}

/// What a list shows that ends before there is nothing more.
pub(super) fn cut(shown: u32) -> String {
    format!("There may be more: these are the newest {shown}.\n")
}

/// As JSON.
pub(super) fn as_json(value: &impl Serialize) -> Result<Answer, Answer> {
    Ok(Answer::good(serde_json::to_string_pretty(value).map_err(Error::internal)? + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_unit_that_suits_them() {
        let now = Timestamp::from_millis(1_000_000_000);
        let ago = |seconds: u64| distance(now.minus(Duration::from_secs(seconds)), now);
        assert_eq!([0, 119, 120, 7_199].map(ago), ["0 ms ago", "119 s ago", "2 min ago", "119 min ago"]);
        assert_eq!([7_200, 172_799, 172_800].map(ago), ["2 h ago", "47 h ago", "2 d ago"]);
        assert_eq!(distance(now.plus(Duration::from_millis(340)), now), "in 340 ms");
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let text =
            columns(["A", "B"], vec![["über".to_owned(), "x\u{1b}[2J".to_owned()], ["y".to_owned(), String::new()]]);
        assert_eq!(text, "A     B\nüber  x[2J\ny\n");
    }
}
