//! Reading what is to be delivered: what is wanted at the same moment is read by one transaction.

use std::time::Duration;

use mainstay_store::{Call, DeliveryAt, DeliveryDue, Error, ReadDeliveries};
use tokio::sync::{mpsc, oneshot};

use super::Deliveries;

/// The most that are read at once. Each may have 256 KiB.
const TOGETHER: usize = 100;
/// How long reading may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A delivery that is wanted.
pub(super) struct Wanted {
    place: DeliveryAt,
    answer: oneshot::Sender<Result<Option<DeliveryDue>, Error>>,
}

impl Deliveries {
    /// Reads one delivery, together with whatever else is wanted now.
    pub(super) async fn read(&self, place: DeliveryAt) -> Result<Option<DeliveryDue>, Error> {
        let (answer, answered) = oneshot::channel();
        let stops = || Error::Unavailable("the server stops".to_owned());
        self.wanted.send(Wanted { place, answer }).await.map_err(|_| stops())?;
        answered.await.map_err(|_| stops())?
    }

    /// Reads what is wanted until the end.
    pub(super) async fn read_all(&self, mut wanted: mpsc::Receiver<Wanted>) {
        let mut batch = Vec::with_capacity(TOGETHER);
        while wanted.recv_many(&mut batch, TOGETHER).await > 0 {
            let places = batch.iter().map(|wanted: &Wanted| wanted.place).collect();
            let read = self.store.run_for_jobs(&Call::within(PATIENCE), ReadDeliveries(places)).await;
            // Whoever wanted it may be gone.
            match read {
                Ok(found) => {
                    for (wanted, due) in batch.drain(..).zip(found) {
                        let _ = wanted.answer.send(Ok(due));
                    }
                }
                Err(error) => {
                    for wanted in batch.drain(..) {
                        let _ = wanted.answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }
}
