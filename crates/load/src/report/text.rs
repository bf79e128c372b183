//! A report for a terminal.

use std::fmt;

use super::Report;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [up, steady, down] = self.seconds;
        writeln!(f, "{} users, profile {}, at {}", self.users, self.profile, self.url)?;
        writeln!(f, "from {}: {up} s ramp-up, {steady} s steady, {down} s ramp-down", self.started_at)?;
        let plans: Vec<_> = self.plans.iter().map(|(plan, users)| format!("{plan} {users}")).collect();
        writeln!(f, "plans: {}; each user means to do {} things a minute", plans.join(", "), self.per_minute)?;
        writeln!(f)?;
        writeln!(
            f,
            "| {:<13} | {:>9} | {:>8} | {:>9} | {:>9} | {:>9} | {:>9} | {:>7} |",
            "operation", "count", "each s", "p50 ms", "p95 ms", "p99 ms", "max ms", "errors"
        )?;
        writeln!(
            f,
            "|---------------|----------:|---------:|----------:|----------:|----------:|----------:|--------:|"
        )?;
        for operation in &self.operations {
            writeln!(
                f,
                "| {:<13} | {:>9} | {:>8.1} | {:>9.1} | {:>9.1} | {:>9.1} | {:>9.1} | {:>7} |",
                operation.name,
                operation.count,
                operation.per_second,
                operation.p50_ms,
                operation.p95_ms,
                operation.p99_ms,
                operation.max_ms,
                operation.errors
            )?;
        }
        writeln!(f)?;
        for error in &self.errors {
            writeln!(f, "error: {} {} in {}", error.count, error.kind, error.operation)?;
        }
        if self.most_sockets > 0 {
            writeln!(f, "sockets: {} open at once", self.most_sockets)?;
        }
        for (code, count) in &self.postponed {
            writeln!(f, "sockets told to come later: {count} by {code}")?;
        }
        if let Some(storm) = &self.storm {
            writeln!(
                f,
                "storm: {} cut, {} back; half after {:.1} s, the last after {:.1} s",
                storm.cut, storm.back, storm.half_seconds, storm.all_seconds
            )?;
        }
        if let Some(server) = &self.server {
            write!(
                f,
                "server: {} MB before, {} MB at most, {:.1} s of processor time",
                server.memory_before / 1_000_000,
                server.memory_most / 1_000_000,
                server.seconds
            )?;
            let each = server.memory_per_socket.filter(|_| self.most_sockets > 0);
            each.map_or(Ok(()), |each| write!(f, ", {each} bytes more for each socket"))?;
            writeln!(f)?;
        }
        writeln!(f, "generator: {} MB, {:.1} s of processor time", self.own_memory / 1_000_000, self.own_seconds)?;
        for check in &self.checks {
            let word = if check.passed { "good" } else { "NOT GOOD" };
            writeln!(f, "{word}: {}: {} wanted, {} found", check.name, check.wanted, check.found)?;
        }
        Ok(())
    }
}
