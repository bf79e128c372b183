//! Figures that are added up are what the figures come to.

use std::collections::BTreeMap;

use mainstay_domain::CampaignId;
use uuid::Uuid;

use super::Agency;
use crate::{CampaignSums, CountFigures, OutreachFigure, ReadFigures, ReadSums};

/// A step, a text, an account and a day.
type Place = (i64, Uuid, Uuid, i64);

impl Agency<'_> {
    /// The figures of a campaign, which are what the rows come to.
    pub(super) async fn figures(&self, campaign: CampaignId) -> BTreeMap<String, i64> {
        let figures = self.run(ReadFigures { tenant: self.tenant, campaign }).await;
        let rows: Vec<OutreachFigure> = self.run(CountFigures { tenant: self.tenant, campaign }).await;
        assert_eq!(figures, rows, "the figures are what the rows come to");
        let sums = self.run(ReadSums { tenant: self.tenant, campaign }).await;
        agree(&sums, &figures);
        let mut sums = BTreeMap::new();
        for figure in figures {
            *sums.entry(figure.kind).or_default() += figure.number;
        }
        sums
    }
}

/// Compares sums with the figures that they are of.
fn agree(sums: &CampaignSums, figures: &[OutreachFigure]) {
    let nil = Uuid::nil();
    assert_eq!(added_up(&sums.texts, Some), added_up(figures, |of| Some((of.0, of.1, nil, 0))));
    assert_eq!(added_up(&sums.accounts, Some), added_up(figures, |of| (of.0 > 0).then_some((0, nil, of.2, 0))));
    assert_eq!(added_up(&sums.days, Some), added_up(figures, |of| (of.3 > 0).then_some((0, nil, nil, of.3))));
}

/// Figures added up by what is left of their place.
fn added_up(figures: &[OutreachFigure], left: impl Fn(Place) -> Option<Place>) -> BTreeMap<(Place, String), i64> {
    let mut sums = BTreeMap::new();
    for figure in figures {
        if let Some(place) = left((figure.step, figure.variant_id, figure.account_id, figure.day)) {
            *sums.entry((place, figure.kind.clone())).or_default() += figure.number;
        }
    }
    sums.retain(|_, number| *number != 0);
    sums
}
