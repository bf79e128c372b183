//! A report as a page: one file, no script, nothing fetched.

use std::fmt::Write as _;

use super::Report;
use crate::recorder::Second;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .75rem;border-bottom:1px solid #d8dee6;text-align:right}\
td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto;margin:.5rem 0 1.5rem}\
.bad{color:#b3261e;font-weight:600}.good{color:#1b6e3c}h2{margin-top:2rem}figcaption{font-weight:600}figure{margin:0}";

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 24.0;
/// Points of a line. More seconds than that are put together, the highest of each group.
const MOST_POINTS: usize = 400;
const COLOURS: [&str; 3] = ["#1f6feb", "#d9822b", "#b3261e"];

/// A line of a plot.
struct Line {
    name: &'static str,
    of: fn(&Second) -> f64,
}

impl Report {
    /// The report as a page of HTML: one file, no script, nothing fetched.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = String::new();
        let title = format!("Load report: {} users, profile {}", self.users, self.profile);
        let _ = write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        );
        let [up, steady, down] = self.seconds;
        let _ = writeln!(
            page,
            "<p>{} at {}: {up} s ramp-up, {steady} s steady, {down} s ramp-down. Each user means to do {} things a \
             minute. Latencies are counted from the moment at which a request was meant to begin; those of requests are \
             of the steady part.</p>",
            escape(&self.url),
            self.started_at,
            self.per_minute
        );
        self.tables(&mut page);
        self.plots(&mut page);
        let _ = writeln!(page, "<h2>As text</h2>\n<pre>{}</pre>\n</body></html>", escape(&self.to_string()));
        page
    }

    fn tables(&self, page: &mut String) {
        if !self.checks.is_empty() {
            page.push_str("<table><tr><th>check</th><th>wanted</th><th>found</th><th></th></tr>\n");
            for check in &self.checks {
                let (class, word) = if check.passed { ("good", "good") } else { ("bad", "not good") };
                let _ = writeln!(
                    page,
                    "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
                    escape(&check.name),
                    escape(&check.wanted),
                    escape(&check.found)
                );
            }
            page.push_str("</table>\n");
        }
        page.push_str(
            "<table><tr><th>operation</th><th>count</th><th>each s</th><th>p50 ms</th><th>p95 ms</th><th>p99 ms</th>\
             <th>max ms</th><th>errors</th></tr>\n",
        );
        for it in &self.operations {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td>\
                 <td>{}</td></tr>",
                it.name, it.count, it.per_second, it.p50_ms, it.p95_ms, it.p99_ms, it.max_ms, it.errors
            );
        }
        page.push_str("</table>\n");
    }

    fn plots(&self, page: &mut String) {
        let requests = [
            Line { name: "answered", of: |second| as_f64(second.requests) },
            Line { name: "errors", of: |second| as_f64(second.errors) },
        ];
        let latency =
            [Line { name: "p50", of: |second| second.p50_ms }, Line { name: "p99", of: |second| second.p99_ms }];
        let sockets = [
            Line { name: "open", of: |second| second.sockets as f64 },
            Line { name: "frames each second", of: |second| as_f64(second.frames) },
        ];
        let memory = [Line { name: "resident", of: |second| as_f64(second.server_memory) / 1e6 }];
        let cpu = [
            Line { name: "server", of: |second| second.server_cpu },
            Line { name: "generator", of: |second| second.own_cpu },
        ];
        plot(page, "Requests each second", &requests, &self.timeline);
        plot(page, "Latency of each second's requests, ms", &latency, &self.timeline);
        if self.most_sockets > 0 {
            plot(page, "Live sockets", &sockets, &self.timeline);
        }
        if self.server.is_some() {
            plot(page, "Memory of the server, MB", &memory, &self.timeline);
            plot(page, "Processor time, percent of one", &cpu, &self.timeline);
        }
    }
}
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// One plot: the lines over the seconds of the run.
fn plot(page: &mut String, title: &str, lines: &[Line], timeline: &[Second]) {
    let last = timeline.last().map_or(1.0, |second| as_f64(second.at)).max(1.0);
    let values = || lines.iter().flat_map(|line| timeline.iter().map(line.of));
    let top = round_up(values().fold(0.0, f64::max));
    let x = |at: f64| LEFT + at / last * (WIDTH - LEFT - 10.0);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - 24.0);
    let _ = write!(
        page,
        "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{title}\" font-size=\"11\" fill=\"#5b6673\">"
    );
    for part in [0.0, 0.5, 1.0] {
        let (value, height) = (top * part, y(top * part));
        let _ = write!(
            page,
            "<path d=\"M{LEFT} {height:.1}H{:.1}\" stroke=\"#e3e8ee\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{value}</text>",
            WIDTH - 10.0,
            LEFT - 6.0,
            height + 4.0
        );
        let at = (last * part).round();
        let _ = write!(page, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at} s</text>", x(at), HEIGHT - 6.0);
    }
    for ((line, colour), number) in lines.iter().zip(COLOURS).zip(0u32..) {
        let group = timeline.len().div_ceil(MOST_POINTS).max(1);
        let points: Vec<_> = timeline
            .chunks(group)
            .map(|seconds| {
                let highest = seconds.iter().map(line.of).fold(0.0, f64::max);
                format!("{:.1},{:.1}", x(as_f64(seconds[0].at)), y(highest))
            })
            .collect();
        let _ = write!(
            page,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/><text x=\"{:.1}\" y=\"14\" \
             fill=\"{colour}\">{}</text>",
            points.join(" "),
            LEFT + f64::from(number) * 150.0,
            line.name
        );
    }
    page.push_str("</svg></figure>\n");
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
