//! A server that nobody has recorded, or that is not what was recorded last.

use mainstay_domain::{DeploymentKind, DeploymentOutcome};
use mainstay_server::ops::build::digest_of_this_program;
use mainstay_store::{Deployment, RecordDeployment};

use super::{Colours, call, see};
use crate::support::TestApp;

const CHECK: &str = "delivery.deployed";

/// Records builds that run and such that do not.
pub(super) async fn forget(server: &TestApp, address: &str, colours: &mut Colours) {
    colours.red(&see(server, address, CHECK).await);
    let ours = digest_of_this_program().expect("a digest");
    record(server, "production", &"0".repeat(64), DeploymentOutcome::Succeeded).await;
    colours.red(&see(server, address, CHECK).await);
    record(server, "production", &ours, DeploymentOutcome::RolledBack).await;
    colours.red(&see(server, address, CHECK).await);
    record(server, "production", &ours, DeploymentOutcome::Succeeded).await;
    colours.green(&see(server, address, CHECK).await);
    record(server, "staging", &"1".repeat(64), DeploymentOutcome::Succeeded).await;
    colours.green(&see(server, address, CHECK).await);
}

async fn record(server: &TestApp, environment: &str, digest: &str, outcome: DeploymentOutcome) {
    let entry = Deployment {
        id: server.app.ids.make(),
        environment: environment.to_owned(),
        version: "1.0.0".to_owned(),
        commit: "unknown".to_owned(),
        digest: digest.to_owned(),
        kind: DeploymentKind::Deploy,
        outcome,
        reason: "a test".to_owned(),
        who: "ada".to_owned(),
        began_at: server.now(),
        ended_at: server.now(),
    };
    server.app.store.run(&call(), RecordDeployment(entry)).await.expect("recorded");
}
