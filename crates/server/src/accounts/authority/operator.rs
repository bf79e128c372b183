//! Whoever runs the installation: a person with the mark that only the command line sets.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use mainstay_store::{Call, FindPerson, INSTALLATION};

use super::{Credential, Member, admitted, too_little};
use crate::app::App;
use crate::audit_trail;
use crate::http::{Problem, RequestContext};

/// An operator of the installation, by a sign-in here: no API key and no outside token reaches across organisations. The
/// mark is read each time, so that it ends at once.
#[derive(Clone, Debug)]
pub struct Operator(pub Member);

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let member = admitted(parts, app).await?;
        let refused = || too_little("a sign-in of an operator of this installation");
        if !matches!(member.credential, Credential::Session(_)) {
            return Err(refused().into());
        }
        let call = match parts.extensions.get::<RequestContext>() {
            Some(context) => context.call.clone(),
            None => Call::within(app.config.http.request_timeout()),
        };
        let person = app.store.run(&call, FindPerson(member.person)).await?;
        let operates = person.is_some_and(|person| person.operator_since.is_some() && person.disabled_at.is_none());
        if !operates {
            return Err(refused().into());
        }
        audit_trail::of_request(app, parts, &member, INSTALLATION);
        Ok(Self(member))
    }
}
