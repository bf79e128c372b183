//! What goes wrong at each stage: a clear no leaves the session good, any doubt spends it.

use super::*;

/// What a stage of the client is, and how a test gets there.
async fn reach(server: &ImapServer, at: ImapStage, timeouts: &Timeouts) -> (Result<(), Failed>, Option<Session>) {
    let mut session = match sign_in(server, &plain(), timeouts).await {
        Ok(session) => session,
        Err(failed) => return (Err(failed), None),
    };
    let done = match at {
        ImapStage::List => session.sent_folder().await.map(|_| ()),
        _ => match session.open("INBOX").await {
            Ok(_) => session.newer(0, 50).await.map(|_| ()),
            Err(failed) => Err(failed),
        },
    };
    (done, Some(session))
}

const STAGES: [(ImapStage, Stage); 7] = [
    (ImapStage::Greeting, Stage::Greeting),
    (ImapStage::Capability, Stage::Capability),
    (ImapStage::SignIn, Stage::SignIn),
    (ImapStage::Open, Stage::Folder),
    (ImapStage::List, Stage::Folder),
    (ImapStage::Search, Stage::Search),
    (ImapStage::Fetch, Stage::Fetch),
];

/// Little time for one stage, and enough for the others.
fn short(stage: Stage) -> Timeouts {
    let mut timeouts = patient();
    *match stage {
        Stage::Greeting => &mut timeouts.greeting,
        Stage::Capability => &mut timeouts.capability,
        Stage::StartTls => &mut timeouts.start_tls,
        Stage::SignIn => &mut timeouts.sign_in,
        Stage::Folder => &mut timeouts.folder,
        Stage::Search => &mut timeouts.search,
        Stage::Fetch => &mut timeouts.fetch,
    } = SHORT;
    timeouts
}

/// Lets every stage fail in a way, and checks that the failure says so and that the session is spent.
async fn every_stage(act: ImapAct, timeouts: fn(Stage) -> Timeouts, expected: Expected) {
    for (at, stage) in STAGES {
        let server = start();
        // Two, so that half of the answer to the search is no whole response.
        server.append("INBOX", &message("1@x"));
        server.append("INBOX", &message("2@x"));
        server.fault(ImapFault::once(at, act.clone()));
        let (done, session) = reach(&server, at, &timeouts(stage)).await;
        let failed = done.unwrap_err();
        assert_eq!(failed.stage, stage, "{act:?}: {failed}");
        assert!(expected(&failed.cause) && !failed.needs_a_person(), "{at:?} {act:?}: {failed:?}");
        if let Some(mut session) = session {
            assert!(session.is_spent());
            assert_eq!(session.open("INBOX").await.unwrap_err().cause, Cause::Spent);
            session.sign_out().await;
            assert_eq!(server.reached(ImapStage::SignOut), 0);
        }
    }
}

#[tokio::test]
async fn a_line_that_ends_is_a_cut() {
    every_stage(ImapAct::Cut, |_| patient(), |cause| *cause == Cause::Cut).await;
    every_stage(ImapAct::CutHalfway, |_| patient(), |cause| *cause == Cause::Cut).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_left() {
    every_stage(ImapAct::Hang, short, |cause| *cause == Cause::TimedOut).await;
    // Within a response only the time between two pieces is short.
    let timeouts = |_| Timeouts { idle: 3 * SHORT, ..patient() };
    every_stage(ImapAct::HangHalfway, timeouts, |cause| *cause == Cause::TimedOut).await;
}

#[tokio::test]
async fn a_server_that_is_slow_byte_by_byte_is_left() {
    every_stage(ImapAct::Drip(SHORT / 3), short, |cause| *cause == Cause::TimedOut).await;
}

#[tokio::test]
async fn a_farewell_is_told_apart_from_a_cut() {
    every_stage(
        ImapAct::Bye("[UNAVAILABLE] maintenance".to_owned()),
        |_| patient(),
        |cause| *cause == Cause::Bye("maintenance".to_owned()),
    )
    .await;
}

#[tokio::test]
async fn nonsense_is_said_to_be_nonsense() {
    for text in ["what?\r\n", "A999 OK not asked\r\n", "* 1 FETCH (\r\n", "\r\n", "* PREAUTH again\r\n+ go on\r\n"] {
        // In the greeting the last is a greeting.
        let greeting = text.starts_with("* PREAUTH");
        let expected: Expected = |cause| matches!(cause, Cause::Garbage(_));
        for (at, stage) in STAGES.into_iter().skip(usize::from(greeting)) {
            let server = start();
            server.append("INBOX", &message("1@x"));
            server.fault(ImapFault::once(at, ImapAct::Raw(text.as_bytes().to_vec())));
            let failed = reach(&server, at, &patient()).await.0.unwrap_err();
            assert!(failed.stage == stage && expected(&failed.cause), "{at:?} {text:?}: {failed:?}");
        }
    }
}

#[tokio::test]
async fn what_has_no_end_is_ended() {
    let patient = patient();
    for flood in ["* OK [ALERT] still here\r\n", "* 3 EXISTS\r\n", "* LIST () NIL x\r\n", "* 1 FETCH (FLAGS ())\r\n"] {
        let server = start();
        let mut session = inbox(&server, &patient).await;
        server.fault(ImapFault::once(ImapStage::Search, ImapAct::Flood(flood.as_bytes().to_vec())));
        let failed = session.newer(0, 50).await.unwrap_err();
        assert_eq!(failed.cause, Cause::Garbage("responses without end"));
    }
    for flood in ["x".repeat(1_000), "* SEARCH 1".to_owned() + &" 2".repeat(500), "(".repeat(1_000)] {
        let server = start();
        let mut session = inbox(&server, &patient).await;
        server.fault(ImapFault::once(ImapStage::Search, ImapAct::Flood(flood.into_bytes())));
        let failed = session.newer(0, 50).await.unwrap_err();
        assert_eq!(failed.cause, Cause::TooLarge { most: 4 * 1024 * 1024 });
    }
}

#[tokio::test]
async fn a_literal_of_gigabytes_is_refused_when_it_is_announced() {
    for length in ["4294967296", "99999999999999999999999", "67108865"] {
        let server = start();
        server.append("INBOX", &message("1@x"));
        let mut session = inbox(&server, &patient()).await;
        let raw = format!("* 1 FETCH (UID 1 BODY[]<0> {{{length}}}\r\nxx");
        server.fault(ImapFault::once(ImapStage::Fetch, ImapAct::Raw(raw.into_bytes())));
        let failed = session.newer(0, 50).await.unwrap_err();
        assert_eq!((failed.stage, failed.cause), (Stage::Fetch, Cause::TooLarge { most: 64 * 1024 * 1024 }));
        assert!(session.is_spent());
    }
}

#[tokio::test]
async fn a_clear_no_leaves_the_session_good() {
    let server = start();
    server.append("INBOX", &message("1@x"));
    let mut session = inbox(&server, &patient()).await;
    for (at, stage) in [(ImapStage::Search, Stage::Search), (ImapStage::Fetch, Stage::Fetch)] {
        for answer in ["NO [UNAVAILABLE] later", "BAD what?"] {
            server.fault(ImapFault::once(at, ImapAct::Answer(answer.to_owned())));
            let failed = session.newer(0, 50).await.unwrap_err();
            assert_eq!(failed.to_string(), format!("{} failed: {answer}", stage.as_str()));
            assert!(!session.is_spent());
        }
    }
    assert_eq!(uids(&session.newer(0, 50).await.unwrap()), [1]);
}

#[tokio::test]
async fn one_message_that_is_refused_holds_up_no_other() {
    let server = start();
    for id in ["1@x", "2@x"] {
        server.append("INBOX", &message(id));
    }
    let mut session = inbox(&server, &patient()).await;
    let refusal = "NO The requested message could not be converted to an RFC-822 compatible format.";
    server.fault(ImapFault::once(ImapStage::Fetch, ImapAct::Answer(refusal.to_owned())));
    let letters = session.newer(0, 50).await.unwrap();
    assert_eq!(uids(&letters), [1, 2]);
    assert_eq!(letters[0].refused.as_ref().map(ToString::to_string).as_deref(), Some(refusal));
    assert!(letters[0].raw.is_empty() && letters[1].raw == message("2@x"));
}

#[tokio::test]
async fn a_message_that_is_gone_is_left_out() {
    let server = start();
    for id in ["1@x", "2@x", "3@x"] {
        server.append("INBOX", &message(id));
    }
    let mut session = inbox(&server, &patient()).await;
    server.expunge("INBOX", 2);
    // The search still finds it, and one server says that it is gone.
    server.fault(ImapFault::always(ImapStage::Search, ImapAct::Before(b"* SEARCH 2\r\n* 2 EXPUNGE\r\n".to_vec())));
    assert_eq!(uids(&session.newer(0, 50).await.unwrap()), [1, 3]);
    server.fault(ImapFault::once(ImapStage::Fetch, ImapAct::Answer("NO [EXPUNGEISSUED] gone".to_owned())));
    assert_eq!(uids(&session.newer(0, 50).await.unwrap()), [3]);
    // All that the first search finds is gone: it goes on to what comes after.
    assert_eq!(uids(&session.newer(1, 1).await.unwrap()), [3]);
}

#[tokio::test]
async fn what_nobody_asked_for_changes_nothing() {
    let server = start();
    server.append("INBOX", &message("1@x"));
    let mut session = inbox(&server, &patient()).await;
    let unasked = "* 7 EXISTS\r\n* 7 RECENT\r\n* OK [ALERT] the disk is full {5}\r\n* 1 FETCH (FLAGS (\\Deleted))\r\n\
        * 2 FETCH (UID 2 FLAGS ())\r\n* 3 FETCH (UID 3 BODY[] \"not this\")\r\n* X-NEW thing (a b)\r\n* NO a warning\r\n\
        * FLAGS (\\Seen)\r\n* STATUS {3}\r\na\r\n (MESSAGES 1)\r\n* CAPABILITY IMAP4rev1\r\n";
    for at in [ImapStage::Search, ImapStage::Fetch] {
        server.fault(ImapFault::always(at, ImapAct::Before(unasked.as_bytes().to_vec())));
    }
    let letters = session.newer(0, 50).await.unwrap();
    assert_eq!((uids(&letters), letters[0].raw.clone()), (vec![1], message("1@x")));
    assert_eq!(session.newer(1, 50).await.unwrap(), []);
}

#[tokio::test]
async fn a_future_that_is_dropped_spends_the_session() {
    let server = start();
    let mut session = inbox(&server, &patient()).await;
    server.fault(ImapFault::once(ImapStage::Search, ImapAct::Hang));
    tokio::select! {
        done = session.newer(0, 50) => panic!("{done:?}"),
        reached = server.wait_for_stage(ImapStage::Search, 1, PATIENCE) => assert!(reached),
    }
    assert!(session.is_spent());
    assert_eq!(session.newer(0, 50).await.unwrap_err().cause, Cause::Spent);
}
