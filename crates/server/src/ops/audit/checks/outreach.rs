//! Mail of campaigns is worked on, counted and kept within its bounds, as the rows themselves say.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{AccountState, Timestamp};
use mainstay_store::{
    AuditAccounts, AuditCampaigns, AuditedAccount, AuditedCampaign, CompareFigures, ComparedFigures, CountSent,
    FindLeftEmails, FindSentAfterStop, GetAccount, LeftEmails, SentAfterStop,
};
use tokio::time::Instant;

use super::{Looked, checks, days, some};
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::Subject;
use crate::outreach::auditing::BY_SOMEBODY;

checks! { Outreach:
    "outreach.accounts" High Passive Laptop accounts,
    "Accounts that campaigns send by are let in, and send.",
    "no account that a running campaign uses waits to be connected again, or rests because too much came back; one that somebody has paused is a warning",
    "Look on the page /sending-accounts of the organisation that is named at what is said of the account: put its password again, or look at whom it writes to, and have it send again.";
    "outreach.mailboxes" High Passive Laptop mailboxes,
    "What comes back is heard.",
    "each mailbox was read to its end within the last ten intervals (outreach.mailbox_seconds) and 15 minutes, and its server lets us in; an account of a running campaign without one is a warning",
    "Put the settings of the mailbox again on the page /sending-accounts, and see that a node works on the queue mailboxes (`mainstay jobs queues`).";
    "outreach.held" High Passive Laptop held,
    "No email is taken and left lying.",
    "no email is claimed or in flight for more than an hour",
    "See that a node works on the queue outreach (`mainstay jobs queues`): the next run of the account sends what is claimed, and shows what is in flight as unknown.";
    "outreach.unknown" Medium Passive Laptop unknown,
    "Somebody decides about emails of which nobody knows whether they were sent.",
    "no email is unknown: some are a warning, and after 7 days a failure",
    "Look at them on the page /sending-accounts, or with GET /v1/emails?state=unknown, and say of each that it was sent, or have it sent again.";
    "outreach.figures" High Passive Laptop figures,
    "Figures of campaigns equal the rows that they count.",
    "of the newest 20 campaigns of at most 20,000 rows each no figure differs from its rows, both read at one moment",
    "Something else than the server has written to the database: compare GET /v1/campaigns/{id}/figures with the rows, and restore a backup where rows are missing.";
    "outreach.caps" High Passive Laptop caps,
    "No account sends more than it may.",
    "of the newest 2,000 emails of each of 40 running campaigns no account has sent more in the last 24 hours than its daily cap; where it was changed since then, that is a warning",
    "Pause the account that is named. Something else than the server has written to the database, or it is another release: see that all nodes run the same one.";
    "outreach.stopped" Critical Passive Laptop stopped,
    "Nobody gets mail who has said no.",
    "of the newest 2,000 emails that went out none did so more than two minutes after its lead had stopped, or after its address or domain was put on the suppression list",
    "Pause the campaigns of the emails that are named (GET /v1/emails/{id}), and see that all nodes run the same release and that their clocks agree.";
}

/// How many accounts one audit looks at, the newest first.
const ACCOUNTS: u32 = 1_000;
/// A mailbox may have missed so many turns, and be late for so long besides.
const MISSED: u32 = 10;
const LATE: Duration = Duration::from_secs(15 * 60);
/// A run ends after 25 minutes at the latest, and what it has left the next one takes.
const HELD: Duration = Duration::from_secs(3_600);
/// For how long nobody may have decided about an email.
const UNDECIDED: Duration = days(7);
/// How many campaigns are counted, of how many rows at most, and for how long at most.
const CAMPAIGNS: u32 = 20;
const MOST_ROWS: u64 = 20_000;
const COUNTING: Duration = Duration::from_secs(5);
/// Of how many running campaigns what was sent is counted, and among how many emails.
const SENDING: usize = 40;
const NEWEST: u32 = 2_000;
/// Who says no while an email goes out gets that one; and clocks of nodes differ.
const UNDER_WAY: Duration = Duration::from_secs(120);
const DAY: Duration = days(1);

async fn seen_accounts(subject: &Subject) -> Result<Vec<AuditedAccount>, Seen> {
    Ok(subject.app.store.run(&subject.call(), AuditAccounts { limit: ACCOUNTS }).await?)
}

fn of(account: &AuditedAccount) -> String {
    format!("{} of organisation {}", account.address, account.tenant)
}

/// A failure where there are faults, a warning where there are doubts, else a pass.
fn judged(measured: String, faults: &[String], doubts: &[String]) -> Seen {
    if faults.is_empty() && !doubts.is_empty() {
        return Seen::warn(measured).by(some(doubts));
    }
    Seen::told(faults.is_empty(), measured).by(some(faults))
}

async fn accounts(subject: &Subject) -> Looked {
    Ok(judge_accounts(&seen_accounts(subject).await?))
}

fn judge_accounts(accounts: &[AuditedAccount]) -> Seen {
    let (mut faults, mut doubts) = (Vec::new(), Vec::new());
    let in_use = accounts.iter().filter(|account| account.in_use);
    for account in in_use.clone() {
        let why = account.reason.as_deref().unwrap_or("no reason is noted");
        match account.state {
            AccountState::Active => {}
            AccountState::Paused if why == BY_SOMEBODY => doubts.push(format!("{} is paused: {why}", of(account))),
            AccountState::Paused => faults.push(format!("{} rests: {why}", of(account))),
            AccountState::Reconnect => faults.push(format!("{} is not let in: {why}", of(account))),
        }
    }
    let measured = format!(
        "{} accounts, {} in use, {} of those do not send",
        accounts.len(),
        in_use.count(),
        faults.len() + doubts.len()
    );
    judged(measured, &faults, &doubts)
}

async fn mailboxes(subject: &Subject) -> Looked {
    let late = subject.app.outreach.mailbox_interval() * MISSED + LATE;
    Ok(judge_mailboxes(&seen_accounts(subject).await?, (subject.app.clock.now(), late)))
}

fn judge_mailboxes(accounts: &[AuditedAccount], (now, late): (Timestamp, Duration)) -> Seen {
    let (mut faults, mut doubts, mut read) = (Vec::new(), Vec::new(), 0);
    for account in accounts {
        match &account.mailbox {
            None if account.in_use => {
                doubts.push(format!("{} is in use and has no mailbox: answers are not heard", of(account)))
            }
            None => {}
            Some(mailbox) if mailbox.state == AccountState::Reconnect => {
                let why = mailbox.reason.as_deref().unwrap_or("no reason is noted");
                faults.push(format!("the mailbox of {} is not let in: {why}", of(account)));
            }
            Some(mailbox) if now.since(mailbox.since) > late => {
                let (for_, why) =
                    (now.since(mailbox.since).as_secs() / 60, mailbox.reason.as_deref().unwrap_or_default());
                faults.push(format!("the mailbox of {} was not read for {for_} minutes {why}", of(account)));
            }
            Some(_) => read += 1,
        }
    }
    judged(
        format!("{read} mailboxes are read, {} are not; {} accounts in use have none", faults.len(), doubts.len()),
        &faults,
        &doubts,
    )
}

async fn left(subject: &Subject) -> Result<LeftEmails, Seen> {
    let held_before = subject.app.clock.now().minus(HELD);
    Ok(subject.app.store.run(&subject.call(), FindLeftEmails { held_before, accounts: ACCOUNTS }).await?)
}

async fn held(subject: &Subject) -> Looked {
    let left = left(subject).await?;
    let faults: Vec<String> = left
        .held
        .iter()
        .map(|(email, tenant, since)| format!("email {email} of organisation {tenant} since {since}"))
        .collect();
    Ok(judged(format!("{} emails are left lying, of {} accounts", faults.len(), left.accounts), &faults, &[]))
}

async fn unknown(subject: &Subject) -> Looked {
    Ok(judge_unknown(&left(subject).await?, subject.app.clock.now()))
}

fn judge_unknown(left: &LeftEmails, now: Timestamp) -> Seen {
    let said: Vec<(bool, String)> = left
        .unknown
        .iter()
        .map(|(tenant, number, oldest)| {
            (now.since(*oldest) > UNDECIDED, format!("{number} of organisation {tenant}, the oldest since {oldest}"))
        })
        .collect();
    let number: u32 = left.unknown.iter().map(|(_, number, _)| number).sum();
    let oldest = left.unknown.iter().map(|(.., oldest)| now.since(*oldest)).max().unwrap_or_default();
    let of = |old: bool| said.iter().filter(|(is, _)| *is == old).map(|(_, said)| said.clone()).collect::<Vec<_>>();
    judged(format!("{number} emails are unknown, the oldest for {} s", oldest.as_secs()), &of(true), &of(false))
}

async fn campaigns(subject: &Subject, limit: u32) -> Result<Vec<AuditedCampaign>, Seen> {
    Ok(subject.app.store.run(&subject.call(), AuditCampaigns { limit }).await?)
}

async fn figures(subject: &Subject) -> Looked {
    let (begun, mut rows, mut looked_at) = (Instant::now(), 0, 0_usize);
    let (mut faults, mut skipped) = (Vec::new(), Vec::new());
    for campaign in campaigns(subject, CAMPAIGNS).await? {
        let name = format!("campaign {} of organisation {}", campaign.id, campaign.tenant);
        if begun.elapsed() > COUNTING {
            skipped.push(format!("{name}: the time was up"));
            continue;
        }
        let compare = CompareFigures { tenant: campaign.tenant, campaign: campaign.id, most_rows: MOST_ROWS };
        match subject.app.store.run(&subject.call(), compare).await {
            Ok(ComparedFigures::Differ(differ, counted)) => {
                looked_at += 1;
                rows += counted;
                faults.extend(differ.into_iter().map(|(figure, counted)| {
                    format!(
                        "{name}, step {}: {} {} in the figures, {counted} rows",
                        figure.step, figure.number, figure.kind
                    )
                }));
            }
            Ok(ComparedFigures::TooLarge(rows)) => {
                skipped.push(format!("{name}: {rows} rows are more than {MOST_ROWS}"))
            }
            Err(mainstay_store::Error::Timeout) => skipped.push(format!("{name}: counting took too long")),
            Err(error) => return Err(error.into()),
        }
    }
    let measured = format!(
        "{looked_at} campaigns with {rows} rows counted, {} figures differ; {} left out",
        faults.len(),
        skipped.len()
    );
    // What was left out is said, and does not make less of what was seen.
    let all = if faults.is_empty() { skipped } else { faults.clone() };
    Ok(Seen::told(faults.is_empty(), measured).by(some(&all)))
}

async fn caps(subject: &Subject) -> Looked {
    let (store, now) = (&subject.app.store, subject.app.clock.now());
    let since = now.minus(DAY);
    let running = campaigns(subject, ACCOUNTS).await?.into_iter().filter(|campaign| campaign.is_running);
    let mut sent = BTreeMap::<_, u32>::new();
    for campaign in running.take(SENDING) {
        let count = CountSent { tenant: campaign.tenant, campaign: campaign.id, since, limit: NEWEST };
        for (account, number) in store.run(&subject.call(), count).await? {
            *sent.entry((campaign.tenant, account)).or_default() += number;
        }
    }
    let (mut faults, mut doubts) = (Vec::new(), Vec::new());
    for ((tenant, id), number) in &sent {
        let Some(account) = store.run(&subject.call(), GetAccount { tenant: *tenant, id: *id }).await? else {
            continue;
        };
        let cap = account.cap(now);
        if *number > cap {
            let said = format!("{} of organisation {tenant} has sent {number} of {cap} in 24 hours", account.address);
            // What it may send was less or more before somebody changed it.
            if account.updated_at > since { doubts.push(said) } else { faults.push(said) }
        }
    }
    let measured = format!(
        "{} emails of {} accounts in the last 24 hours, {} accounts above their cap",
        sent.values().sum::<u32>(),
        sent.len(),
        faults.len() + doubts.len()
    );
    Ok(judged(measured, &faults, &doubts))
}

async fn stopped(subject: &Subject) -> Looked {
    let find = FindSentAfterStop { under_way: UNDER_WAY, limit: NEWEST };
    let SentAfterStop { looked_at, emails } = subject.app.store.run(&subject.call(), find).await?;
    let faults: Vec<String> =
        emails.iter().map(|(email, tenant)| format!("email {email} of organisation {tenant}")).collect();
    Ok(judged(format!("{} of {looked_at} emails went out after a stop", faults.len()), &faults, &[]))
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{SendingAccountId, TenantId};
    use mainstay_store::AuditedMailbox;
    use uuid::Uuid;

    use super::*;
    use crate::ops::audit::check::Verdict::{Fail, Pass, Warn};

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn account(state: AccountState, reason: Option<&str>) -> AuditedAccount {
        AuditedAccount {
            id: SendingAccountId(Uuid::nil()),
            tenant: TenantId(Uuid::nil()),
            address: "ada@example.com".to_owned(),
            state,
            reason: reason.map(str::to_owned),
            updated_at: NOW,
            in_use: true,
            mailbox: None,
        }
    }

    #[test]
    fn an_account_that_rests_is_told_with_its_reason() {
        let of = |account| judge_accounts(&[account]);
        assert_eq!(of(account(AccountState::Active, None)).verdict, Pass);
        assert_eq!(of(account(AccountState::Paused, Some(BY_SOMEBODY))).verdict, Warn);
        let rests = of(account(AccountState::Paused, Some("5 of its last 60 emails came back")));
        assert!(rests.verdict == Fail && rests.evidence.contains("5 of its last 60"), "{rests:?}");
        let out = of(account(AccountState::Reconnect, Some("535")));
        assert!(out.verdict == Fail && out.evidence.contains("535"), "{out:?}");
        assert_eq!(of(AuditedAccount { in_use: false, ..account(AccountState::Reconnect, None) }).verdict, Pass);
    }

    #[test]
    fn a_mailbox_that_nobody_reads_is_a_failure_and_a_missing_one_a_warning() {
        let late = Duration::from_secs(1_500);
        let of = |account| judge_mailboxes(&[account], (NOW, late)).verdict;
        let with = |state, seconds| AuditedAccount {
            mailbox: Some(AuditedMailbox { state, reason: None, since: NOW.minus(Duration::from_secs(seconds)) }),
            ..account(AccountState::Active, None)
        };
        assert_eq!(of(account(AccountState::Active, None)), Warn);
        assert_eq!(of(AuditedAccount { in_use: false, ..account(AccountState::Active, None) }), Pass);
        assert_eq!((of(with(AccountState::Active, 1_500)), of(with(AccountState::Active, 1_501))), (Pass, Fail));
        assert_eq!(of(with(AccountState::Reconnect, 0)), Fail);
    }

    #[test]
    fn what_nobody_decides_about_becomes_a_failure() {
        let of = |days_: u64| {
            let unknown = vec![(TenantId(Uuid::nil()), 2, NOW.minus(days(days_)))];
            judge_unknown(&LeftEmails { unknown, ..LeftEmails::default() }, NOW)
        };
        assert_eq!(judge_unknown(&LeftEmails::default(), NOW).verdict, Pass);
        assert_eq!((of(7).verdict, of(8).verdict), (Warn, Fail));
        assert!(of(8).measured.starts_with("2 emails are unknown"));
    }
}
