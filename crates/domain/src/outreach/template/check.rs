//! What would go wrong with templates, found before the first mail.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fields, RenderFault, Template};

/// What is wrong with a template of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchProblem {
    /// Which template, as the caller called it.
    pub template: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// In what way a template and the leads do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// It names a field that the organisation does not know.
    UnknownField {
        /// The field.
        field: String,
        /// A known one whose name is nearly the same.
        nearest: Option<String>,
    },
    /// Some leads cannot be written to with it.
    Leads {
        /// Why.
        fault: RenderFault,
        /// How many.
        count: usize,
        /// Some of them, as the caller called them.
        examples: Vec<String>,
    },
}

/// Goes through the leads of a campaign, one after the other, and remembers what does not fit: little, however many they are.
#[derive(Debug)]
pub struct LaunchCheck<'a> {
    templates: Vec<(&'a str, &'a Template)>,
    unknown: Vec<LaunchProblem>,
    /// By the template's place, what is wrong and in which field; how long it would be is that of the first.
    found: BTreeMap<(usize, &'static str, String), Found>,
}

#[derive(Debug)]
struct Found {
    fault: RenderFault,
    count: usize,
    examples: Vec<String>,
}

impl<'a> LaunchCheck<'a> {
    /// The most leads that are named for each problem.
    pub const MOST_EXAMPLES: usize = 5;

    /// Begins with the templates of a campaign, each under what it is called ("step 1, subject"), and the fields that the
    /// organisation knows.
    #[must_use]
    pub fn new(templates: &[(&'a str, &'a Template)], known: &BTreeSet<String>) -> Self {
        let mut unknown = Vec::new();
        for (called, template) in templates {
            for field in template.fields().into_iter().filter(|field| !known.contains(field.name)) {
                let kind =
                    ProblemKind::UnknownField { field: field.name.to_owned(), nearest: nearest(field.name, known) };
                unknown.push(LaunchProblem { template: (*called).to_owned(), kind });
            }
        }
        Self { templates: templates.to_vec(), unknown, found: BTreeMap::new() }
    }

    /// Looks at a lead, under what it is called: a number of a line, an id.
    pub fn lead(&mut self, called: &str, fields: &Fields) {
        for (place, (_, template)) in self.templates.iter().enumerate() {
            for fault in faults(template, fields) {
                let field = match &fault {
                    RenderFault::Missing { field } | RenderFault::NotALink { field } => field.clone(),
                    RenderFault::TooLong { .. } => String::new(),
                };
                let key = (place, fault.code(), field);
                let found = self.found.entry(key).or_insert(Found { fault, count: 0, examples: Vec::new() });
                found.count += 1;
                if found.examples.len() < Self::MOST_EXAMPLES {
                    found.examples.push(called.to_owned());
                }
            }
        }
    }

    /// What was found, in the order of the templates; nothing when all fits.
    #[must_use]
    pub fn problems(self) -> Vec<LaunchProblem> {
        let called = |place: usize| self.templates.get(place).map_or("", |(called, _)| called).to_owned();
        let leads = self.found.into_iter().map(|((place, _, _), Found { fault, count, examples })| LaunchProblem {
            template: called(place),
            kind: ProblemKind::Leads { fault, count, examples },
        });
        self.unknown.into_iter().chain(leads).collect()
    }
}

/// Everything that is wrong for a lead, not only the first.
fn faults(template: &Template, fields: &Fields) -> Vec<RenderFault> {
    let named = template.fields();
    let missing = named.into_iter().filter(|field| !field.has_fallback && fields.get(field.name).is_none());
    let missing: Vec<_> = missing.map(|field| RenderFault::Missing { field: field.name.to_owned() }).collect();
    if !missing.is_empty() {
        return missing;
    }
    template.not_links(fields).chain(template.length(fields, template.escape()).err()).collect()
}

/// The known name that a name was probably meant for: one that differs by at most two letters.
fn nearest(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let near = known.iter().map(|one| (distance(name, one), one)).filter(|(distance, _)| *distance <= 2);
    near.min().map(|(_, one)| one.clone())
}

/// How many letters have to be put in, taken out or changed to make one text of another.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.bytes().enumerate() {
        let mut diagonal = place;
        let mut left = place + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, letter_of_other) in row.iter_mut().skip(1).zip(other.bytes()) {
            let changed = diagonal + usize::from(letter != letter_of_other);
            diagonal = *cell;
            left = changed.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

impl Template {
    /// The fields that a link would begin with and that are no address.
    fn not_links<'a>(&'a self, fields: &'a Fields) -> impl Iterator<Item = RenderFault> + 'a {
        let pieces = self.pieces.iter().filter_map(|piece| match piece {
            super::Piece::Field { name, fallback, begins_link: true } => Some((name, fallback)),
            _ => None,
        });
        pieces.filter_map(|(name, fallback)| {
            let value = fields.get(name).or(fallback.as_deref())?;
            (!super::is_target(value)).then(|| RenderFault::NotALink { field: name.clone() })
        })
    }
}
