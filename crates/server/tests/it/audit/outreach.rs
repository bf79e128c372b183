//! Accounts that are not let in, mailboxes that nobody reads, emails that are left lying or that nobody knows of, more mail than
//! a cap lets through, mail after a stop, figures that are not their rows, and domains that say nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::{AccountState, CampaignId, SendingAccountId, TenantId, Timestamp};
use mainstay_server::ops::audit::{Finding, Verdict};
use mainstay_store::{
    AccountSettings, BeginRun, ClaimEmails, EmailClaim, EmailEnd, EndEmail, FenceEmail, GetAccount, GetMailbox, Intent,
    PauseQueue, PutAccount, PutMailbox, RemoveMailbox, RunOf, SendingLane, SetAccountState, Suppress, UseAccounts,
};
use mainstay_testing::smtp_sink::SinkOptions;
use mainstay_testing::{NameServer, RecordType};
use serde_json::json;

use super::{Colours, GOOD, call, see};
use crate::outreach::{Agency, signed};
use crate::support::{Engine, text};

const DAY: Duration = Duration::from_secs(86_400);

/// A campaign that has sent two emails.
struct Sent {
    agency: Agency,
    names: NameServer,
    tenant: TenantId,
    campaign: CampaignId,
    account: SendingAccountId,
}

/// Breaks each.
pub(super) async fn neglect(engine: Engine, colours: &mut Colours) {
    let Some(sent) = Sent::begin(engine).await else { return };
    for id in ["accounts", "held", "unknown", "figures", "caps", "stopped", "links", "mail"] {
        colours.green(&sent.look(id).await);
    }
    sent.publish(colours).await;
    sent.leave_a_mailbox(colours).await;
    // From here on nobody works on accounts but this test: what runs by now is not let in.
    let pause = PauseQueue { queue: "outreach".to_owned(), paused_at: Some(sent.agency.server.now()) };
    sent.run(pause).await;
    let state = SetAccountState {
        tenant: sent.tenant,
        id: sent.account,
        state: AccountState::Reconnect,
        reason: Some("535 who are you".to_owned()),
        now: sent.agency.server.now(),
    };
    sent.run(state).await;
    let seen = sent.look("accounts").await;
    assert!(seen.evidence.contains("535 who are you"), "{}", seen.evidence);
    colours.red(&seen);
    sent.leave_emails(colours).await;
    sent.exceed_a_cap(colours).await;
    // It was sent a day after somebody had said that they want no more.
    let subjects = BTreeSet::from(["eve@lead.example".to_owned()]);
    sent.run(Suppress { tenant: sent.tenant, subjects, now: sent.ago(1) }).await;
    colours.red(&sent.look("stopped").await);
    if engine == Engine::Postgres {
        super::miscount(&sent.agency.server);
        colours.red(&sent.look("figures").await);
    }
    sent.agency.server.app.lifecycle.stop_hard();
}

impl Sent {
    async fn begin(engine: Engine) -> Option<Self> {
        let names = NameServer::start().expect("a name server");
        let servers = json!([names.address().to_string()]).to_string();
        let own = [("outreach.name_servers", servers.as_str()), ("outreach.check_domains", "false")];
        let agency = Agency::set(engine, SinkOptions::default(), &[GOOD, &own].concat()).await?;
        let account = agency.account("ada@sender.example", &signed("sender.example")).await;
        let campaign = agency.campaign("Spring", &[&account], "5d").await;
        agency.add(&campaign, &["eve@lead.example", "bob@lead.example"].map(str::to_owned)).await;
        agency.launch(&campaign).await;
        agency.until(&campaign, json!({"accepted": 2, "queued": 2, "lead_active": 2})).await;
        let id = |text: &str| text.parse::<uuid::Uuid>().expect("an id");
        let tenant = TenantId(id(&agency.owner.organisation));
        Some(Self {
            names,
            tenant,
            campaign: CampaignId(id(&campaign)),
            account: SendingAccountId(id(&account)),
            agency,
        })
    }

    async fn look(&self, name: &str) -> Finding {
        see(&self.agency.server, &self.agency.server.address, &format!("outreach.{name}")).await
    }

    async fn run<I: Intent>(&self, intent: I) -> I::Output {
        Box::pin(self.agency.server.app.store.run(&call(), intent)).await.expect("done")
    }

    fn ago(&self, days: u32) -> Timestamp {
        self.agency.server.now().minus(DAY * days)
    }

    /// Nothing is published, and then what the checklist tells to publish.
    async fn publish(&self, colours: &mut Colours) {
        let seen = self.look("domains").await;
        assert!(seen.evidence.contains("Publish TXT sender.example: v=spf1"), "{}", seen.evidence);
        colours.red(&seen);
        let path = format!("/v1/campaigns/{}/checklist", self.campaign);
        let list = self.agency.send("GET", &path, None).await.expect(200);
        for check in list["data"].as_array().expect("rows").iter().filter(|check| check["publish"].is_object()) {
            let record = &check["publish"];
            let kind = if record["kind"] == "TXT" { RecordType::Txt } else { RecordType::Cname };
            self.names.set(&text(&record["name"]), kind, &[text(&record["value"]).as_str()]).expect("a record");
        }
        self.names.set("mail.sender.example", RecordType::A, &["192.0.2.1"]).expect("a record");
        self.names.set("sender.example", RecordType::Mx, &["10 mail.sender.example"]).expect("a record");
        self.names.set("sender.example", RecordType::Txt, &["v=spf1 mx ~all"]).expect("a record");
        // A key that not everybody reads is a doubt. Where its server signs there is none.
        let seen = self.look("domains").await;
        assert_eq!(seen.verdict, Verdict::Warn, "{}", seen.evidence);
        let (tenant, id, now) = (self.tenant, self.account, self.agency.server.now());
        let account = self.run(GetAccount { tenant, id }).await.expect("it is there");
        let settings = AccountSettings { dkim: None, dkim_key: None, secret: None, ..account.settings };
        let put = PutAccount { tenant, id, address: account.address, new: false, settings, now };
        assert!(self.run(put).await);
        colours.green(&self.look("domains").await);
    }

    /// Answers are unheard; then there is a mailbox; and that was made two days ago and never read.
    async fn leave_a_mailbox(&self, colours: &mut Colours) {
        let seen = self.look("mailboxes").await;
        assert_eq!(seen.verdict, Verdict::Warn, "{}", seen.measured);
        let path = format!("/v1/sending-accounts/{}/mailbox", self.account);
        let settings = json!({"host": "127.0.0.1", "port": 9, "user_name": "ada", "password": "p"});
        self.agency.send("PUT", &path, Some(settings)).await.expect_ok("the mailbox is put");
        colours.green(&self.look("mailboxes").await);
        let (tenant, account) = (self.tenant, self.account);
        let put = self.run(GetMailbox { tenant, account }).await.expect("it is there");
        assert!(self.run(RemoveMailbox { tenant, account }).await);
        assert!(self.run(PutMailbox { tenant, account, settings: put.settings, now: self.ago(2) }).await);
        colours.red(&self.look("mailboxes").await);
    }

    /// A run that took two emails eight days ago: of one nobody knows, the other it has left.
    async fn leave_emails(&self, colours: &mut Colours) {
        let (tenant, now) = (self.tenant, self.ago(8));
        let leads = ["fay@lead.example", "gus@lead.example"].map(str::to_owned);
        self.agency.add(&self.campaign.to_string(), &leads).await;
        let settings = self.run(GetAccount { tenant, id: self.account }).await.expect("it is there").settings;
        let settings = AccountSettings { dkim: None, dkim_key: None, secret: None, ..settings };
        let account: SendingAccountId = self.agency.server.app.ids.make();
        let address = "old@sender.example".to_owned();
        assert!(self.run(PutAccount { tenant, id: account, address, new: true, settings, now }).await);
        let accounts = vec![self.account, account];
        self.run(UseAccounts { tenant, campaign: self.campaign, accounts, now }).await.expect("both are there");
        let run = self.run(BeginRun { tenant, account, now }).await.expect("it is there");
        let lanes = run.campaigns.iter().flat_map(|one| {
            let first = one.steps[0].variants.clone();
            let lane = move |zone: &String| SendingLane {
                campaign: one.campaign.id,
                zone: zone.clone(),
                first: first.clone(),
            };
            one.zones.iter().map(lane)
        });
        let of = RunOf { tenant, account, run: run.account.run };
        let ids = (0..2).map(|_| self.agency.server.app.ids.make()).collect();
        let claim = ClaimEmails { run: of, lanes: lanes.collect(), ids, next_at: None, now };
        let EmailClaim::Claimed(claimed) = self.run(claim).await else { panic!("there are two") };
        colours.red(&self.look("held").await);
        let (store, one) = (&self.agency.server.app.store, &claimed[0]);
        let fence = FenceEmail { run: of, id: one.id, attempts: one.attempts, now };
        assert!(store.fence_email(&call(), fence).await.expect("answered"));
        let end = EmailEnd::Unknown("the line was cut".to_owned());
        let end = EndEmail { run: of, id: one.id, attempts: one.attempts, fenced: true, end, now };
        assert!(store.end_email(&call(), end).await.expect("answered"));
        colours.red(&self.look("unknown").await);
    }

    /// The account has sent two, and may send one since the day before yesterday.
    async fn exceed_a_cap(&self, colours: &mut Colours) {
        let (tenant, id) = (self.tenant, self.account);
        let account = self.run(GetAccount { tenant, id }).await.expect("it is there");
        let settings = AccountSettings { daily_cap: 1, secret: None, dkim_key: None, ..account.settings };
        let put = |now| PutAccount {
            tenant,
            id,
            address: account.address.clone(),
            new: false,
            settings: settings.clone(),
            now,
        };
        assert!(self.run(put(self.agency.server.now())).await);
        let seen = self.look("caps").await;
        assert_eq!(seen.verdict, Verdict::Warn, "it was changed after they were sent: {}", seen.measured);
        assert!(self.run(put(self.ago(2))).await);
        colours.red(&self.look("caps").await);
    }
}
