//! People who use the installation while it is deployed to, through the client as programs do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mainstay_client::{Client, Listing, SendMessage};
use mainstay_domain::{MessageStatus, Secret};
use mainstay_server::outside::SystemEntropy;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long each may take for one more round.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Load {
    stop: Arc<AtomicBool>,
    rounds: Vec<watch::Receiver<usize>>,
    answered: Arc<AtomicUsize>,
    people: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Each of them says something, reads the reply and the list, again and again.
    #[expect(clippy::disallowed_methods, reason = "a test has no lifecycle; what it starts ends with it")]
    pub(super) fn start(address: &str, tokens: &[String]) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (mut rounds, mut people) = (Vec::new(), Vec::new());
        for token in tokens {
            let client = Client::builder(address, Arc::new(SystemEntropy)).token(Secret::new(token.clone()));
            let client = client.build().expect("a client");
            let (told, round) = watch::channel(0);
            rounds.push(round);
            people.push(tokio::spawn(use_it(client, told, Arc::clone(&stop), Arc::clone(&answered))));
        }
        Self { stop, rounds, answered, people }
    }

    /// Waits until each has done two more rounds: one of them has begun since now.
    pub(super) async fn each_goes_on(&self) {
        for round in &self.rounds {
            let mut round = round.clone();
            let wanted = *round.borrow() + 2;
            timeout(PATIENCE, round.wait_for(|round| *round >= wanted)).await.expect("it goes on").expect("it lives");
        }
    }

    /// How many requests were answered, and why others were not.
    pub(super) async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let mut failed = Vec::new();
        for person in self.people {
            failed.extend(person.await.expect("it ends"));
        }
        (self.answered.load(Ordering::SeqCst), failed)
    }
}

async fn use_it(
    client: Client,
    told: watch::Sender<usize>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut failed = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        match client.send(&SendMessage::new("Hello")).await {
            Ok(sent) if sent.reply.status == MessageStatus::Final => {}
            Ok(sent) => failed.push(format!("a reply is {}: {:?}", sent.reply.status, sent.reply.error)),
            Err(error) => failed.push(format!("a message: {error}")),
        }
        if let Err(error) = client.conversations(&Listing { limit: Some(5), ..Listing::default() }).await {
            failed.push(format!("a list: {error}"));
        }
        answered.fetch_add(2, Ordering::SeqCst);
        told.send_modify(|round| *round += 1);
    }
    failed
}
