//! Messages by their Message-ID, and the folder for sent mail.

use super::*;

#[tokio::test]
async fn a_message_is_found_by_its_whole_id() {
    let server = start();
    for id in ["1@x", "11@x", "1@x.example", "2@x", "2@x"] {
        server.append("INBOX", &message(id));
    }
    let mut session = inbox(&server, &patient()).await;
    for (id, uid) in [("1@x", Some(1)), ("<11@x>", Some(2)), ("2@x", Some(5)), ("@x", None), ("3@x", None)] {
        assert_eq!(session.find_message_id(id).await.unwrap(), uid, "{id}");
    }
    assert_eq!((server.read("INBOX"), server.seen("INBOX")), (Vec::new(), Vec::new()), "only headers are looked at");
    for bad in ["", "<>", "a b@x", "a\r\nA9 LOGOUT", "é@x", "\u{7f}"] {
        let failed = session.find_message_id(bad).await.unwrap_err();
        assert!(matches!(failed.cause, Cause::Unsuitable(_)), "{bad}: {failed}");
    }
    assert!(!session.is_spent());
}

#[tokio::test]
async fn an_id_with_quotes_stays_one_argument() {
    let server = start();
    server.append("INBOX", &message("\"a\\\"@x"));
    let mut session = inbox(&server, &patient()).await;
    assert_eq!(session.find_message_id("\"a\\\"@x").await.unwrap(), Some(1));
}

#[tokio::test]
async fn what_a_search_finds_too_much_is_not_taken() {
    let server = start();
    server.append("INBOX", &message("1@x"));
    server.append("INBOX", &message("2@x"));
    let mut session = inbox(&server, &patient()).await;
    // The server answers with everything, and with a message that is not there.
    server.fault(ImapFault::always(ImapStage::Search, ImapAct::Before(b"* SEARCH 1 2 9\r\n".to_vec())));
    assert_eq!(session.find_message_id("1@x").await.unwrap(), Some(1));
    assert_eq!(session.find_message_id("3@x").await.unwrap(), None);
    let refusal = ImapAct::Answer("NO [UNAVAILABLE] the index is away".to_owned());
    server.heal();
    server.fault(ImapFault::once(ImapStage::Search, refusal));
    let failed = session.find_message_id("1@x").await.unwrap_err();
    assert!(failed.stage == Stage::Search && matches!(failed.cause, Cause::Answer(_)) && !session.is_spent());
}

#[tokio::test]
async fn the_folder_for_sent_mail_is_found() {
    let server = start();
    let mut session = sign_in(&server, &plain(), &patient()).await.unwrap();
    assert_eq!(session.sent_folder().await.unwrap(), None);
    server.add_folder("Gesendete Objekte", "\\HasNoChildren");
    server.add_folder("Archive/Sent", "");
    server.add_folder("Sent", "\\Noselect");
    assert_eq!(session.sent_folder().await.unwrap().as_deref(), Some("Archive/Sent"));
    server.add_folder("&AMk-l&AOk-ments envoy&AOk-s", "\\HasNoChildren \\sEnT");
    let name = session.sent_folder().await.unwrap().unwrap();
    assert_eq!(name, "Éléments envoyés");
    server.append("&AMk-l&AOk-ments envoy&AOk-s", &message("1@x"));
    session.open(&name).await.unwrap();
    assert_eq!(session.find_message_id("1@x").await.unwrap(), Some(1));
    // A server that names what it cannot do is asked in the old way.
    server.fault(ImapFault::once(ImapStage::List, ImapAct::Answer("BAD what?".to_owned())));
    assert_eq!(session.sent_folder().await.unwrap().as_deref(), Some("Éléments envoyés"));
    server.fault(ImapFault::always(ImapStage::List, ImapAct::Answer("NO not today".to_owned())));
    assert_eq!(session.sent_folder().await.unwrap_err().to_string(), "folder failed: NO not today");
    assert!(!session.is_spent());
}
