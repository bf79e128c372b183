//! Lists: what was read of one is stored once, with the place behind it.

use mainstay_domain::{CampaignState, ImportState, LeadImportId};

use super::super::Harness;
use super::Agency;
use crate::{
    BeginImport, CancelImport, GetImport, ImportFault, LeadImport, ListImportFaults, ListImports, MOST_IMPORT_FAULTS,
    Once, ReadIntoCampaign, ReadStep,
};

impl Agency<'_> {
    async fn import(&self, campaign: mainstay_domain::CampaignId) -> LeadImportId {
        let (id, tenant, now) = (self.h.ids.make(), self.tenant, self.h.now());
        let name = "people.csv".to_owned();
        let begin = BeginImport { tenant, id, campaign, name, bytes: Some(100), columns: None, claim: None, now };
        assert_eq!(self.run(begin).await, Once::Done(true));
        id
    }

    fn step(&self, id: LeadImportId, from: u64, behind: (u64, u64), addresses: &[&str]) -> ReadIntoCampaign {
        ReadIntoCampaign {
            tenant: self.tenant,
            id,
            from,
            behind,
            form: "{}".to_owned(),
            columns: "[]".to_owned(),
            rows: addresses.len() as u64,
            leads: self.leads(addresses),
            bad: 0,
            faults: Vec::new(),
            ends: false,
            now: self.h.now(),
        }
    }
}

fn stored(step: ReadStep) -> LeadImport {
    match step {
        ReadStep::Stored(import) => import,
        other => panic!("it is not stored: {other:?}"),
    }
}

fn fault(line: i64, place: i64) -> ImportFault {
    let text = |text: &str| text.to_owned();
    ImportFault { line, place, column_name: text("Email"), code: text("bad"), detail: text("Bad."), excerpt: text("x") }
}

pub(in super::super) async fn a_list_is_read_once(h: &Harness) {
    let agency = Agency::open(h, "reads-a-list").await;
    let campaign = agency.campaign("A list", &[]).await.id;
    let id = agency.import(campaign).await;
    let first = agency.step(id, 0, (50, 3), &["a@lead.example", "b@lead.example"]);
    let read = stored(agency.run(first.clone()).await);
    assert_eq!((read.read_bytes, read.line, read.rows, read.added), (50, 3, 2, 2));
    // The same again finds the list further on, and changes nothing.
    assert_eq!(agency.run(first).await, ReadStep::Elsewhere(read.clone()));
    assert_eq!(agency.run(GetImport { tenant: agency.tenant, id }).await, Some(read));

    let mut last = agency.step(id, 50, (100, 7), &["b@lead.example", "c@lead.example"]);
    (last.rows, last.bad, last.ends) = (4, 2, true);
    last.faults = vec![fault(4, 0), fault(4, 1), fault(6, 0)];
    let done = stored(agency.run(last.clone()).await);
    assert_eq!((done.state, done.rows, done.added, done.duplicates, done.bad), (ImportState::Finished, 6, 3, 1, 2));
    assert_eq!(agency.run(last).await, ReadStep::Elsewhere(done.clone()));
    let list = |after, limit| ListImportFaults { tenant: agency.tenant, import: id, after, limit };
    assert_eq!(agency.run(list((0, 0), 2)).await, [fault(4, 0), fault(4, 1)]);
    assert_eq!(agency.run(list((4, 1), 2)).await, [fault(6, 0)]);
    let imports = ListImports { tenant: agency.tenant, campaign, before: None, limit: 10 };
    assert_eq!(agency.run(imports).await, [done]);
    assert!(!agency.run(CancelImport { tenant: agency.tenant, id, now: h.now() }).await, "it is over");
    assert_eq!(agency.figures(campaign).await["lead_new"], 3);
}

pub(in super::super) async fn a_list_has_its_bounds(h: &Harness) {
    let agency = Agency::open(h, "reads-a-bad-list").await;
    let campaign = agency.campaign("A bad list", &[]).await.id;
    let (id, other) = (agency.import(campaign).await, agency.import(campaign).await);
    let (mut at, mut line) = (0, 1);
    // A thousand bad rows at once, until more are bad than are kept.
    while at < MOST_IMPORT_FAULTS / 1_000 + 1 {
        let mut step = agency.step(id, at, (at + 1, line), &[]);
        (step.rows, step.bad) = (1_000, 1_000);
        step.faults = (line..line + 1_000).map(|line| fault(i64::try_from(line).expect("few"), 0)).collect();
        stored(agency.run(step).await);
        (at, line) = (at + 1, line + 1_000);
    }
    let import = agency.run(GetImport { tenant: agency.tenant, id }).await.expect("it is there");
    assert_eq!(import.bad, MOST_IMPORT_FAULTS + 1_000, "all are counted");
    let after = (MOST_IMPORT_FAULTS, 0);
    let further = ListImportFaults { tenant: agency.tenant, import: id, after, limit: 10 };
    assert_eq!(agency.run(further).await, [], "and so many are kept");
    assert!(agency.run(CancelImport { tenant: agency.tenant, id, now: h.now() }).await);
    let late = agency.step(id, at, (at + 1, line), &[]);
    assert!(matches!(agency.run(late).await, ReadStep::Elsewhere(import) if import.state == ImportState::Cancelled));
    // A campaign that has stopped takes nobody in.
    assert!(agency.become_(campaign, CampaignState::Draft, CampaignState::Stopped).await);
    assert_eq!(agency.run(agency.step(other, 0, (1, 2), &["z@lead.example"])).await, ReadStep::Stopped);
    assert_eq!(agency.run(agency.step(h.ids.make(), 0, (1, 2), &[])).await, ReadStep::Gone);
    // Old ones are forgotten, with their faults.
    let later = h.now().plus(std::time::Duration::from_secs(1));
    while h.store.forget_imports(&h.call(), later).await.expect("forgotten") > 0 {}
    assert_eq!(agency.run(GetImport { tenant: agency.tenant, id }).await, None);
    assert_eq!(agency.run(ListImportFaults { tenant: agency.tenant, import: id, after: (0, 0), limit: 1 }).await, []);
}
