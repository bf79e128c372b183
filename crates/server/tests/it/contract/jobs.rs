//! The operations of jobs and queues.

use std::time::Duration;

use mainstay_domain::{DeploymentKind, DeploymentOutcome, EmailAddress};
use mainstay_store::{Call, Deployment, RecordDeployment};
use serde_json::json;

use super::{Driver, text};
use crate::support::{Person, TestApp};

/// What an operator sees and does. She was marked as one before.
pub(super) async fn drive(driver: &mut Driver<'_>, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    driver.good(200, "GET /health/queue", None, None, None).await;
    driver.good(204, "POST /v1/queues/{name}/pause", Some("probes"), token, None).await;
    let body = json!({"key": "contract", "count": 3});
    driver.good(202, "POST /v1/jobs/probes", None, token, Some(body.clone())).await;
    driver.good(202, "POST /v1/jobs/probes", None, token, Some(body)).await;
    driver.good(200, "GET /v1/jobs/probes", None, token, None).await;
    driver.good(200, "GET /v1/queues", None, token, None).await;
    let set = json!({"value": "120", "seconds": 60, "reason": "the contract"});
    driver.good(200, "PUT /v1/controls/{name}", Some("sync.interval"), token, Some(set)).await;
    driver.good(200, "GET /v1/controls", None, token, None).await;
    let reason = Some(json!({"reason": "the contract is kept"}));
    driver.good(204, "POST /v1/controls/{name}/clear", Some("sync.interval"), token, reason.clone()).await;
    let absent = driver.call("POST /v1/controls/{name}/clear", Some("sync.interval"), token, reason.clone(), &[]).await;
    absent.refused(404, "not_found");
    let unknown = driver.call("POST /v1/controls/{name}/clear", Some("sync"), token, reason, &[]).await;
    unknown.refused(404, "not_found");
    driver.good(200, "GET /v1/controls/changes", None, token, None).await;
    driver.good(200, "GET /v1/installation-audit-trail", None, token, None).await;
    driver.good(200, "GET /v1/deployments", None, token, None).await;
    let made = driver.good(200, "POST /v1/audit/runs", None, token, None).await;
    for path in ["POST /v1/backups", "POST /v1/backup-drills"] {
        driver.good(202, path, None, token, None).await;
    }
    driver.good(200, "GET /v1/backups", None, token, None).await;
    let last = driver.good(200, "GET /v1/audit", None, token, None).await;
    driver.good(200, "GET /v1/system-health", None, token, None).await;
    driver.good(200, "GET /v1/alerts", None, token, None).await;
    driver.good(200, "POST /v1/alerts/tests", None, token, None).await;
    let report = json!({"page": "/", "reports": [{"kind": "error", "message": "a fault"}]});
    driver.good(202, "POST /v1/client-reports", None, token, Some(report)).await;
    driver.good(200, "GET /v1/client-reports", None, token, None).await;
    recordings(driver, token).await;
    assert_eq!((&last["last"]["score"], &last["history"][0]["score"]), (&made["score"], &made["score"]));
    let list = driver.good(200, "GET /v1/jobs", None, token, None).await;
    let id = text(&list["data"][0]["id"]);
    driver.good(200, "GET /v1/jobs/{id}", Some(&id), token, None).await;
    let waits = driver.call("POST /v1/jobs/{id}/replay", Some(&id), token, None, &[]).await;
    waits.refused(409, "not_ended");
    driver.good(200, "POST /v1/jobs/{id}/cancel", Some(&id), token, None).await;
    driver.good(204, "POST /v1/jobs/{id}/replay", Some(&id), token, None).await;
    driver.good(200, "POST /v1/jobs/{id}/cancel", Some(&id), token, None).await;
    let ended = driver.call("POST /v1/jobs/{id}/cancel", Some(&id), token, None, &[]).await;
    ended.refused(409, "ended");
    let replays = json!({"state": "cancelled"});
    driver.good(200, "POST /v1/jobs/replays", None, token, Some(replays)).await;
    driver.good(204, "POST /v1/queues/{name}/resume", Some("probes"), token, None).await;
}

/// Five jobs that wait, five changes of controls, five deployments, and an operator who may list them.
pub(super) async fn five(server: &TestApp, ada: &Person) {
    let email = EmailAddress::parse(&ada.email).expect("an address");
    server.app.accounts.set_operator(&Call::within(Duration::from_secs(30)), &email, true).await.expect("marked");
    let token = Some(ada.access_token.as_str());
    server.send("POST", "/v1/queues/probes/pause", token, None).await.expect(204);
    server.send("POST", "/v1/jobs/probes", token, Some(json!({"count": 5}))).await.expect(202);
    server.send("PUT", "/v1/replay-consent", token, None).await.expect(204);
    for _ in 0..5 {
        server.send("POST", "/v1/replays", token, Some(chunk(&server.app.ids.make::<uuid::Uuid>()))).await.expect(202);
    }
    for number in 101..106 {
        let now = server.now();
        let entry = Deployment {
            id: server.app.ids.make(),
            environment: "production".to_owned(),
            version: "1.0.0".to_owned(),
            commit: number.to_string(),
            digest: "0".repeat(64),
            kind: DeploymentKind::Deploy,
            outcome: DeploymentOutcome::Succeeded,
            reason: String::new(),
            who: "ada".to_owned(),
            began_at: now,
            ended_at: now,
        };
        let recorded = server.app.store.run(&Call::within(Duration::from_secs(30)), RecordDeployment(entry)).await;
        recorded.expect("recorded");
        let body = json!({"value": number.to_string(), "reason": "a list"});
        server.send("PUT", "/v1/controls/limits.percent", token, Some(body)).await.expect(200);
    }
}

/// A chunk of a recording.
fn chunk(id: &uuid::Uuid) -> serde_json::Value {
    let events = json!([{"type": 1, "timestamp": 1, "data": {}}]).to_string();
    json!({"replay_id": id, "number": 0, "page": "/", "reason": "error", "events": events})
}

/// Recordings of pages, of somebody who agrees and then does not.
async fn recordings(driver: &mut Driver<'_>, token: Option<&str>) {
    let id = driver.server.app.ids.make::<uuid::Uuid>();
    let (id, chunk) = (id.to_string(), chunk(&id));
    driver.call("POST /v1/replays", None, token, Some(chunk.clone()), &[]).await.refused(403, "no_consent");
    driver.good(204, "PUT /v1/replay-consent", None, token, None).await;
    driver.good(200, "GET /v1/replay-consent", None, token, None).await;
    for kept in [true, false] {
        let taken = driver.good(202, "POST /v1/replays", None, token, Some(chunk.clone())).await;
        assert_eq!(taken, json!({"kept": kept}));
    }
    driver.good(200, "GET /v1/replays", None, token, None).await;
    driver.good(200, "GET /v1/replays/{id}", Some(&id), token, None).await;
    driver.good(200, "DELETE /v1/replays", None, token, None).await;
}
