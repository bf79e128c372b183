//! Mail as it would go out, its links as they are answered, and what the DNS says of whoever sends it.

use std::time::Duration;

use axum::http::StatusCode;
use mainstay_domain::LeadState;
use mainstay_mail::domain_check::Severity;
use mainstay_store::{AuditAccounts, AuditCampaigns, EmailsOf, GetEmail, GetLead, ListEmails};
use tokio::time::timeout;

use super::refusals::{Refusals, put_off};
use super::{Looked, checks, some};
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::{Subject, Told};
use crate::outreach::auditing::{MailFaults, SenderFinding, TrialLinks, forged};

checks! { Outreach:
    "outreach.links" Critical Passive Laptop links,
    "Links of emails are answered, only as they were made, and opening the one to leave changes nothing.",
    "200 to a link to leave, as a page with a content security policy without unsafe-inline; the image and a link of an email lead where they should; 404 to each with another signature; the newest email and its lead are as before after their link was opened",
    "Look at what stands in front of the server: it answers in the place of /u and /t, or changes what they say. Where nothing is in front, compare the server with a release that you trust.";
    "outreach.mail" High Passive Server mail,
    "Mail follows the standards.",
    "each text of the newest 5 running campaigns, written with the settings of its campaign and account, has no fault that the linter finds, both headers for one click (RFC 8058), and a signature where the account has a key; a sample where no campaign runs",
    "Set http.public_url to the https address of the server. Where a text or an account is named, mend that.";
    "outreach.domains" Medium Passive Server domains,
    "The DNS says that accounts may send.",
    "SPF, DKIM and DMARC of the domains of 20 accounts of running campaigns say so; what would be refused is a failure, what harms a warning",
    "Publish the records that are named.";
}

/// How many running campaigns are written out, among how many.
const CAMPAIGNS: usize = 5;
const AMONG: u32 = 500;
/// How many senders are asked about, among how many accounts, and for how long.
const SENDERS: usize = 20;
const ACCOUNTS: u32 = 1_000;
const ASKING: Duration = Duration::from_secs(6);

async fn links(subject: &Subject) -> Looked {
    let TrialLinks { leaving, image, click: (click, leads_to) } = subject.app.outreach.trial_links();
    let mut faults = Vec::new();
    let shown = subject.live.get(&leaving).await?;
    faults.extend(faults_of_page(&shown));
    let pixel = subject.live.get(&image).await?;
    if pixel.status != StatusCode::OK || !pixel.header("content-type").starts_with("image/gif") {
        faults.push(format!("the image of an email: {}", pixel.status.as_u16()));
    }
    let led = subject.live.get(&click).await?;
    if led.status != StatusCode::FOUND || led.header("location") != leads_to {
        faults.push(format!("a link of an email: {} to '{}'", led.status.as_u16(), led.header("location")));
    }
    if [&shown, &pixel, &led].iter().any(|told| told.status == StatusCode::TOO_MANY_REQUESTS) {
        return Err(put_off(1, 3));
    }
    let mut refusals = Refusals::default();
    for (what, path) in [("a forged link to leave", &leaving), ("a forged image", &image), ("a forged link", &click)] {
        let told = subject.live.get(&forged(path)).await?;
        refusals.note(what, told.status, &[StatusCode::NOT_FOUND]);
    }
    faults.extend(refusals.taken);
    faults.extend(changed_by_opening(subject).await?);
    Ok(Seen::told(
        faults.is_empty(),
        format!("{} faults of three links, three forged ones, and the newest email", faults.len()),
    )
    .by(some(&faults)))
}

/// What is wrong with the page by which somebody leaves.
fn faults_of_page(told: &Told) -> Vec<String> {
    let mut faults = Vec::new();
    if told.status != StatusCode::OK || !told.header("content-type").starts_with("text/html") {
        faults.push(format!("the page to leave: {}", told.status.as_u16()));
    }
    let policy = told.header("content-security-policy");
    if !policy.contains("script-src") || policy.contains("unsafe-inline") {
        faults.push(format!("the page to leave has the policy '{policy}'"));
    }
    faults
}

/// Opens the link of the newest email that nobody has left by, and says what that has changed.
async fn changed_by_opening(subject: &Subject) -> Result<Option<String>, Seen> {
    let store = &subject.app.store;
    for campaign in store.run(&subject.call(), AuditCampaigns { limit: 20 }).await? {
        let tenant = campaign.tenant;
        let list = ListEmails { tenant, of: EmailsOf::Campaign(campaign.id), before: None, limit: 20 };
        let newest = store.run(&subject.call(), list).await?;
        let Some(email) = newest.into_iter().find(|one| one.accepted_at.is_some() && one.unsubscribed_at.is_none())
        else {
            continue;
        };
        let Some(before) = store.run(&subject.call(), GetLead { tenant, id: email.lead }).await? else { continue };
        let told = subject.live.get(&subject.app.outreach.leaving_path(tenant, email.id)).await?;
        if told.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(put_off(1, 1));
        }
        let after = store.run(&subject.call(), GetEmail { tenant, id: email.id }).await?;
        let lead = store.run(&subject.call(), GetLead { tenant, id: email.lead }).await?;
        let has_left = |state: LeadState| state == LeadState::Unsubscribed;
        let left = after.is_none_or(|after| after.unsubscribed_at.is_some())
            || lead.is_none_or(|lead| has_left(lead.state) && !has_left(before.state));
        if told.status != StatusCode::OK {
            return Ok(Some(format!("the link of email {} of {tenant}: {}", email.id, told.status.as_u16())));
        }
        return Ok(left.then(|| format!("opening the link of email {} of {tenant} has ended its mail", email.id)));
    }
    Ok(None)
}

async fn mail(subject: &Subject) -> Looked {
    let outreach = &subject.app.outreach;
    let newest = subject.app.store.run(&subject.call(), AuditCampaigns { limit: AMONG }).await?;
    let (mut all, mut looked_at) = (MailFaults::default(), 0);
    for campaign in newest.iter().filter(|campaign| campaign.is_running).take(CAMPAIGNS) {
        let of = outreach.mail_of(&subject.call(), campaign.tenant, campaign.id).await;
        let of = of.map_err(|error| Seen::unknown(format!("the database did not tell: {}", error.detail)))?;
        looked_at += 1;
        all.written += of.written;
        all.faults.extend(of.faults);
    }
    if looked_at == 0 {
        all = outreach.sample_mail();
    }
    let measured =
        format!("{} emails of {looked_at} running campaigns written, {} faults", all.written, all.faults.len());
    Ok(Seen::told(all.faults.is_empty() && all.written > 0, measured).by(some(&all.faults)))
}

async fn domains(subject: &Subject) -> Looked {
    let accounts = subject.app.store.run(&subject.call(), AuditAccounts { limit: ACCOUNTS }).await?;
    let in_use: Vec<_> = accounts.iter().filter(|one| one.in_use).map(|one| (one.tenant, one.id)).collect();
    let asked: Vec<_> = in_use.iter().take(SENDERS).copied().collect();
    let call = subject.call();
    let findings = timeout(ASKING, subject.app.outreach.sender_findings(&call, &asked)).await;
    let findings = findings.map_err(|_| Seen::unknown("the name servers did not answer in time"))?;
    let findings = findings.map_err(|error| Seen::unknown(format!("the database did not tell: {}", error.detail)))?;
    Ok(judge_domains(&findings, (asked.len(), in_use.len())))
}

fn judge_domains(findings: &[SenderFinding], (asked, all): (usize, usize)) -> Seen {
    let of = |severity: Severity| {
        let those = findings.iter().filter(|one| one.severity == severity && one.code != "dns_unanswered");
        those.map(|one| one.detail.clone()).collect::<Vec<_>>()
    };
    let (blocks, warns) = (of(Severity::Blocks), of(Severity::Warns));
    let unanswered = findings.iter().filter(|one| one.code == "dns_unanswered").count();
    let measured = format!(
        "{asked} of {all} accounts in use asked about: {} faults, {} doubts, {unanswered} not answered",
        blocks.len(),
        warns.len()
    );
    if !blocks.is_empty() {
        return Seen::fail(measured).by(some(&blocks));
    }
    if unanswered > 0 {
        return Seen::unknown(measured);
    }
    if warns.is_empty() { Seen::pass(measured) } else { Seen::warn(measured).by(some(&warns)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::audit::check::Verdict::{Fail, Pass, Unknown, Warn};

    #[test]
    fn what_would_be_refused_is_a_failure_and_silence_is_not_known() {
        let finding = |code, severity| SenderFinding { code, severity, detail: format!("{code}: publish it") };
        let of = |findings: &[SenderFinding]| judge_domains(findings, (1, 1));
        assert_eq!(of(&[]).verdict, Pass);
        assert_eq!(of(&[finding("mx", Severity::Informs)]).verdict, Pass);
        assert_eq!(of(&[finding("dmarc_missing", Severity::Warns)]).verdict, Warn);
        assert_eq!(of(&[finding("dns_unanswered", Severity::Warns)]).verdict, Unknown);
        let refused = of(&[finding("spf_missing", Severity::Blocks), finding("dns_unanswered", Severity::Warns)]);
        assert!(refused.verdict == Fail && refused.evidence.contains("publish it"), "{refused:?}");
    }
}
