//! What is said to people and by them is kept as was promised: text messages and calls.

use std::time::Duration;

use mainstay_domain::{JobState, TextState, Timestamp};
use mainstay_store::{FindTextFaults, NEWEST_CALLS, OverdueText, ReadNewestCalls, SaidInCall, TextFaults};

use super::{Looked, checks, some};
use crate::calls::is_masked;
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::Subject;

checks! { Data:
    "data.texts" High Passive Laptop texts,
    "Each text message goes out once, in time, and to nobody who wants none.",
    "no message is due for 15 minutes that nobody is about to send, and none for a day; of the newest 2,000 none is a second one for its reason, and none went out after a stop; the schema refuses a second one",
    "Look at the jobs of the queue texts (`mainstay jobs queues`), at what the provider says (/health/providers), and at GET /v1/text-messages of the organisations that are named. Where the guard is missing somebody has changed the schema by hand: restore the constraint text_message_once.";
    "data.call_masking" High Passive Laptop call_masking,
    "What an organisation wants masked in its calls is masked.",
    "no summary and no transcript of the newest 200 calls has a card number or anything else that is to be masked",
    "Look at the calls that are named, and delete them where they are not needed. Something else than the server has written them, or it is another release.";
}

/// For how long a message may be due until somebody asks why.
const DUE: Duration = Duration::from_secs(15 * 60);
/// For how long at most, whatever the reason: nights are quiet, and the provider may be away.
const OVERDUE: Duration = Duration::from_secs(86_400);
/// Who says stop while a message goes out gets that one.
const UNDER_WAY: Duration = Duration::from_secs(60);

async fn texts(subject: &Subject) -> Looked {
    let now = subject.app.clock.now();
    let find = FindTextFaults { due_before: now.minus(DUE), now };
    Ok(judge_texts(&subject.app.store.run(&subject.call(), find).await?, now))
}

/// Whether nobody is about to send it: its job is gone or has ended, or should have run by now.
fn is_forgotten(text: &OverdueText, now: Timestamp) -> bool {
    text.job.is_none_or(|(state, run_at)| state.is_end() || (state != JobState::Running && now.since(run_at) > DUE))
}

fn judge_texts(found: &TextFaults, now: Timestamp) -> Seen {
    let oldest = found.overdue.first().map_or(Duration::ZERO, |text| now.since(text.due_at));
    let forgotten = |text: &OverdueText| is_forgotten(text, now) || now.since(text.due_at) > OVERDUE;
    let late = found.overdue.iter().filter(|text| forgotten(text));
    let mut faults: Vec<String> = Vec::new();
    if !found.is_guarded {
        faults.push("the guard of the schema is missing".to_owned());
    }
    faults.extend(found.twice.iter().map(|(id, tenant)| format!("two for a reason of appointment {id} of {tenant}")));
    let stopped = found.after_stop.iter().filter(|(_, _, sent, said)| sent.since(*said) > UNDER_WAY);
    faults.extend(stopped.map(|(id, tenant, ..)| format!("message {id} of {tenant} went out after a stop")));
    faults.extend(
        late.map(|text| format!("message {} of {} is {} and left lying", text.id, text.tenant, text.state.as_str())),
    );
    let unknown = found.overdue.iter().filter(|text| text.state == TextState::Unknown).count();
    let measured = format!(
        "{} overdue, the oldest for {} s; of {unknown} nobody knows whether the provider has them; {} of the newest looked through, {} faults",
        found.overdue.len(),
        oldest.as_secs(),
        found.looked_at,
        faults.len()
    );
    if faults.is_empty() && !found.overdue.is_empty() {
        let waiting = found
            .overdue
            .iter()
            .map(|text| format!("message {} of {} is {}", text.id, text.tenant, text.state.as_str()));
        return Seen::warn(measured).by(some(&waiting.collect::<Vec<_>>()));
    }
    Seen::told(faults.is_empty(), measured).by(some(&faults))
}

/// How many steps one audit takes.
const STEPS: usize = 10;

async fn call_masking(subject: &Subject) -> Looked {
    let (mut looked_at, mut open, mut before, mut last) = (0, Vec::new(), 0, None);
    for _ in 0..STEPS {
        let calls = subject.app.store.run(&subject.call(), ReadNewestCalls { before: last }).await?;
        looked_at += calls.len();
        for call in calls.iter().filter(|call| !is_masked(call)) {
            if is_from_before(call) {
                before += 1;
            } else {
                open.push(format!("call {} of organisation {}", call.id, call.tenant));
            }
        }
        last = calls.last().map(|call| call.id);
        if calls.len() < NEWEST_CALLS {
            break;
        }
    }
    Ok(judge_masking(looked_at, &open, before))
}

/// Whether it was kept before the organisation last said what is to be masked: then that may not have been wanted yet.
fn is_from_before(call: &SaidInCall) -> bool {
    call.reported_at.zip(call.mask.1).is_some_and(|(reported, told)| reported < told)
}

fn judge_masking(looked_at: usize, open: &[String], before: usize) -> Seen {
    let measured = format!(
        "{} of {looked_at} calls are not masked; {before} more are from before the organisation last said what is to be masked",
        open.len()
    );
    if open.is_empty() && before > 0 {
        return Seen::warn(measured);
    }
    Seen::told(open.is_empty(), measured).by(some(open))
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{TenantId, TextMessageId};
    use uuid::Uuid;

    use super::*;
    use crate::ops::audit::check::Verdict::{Fail, Pass, Warn};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn ago(minutes: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(60 * minutes))
    }

    fn overdue(minutes: u64, job: Option<(JobState, Timestamp)>) -> TextFaults {
        let (id, tenant) = (TextMessageId(Uuid::nil()), TenantId(Uuid::nil()));
        let text = OverdueText { id, tenant, state: TextState::Unknown, due_at: ago(minutes), job };
        TextFaults { overdue: vec![text], looked_at: 1, is_guarded: true, ..TextFaults::default() }
    }

    #[test]
    fn what_waits_for_a_reason_is_told_and_what_lies_about_fails() {
        let judge = |found: &TextFaults| judge_texts(found, NOW).verdict;
        assert_eq!(judge(&TextFaults { is_guarded: true, ..TextFaults::default() }), Pass);
        assert_eq!(judge(&TextFaults::default()), Fail, "the schema would take a second one");
        for alive in [(JobState::Running, ago(20)), (JobState::Ready, ago(14)), (JobState::Scheduled, NOW)] {
            assert_eq!(judge(&overdue(30, Some(alive))), Warn, "{alive:?}");
        }
        for gone in [None, Some((JobState::Dead, NOW)), Some((JobState::Done, NOW)), Some((JobState::Ready, ago(16)))] {
            assert_eq!(judge(&overdue(30, gone)), Fail, "{gone:?}");
        }
        assert_eq!(judge(&overdue(24 * 60 + 1, Some((JobState::Scheduled, NOW)))), Fail);
        let seen = judge_texts(&overdue(30, Some((JobState::Scheduled, NOW))), NOW);
        assert!(seen.measured.contains("1 overdue, the oldest for 1800 s; of 1 nobody knows"), "{}", seen.measured);
    }

    #[test]
    fn a_second_message_and_one_after_a_stop_are_failures() {
        let tenant = TenantId(Uuid::nil());
        let good = TextFaults { is_guarded: true, ..TextFaults::default() };
        let twice = TextFaults { twice: vec![(Uuid::nil(), tenant)], ..good.clone() };
        assert_eq!(judge_texts(&twice, NOW).verdict, Fail);
        let after = |seconds: u64| TextFaults {
            after_stop: vec![(TextMessageId(Uuid::nil()), tenant, ago(0), NOW.minus(Duration::from_secs(seconds)))],
            ..good.clone()
        };
        assert_eq!((judge_texts(&after(60), NOW).verdict, judge_texts(&after(61), NOW).verdict), (Pass, Fail));
    }

    #[test]
    fn a_call_from_before_the_wish_is_told_and_no_failure() {
        let one = ["call 1".to_owned()];
        assert_eq!((judge_masking(5, &[], 0).verdict, judge_masking(5, &[], 1).verdict), (Pass, Warn));
        assert_eq!(judge_masking(5, &one, 0).verdict, Fail);
    }
}
