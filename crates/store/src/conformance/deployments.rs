//! The register of deployments.

use std::time::Duration;

use mainstay_domain::{DeploymentKind, DeploymentOutcome};
use uuid::Uuid;

use super::Harness;
use crate::{Deployment, KEPT_DEPLOYMENTS, ListDeployments, ReadStandingDeployments, RecordDeployment};

fn entry(h: &Harness, environment: &str, digest: &str, outcome: DeploymentOutcome) -> Deployment {
    h.clock.advance(Duration::from_millis(1));
    Deployment {
        id: h.ids.make(),
        environment: environment.to_owned(),
        version: "1.2.3".to_owned(),
        commit: "abc".to_owned(),
        digest: digest.to_owned(),
        kind: DeploymentKind::Deploy,
        outcome,
        reason: "a change".to_owned(),
        who: "ada".to_owned(),
        began_at: h.now().minus(Duration::from_secs(60)),
        ended_at: h.now(),
    }
}

async fn record(h: &Harness, entry: &Deployment) {
    h.store.run(&h.call(), RecordDeployment(entry.clone())).await.expect("recorded");
}

async fn list(h: &Harness, environment: Option<&str>, before: Option<Uuid>, limit: u32) -> Vec<Deployment> {
    let environment = environment.map(str::to_owned);
    h.store.run(&h.call(), ListDeployments { environment, before, limit }).await.expect("listed")
}

async fn standing(h: &Harness) -> Vec<Deployment> {
    h.store.run(&h.call(), ReadStandingDeployments).await.expect("read")
}

pub(super) async fn deployments_are_kept_and_told_by_environment(h: &Harness) {
    use DeploymentOutcome::{Failed, RolledBack, Succeeded};
    assert_eq!((list(h, None, None, 10).await, standing(h).await), (vec![], vec![]));
    let first = entry(h, "production", "1", Succeeded);
    let staged = entry(h, "staging", "2", Succeeded);
    let second = entry(h, "production", "2", Succeeded);
    let third = entry(h, "production", "3", RolledBack);
    let fourth = entry(h, "production", "4", Failed);
    for one in [&first, &staged, &second, &third, &fourth] {
        // A commit that was not confirmed is repeated.
        record(h, one).await;
        record(h, one).await;
    }
    assert_eq!(list(h, None, None, 2).await, [fourth.clone(), third.clone()], "the last first");
    assert_eq!(list(h, None, Some(second.id), 9).await, [staged.clone(), first.clone()], "page by page");
    assert_eq!(list(h, Some("staging"), None, 9).await, std::slice::from_ref(&staged));
    assert_eq!(list(h, Some("production"), Some(third.id), 1).await, std::slice::from_ref(&second));
    assert_eq!(list(h, Some("nowhere"), None, 9).await, []);
    assert_eq!(standing(h).await, [second, staged.clone()], "what failed or was rolled back does not stand");
    // What has run before runs again.
    let back = Deployment { kind: DeploymentKind::Rollback, ..entry(h, "production", "1", Succeeded) };
    record(h, &back).await;
    assert_eq!(standing(h).await, [back, staged]);
}

pub(super) async fn so_many_are_kept(h: &Harness) {
    let most = usize::try_from(KEPT_DEPLOYMENTS).expect("it fits");
    let mut all = Vec::new();
    for number in 0..most + 2 {
        let one = entry(h, "many", &number.to_string(), DeploymentOutcome::Failed);
        record(h, &one).await;
        all.push(one);
    }
    let kept = list(h, None, None, u32::MAX).await;
    assert_eq!((kept.len(), kept.last()), (most, Some(&all[2])), "the oldest go");
}
