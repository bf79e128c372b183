//! Results for people: as text, and as a page of HTML in one file without a script.

use std::fmt::Write as _;

use mainstay_domain::Measure;
use mainstay_store::StoredExperiment;

use super::results::{Comparison, Results, VariantResult};
use super::statistics::Interval;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .75rem;border-bottom:1px solid #d8dee6;text-align:right}\
td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto}.bad{color:#b3261e;font-weight:600}";
/// Of the drawing, in its own units.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 160.0;
const ROW: f64 = 32.0;

/// What the split says when it is off.
const OFF: &str = "Units were not split as the weights say. Something loses or repeats some of them; trust no figure here until \
                   that is found.";

fn number(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Conversion => format!("{:.2} %", value * 100.0),
        Measure::Mean => format!("{value:.4}"),
    }
}

/// A difference: that of two shares is in percentage points.
fn difference(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Conversion => format!("{:+.2} points", value * 100.0),
        Measure::Mean => format!("{value:+.4}"),
    }
}

fn span(interval: Option<Interval>, write: impl Fn(f64) -> String) -> String {
    let written = interval.map(|interval| format!("{} to {}", write(interval.low), write(interval.high)));
    written.unwrap_or_else(|| "-".to_owned())
}

/// What stands above the figures.
fn heading(stored: &StoredExperiment, results: &Results) -> String {
    let experiment = &stored.experiment;
    let what = match experiment.measure {
        Measure::Conversion => "the share of units with at least one event",
        Measure::Mean => "the mean over units of the sum of the events' values",
    };
    format!(
        "{}, {} of {}s, as of {}. Compared is {what} \"{}\" after the exposure.",
        stored.state, experiment.traffic, experiment.unit, results.at, experiment.metric
    )
}

impl Results {
    /// As text, for a terminal.
    #[must_use]
    pub fn to_text(&self, stored: &StoredExperiment) -> String {
        let mut text = format!("{}: {}\n\n", stored.key, heading(stored, self));
        let _ = writeln!(text, "{:<24} {:>8} {:>10} {:>12}  95 % interval", "variant", "units", "converted", "value");
        for VariantResult { name, units, converted, value, interval, .. } in &self.variants {
            let (value, interval) = self.of_variant(*value, *interval);
            let _ = writeln!(text, "{:<24} {units:>8} {converted:>10} {value:>12}  {interval}", name.as_str());
        }
        let _ = writeln!(
            text,
            "\n{:<24} {:>16}  {:<34} verdict",
            "against the first",
            "difference",
            self.confidence_words()
        );
        for comparison in &self.comparisons {
            let (difference, interval) = self.of_comparison(comparison);
            let words = comparison.verdict.words();
            let _ = writeln!(text, "{:<24} {difference:>16}  {interval:<34} {words}", comparison.name.as_str());
        }
        if self.split.is_off {
            let _ = writeln!(text, "\n{OFF}");
        }
        text
    }

    fn of_variant(&self, value: f64, interval: Option<Interval>) -> (String, String) {
        (number(self.measure, value), span(interval, |value| number(self.measure, value)))
    }

    fn of_comparison(&self, comparison: &Comparison) -> (String, String) {
        let write = |value| difference(self.measure, value);
        (write(comparison.difference), span(comparison.interval, write))
    }

    fn confidence_words(&self) -> String {
        format!("{:.2} % interval", self.comparison_confidence * 100.0)
    }

    /// As a page of HTML: one file, no script, nothing fetched.
    #[must_use]
    pub fn to_html(&self, stored: &StoredExperiment) -> String {
        // Keys and names of variants have no characters that HTML knows; descriptions may.
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Experiment {key}</title>\
             <style>{STYLE}</style></head><body>\n<h1>Experiment {key}</h1>\n<p>{}</p>\n<p>{}</p>\n",
            escape(&stored.experiment.description),
            heading(stored, self),
            key = stored.key,
        );
        if self.split.is_off {
            let _ = writeln!(page, "<p class=\"bad\">{OFF}</p>");
        }
        page.push_str("<table><tr><th>variant</th><th>weight</th><th>units</th><th>converted</th><th>value</th><th>95 % interval</th></tr>\n");
        for VariantResult { name, weight, units, converted, value, interval, .. } in &self.variants {
            let (value, interval) = self.of_variant(*value, *interval);
            let _ = writeln!(
                page,
                "<tr><td>{name}</td><td>{weight}</td><td>{units}</td><td>{converted}</td><td>{value}</td><td>{interval}</td></tr>"
            );
        }
        let _ = writeln!(
            page,
            "</table>\n<h2>Against the first variant</h2>\n<table><tr><th>variant</th><th>difference</th><th>{}</th><th>verdict</th></tr>",
            self.confidence_words()
        );
        for comparison in &self.comparisons {
            let (difference, interval) = self.of_comparison(comparison);
            let (name, words) = (&comparison.name, comparison.verdict.words());
            let _ = writeln!(page, "<tr><td>{name}</td><td>{difference}</td><td>{interval}</td><td>{words}</td></tr>");
        }
        page.push_str("</table>\n");
        self.draw(&mut page);
        page.push_str("</body></html>\n");
        page
    }

    /// The intervals of the differences, on one scale, with a line at zero.
    fn draw(&self, page: &mut String) {
        let rows: Vec<_> = self.comparisons.iter().filter_map(|one| Some((one, one.interval?))).collect();
        let widest = rows.iter().fold(0.0_f64, |most, (_, at)| most.max(at.low.abs()).max(at.high.abs()));
        if rows.is_empty() || widest <= 0.0 {
            return;
        }
        let at = |value: f64| LEFT + (value / widest + 1.0) / 2.0 * (WIDTH - LEFT - 20.0);
        let height = rows.iter().fold(ROW, |height, _| height + ROW);
        let _ = writeln!(
            page,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Differences with their intervals\">\
             <line x1=\"{zero:.1}\" x2=\"{zero:.1}\" y1=\"0\" y2=\"{height}\" stroke=\"#9aa4b2\"/>",
            zero = at(0.0)
        );
        let mut y = ROW;
        for (comparison, interval) in rows {
            let _ = writeln!(
                page,
                "<text x=\"0\" y=\"{:.1}\" font-size=\"14\">{}</text><line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\" \
                 stroke=\"#1f6feb\" stroke-width=\"4\"/><circle cx=\"{:.1}\" cy=\"{y}\" r=\"6\" fill=\"#1f6feb\"/>",
                y + 5.0,
                comparison.name,
                at(interval.low),
                at(interval.high),
                at(comparison.difference)
            );
            y += ROW;
        }
        page.push_str("</svg>\n");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{
        EventName, Experiment, ExperimentId, ExperimentState, FlagKey, Share, Timestamp, Unit, Variant, VariantName,
    };
    use mainstay_store::VariantFigures;

    use super::*;

    #[test]
    fn what_was_found_is_told_in_words_and_drawn() {
        let variant = |name| Variant { name: VariantName::parse(name).expect("a name"), weight: 1 };
        let stored = StoredExperiment {
            id: ExperimentId(uuid::Uuid::nil()),
            key: FlagKey::parse("intro").expect("a key"),
            experiment: Experiment {
                description: "<script>".to_owned(),
                unit: Unit::Person,
                traffic: Share::EVERYBODY,
                variants: vec![variant("control"), variant("short")],
                metric: EventName::parse("paid").expect("a name"),
                measure: Measure::Conversion,
            },
            state: ExperimentState::Running,
            winner: None,
            created_at: Timestamp::EPOCH,
            started_at: None,
            stopped_at: None,
        };
        let of = |variant, units, converted| VariantFigures { variant, units, converted, mean: 0.0, squares: 0.0 };
        let results = Results::new(&stored, &[of(0, 800, 480), of(1, 650, 520)], Timestamp::EPOCH);
        let text = results.to_text(&stored);
        for words in
            ["control", "60.00 %", "80.00 %", "+20.00 points", "95.00 % interval", "not to be trusted", "\"paid\""]
        {
            assert!(text.contains(words), "{words} is missing in\n{text}");
        }
        assert!(text.contains("were not split"), "800 and 650 of equal weights:\n{text}");
        let page = results.to_html(&stored);
        for words in ["<svg", "<circle", "&lt;script&gt;", "class=\"bad\"", "not to be trusted"] {
            assert!(page.contains(words), "{words} is missing in\n{page}");
        }
        assert!(!page.contains("<script"), "{page}");
    }
}
