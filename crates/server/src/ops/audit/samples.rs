//! The figures that a server tells, as they come over the wire (the text format of Prometheus, version 0.0.4).

use std::collections::{BTreeMap, BTreeSet};

/// Figures by the name of their family: the labels of each series, and its value.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    families: BTreeMap<String, Vec<(String, f64)>>,
    /// Lines that are neither a comment nor a figure.
    pub(super) bad: usize,
}

/// Reads them.
pub(super) fn samples(text: &str) -> Samples {
    let mut samples = Samples::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let value = line.rsplit_once(' ').and_then(|(series, value)| Some((series, value.parse::<f64>().ok()?)));
        let Some((series, value)) = value else {
            samples.bad += 1;
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        samples.families.entry(name.to_owned()).or_default().push((labels.trim_end_matches('}').to_owned(), value));
    }
    samples
}

impl Samples {
    /// All series of a family together; nothing when there is none.
    pub(super) fn sum(&self, family: &str) -> Option<f64> {
        Some(self.families.get(family)?.iter().map(|(_, value)| value).sum())
    }

    /// The series of a family that have this label; nothing when there is none.
    pub(super) fn sum_of(&self, family: &str, (name, value): (&str, &str)) -> Option<f64> {
        let label = format!("{name}=\"{value}\"");
        let series = self.families.get(family)?.iter();
        let mut of = series.filter(|(labels, _)| labels.split(',').any(|one| one == label)).peekable();
        of.peek()?;
        Some(of.map(|(_, value)| value).sum())
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.families.values().map(Vec::len).sum()
    }

    /// Values of labels that name one person, request or address: such a label grows without end.
    pub(super) fn endless(&self) -> BTreeSet<String> {
        let named = |labels: &str| {
            let values = labels.split('"').skip(1).step_by(2);
            values.filter(|value| is_endless(value)).map(str::to_owned).collect::<Vec<_>>()
        };
        let families = self.families.iter();
        let all = families.flat_map(|(family, series)| series.iter().map(move |(labels, _)| (family, labels)));
        all.flat_map(|(family, labels)| named(labels).into_iter().map(move |value| format!("{family}: {value}")))
            .collect()
    }
}

/// Whether a value is one of endlessly many: it has a UUID in it, is an address of a person or of a machine.
fn is_endless(value: &str) -> bool {
    let words = value.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    words.into_iter().any(|word| word.len() == 36 && uuid::Uuid::try_parse(word).is_ok())
        || value.contains('@')
        || value.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_what_is_none_is_counted() {
        let text = "# HELP a b\na{x=\"1\"} 2\na{x=\"2\",y=\"le 3\"} 1.5\nb 7\nnonsense\n\nb x\n";
        let samples = samples(text);
        assert_eq!((samples.sum("a"), samples.sum("b"), samples.sum("c")), (Some(3.5), Some(7.0), None));
        let of = |value| samples.sum_of("a", ("x", value));
        assert_eq!((of("1"), of("2"), of("3")), (Some(2.0), Some(1.5), None));
        assert_eq!((samples.len(), samples.bad), (3, 2));
        assert_eq!(samples.endless(), BTreeSet::new());
    }

    #[test]
    fn a_label_that_names_one_of_endlessly_many_is_found() {
        for value in [
            "01890000-0000-7000-8000-000000000001",
            "/v1/jobs/01890000-0000-7000-8000-000000000001",
            "ada@example.com",
            "203.0.113.7",
            "2001:db8::1",
        ] {
            assert_eq!(samples(&format!("a{{x=\"fine\",y=\"{value}\"}} 1")).endless().len(), 1, "{value}");
        }
        for value in ["/v1/jobs/{id}", "POST", "0.005", "+Inf", "inbox_event", "127.0.0"] {
            assert_eq!(samples(&format!("a{{y=\"{value}\"}} 1")).endless().len(), 0, "{value}");
        }
    }
}
