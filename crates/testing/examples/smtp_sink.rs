//! The mail server of the tests as a program, for whoever measures what sends. It says where it listens; then it answers each
//! line of its standard input with how many messages it has kept, how many of them more than once, and how many connections
//! were made. It ends with its input.

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};

use mainstay_testing::smtp_sink::{SinkOptions, SmtpSink};

fn main() -> Result<(), Box<dyn Error>> {
    let sink = SmtpSink::start(SinkOptions::default())?;
    let mut answers = stdout().lock();
    writeln!(answers, "{}", sink.address())?;
    for line in stdin().lock().lines() {
        line?;
        writeln!(answers, "{} {} {}", sink.count(), sink.duplicates().len(), sink.connections())?;
    }
    Ok(())
}
