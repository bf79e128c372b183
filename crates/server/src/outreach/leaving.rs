//! Leaving: the page behind the link of an email, and the one click of mail programs (RFC 8058).
//!
//! Opening the page changes nothing, since programs that look at mail open what is in it. Sending its form does, and so does
//! the POST of a mail program, which comes without cookies and is answered without a redirect.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{Html, IntoResponse, Response};
use mainstay_domain::{EmailId, Error, Result, TenantId};
use mainstay_store::GetEmail;

use super::trying::NOBODY;
use crate::app::App;
use crate::http::{Document, Path, Problem, RequestContext};

#[derive(Template)]
#[template(path = "leaving.html")]
struct Page<'a> {
    /// The path of the files: `/assets/<hash>`.
    base: &'a str,
    /// Whose mail it is that ends, with most of it hidden: the link may have been passed on.
    address: &'a str,
    /// Whether they have left.
    left: bool,
    /// Whether the email was sent to try a text: there is nobody who could leave.
    nobody: bool,
}

/// Shows the page by which somebody leaves. Opening it changes nothing.
#[utoipa::path(get, path = "/u/{token}", tag = "outreach", security(()), params(("token" = String, Path)),
    responses((status = 200, description = "A page", content_type = "text/html"),
        (status = "default", body = Document<'static>)))]
pub async fn show(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let (tenant, id) = named(&app, &token)?;
    if id == NOBODY {
        return Ok(page_for_nobody()?);
    }
    let email = app.store.run(&context.call, GetEmail { tenant, id }).await?;
    let email = email.ok_or_else(|| Error::not_found("email"))?;
    Ok(page(&email.address, email.unsubscribed_at.is_some())?)
}

/// Leaves: nothing more is sent to the address by anybody of the organisation. Once more does no harm. The body, of a form or
/// of a mail program, says nothing that is not in the link.
#[utoipa::path(post, path = "/u/{token}", tag = "outreach", security(()), params(("token" = String, Path)),
    responses((status = 200, description = "A page", content_type = "text/html"),
        (status = "default", body = Document<'static>)))]
pub async fn leave(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let (tenant, id) = named(&app, &token)?;
    if id == NOBODY {
        return Ok(page_for_nobody()?);
    }
    app.outreach.leave(&context.call, tenant, id).await?;
    let email = app.store.run(&context.call, GetEmail { tenant, id }).await?;
    let email = email.ok_or_else(|| Error::not_found("email"))?;
    Ok(page(&email.address, true)?)
}

fn named(app: &App, token: &str) -> Result<(TenantId, EmailId)> {
    let read = app.outreach.links.read(token).map(|(tenant, id)| (tenant, EmailId(id)));
    read.ok_or_else(|| Error::not_found("email"))
}

/// An address with what is enough for whoever has it.
fn hidden(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}…@{domain}")
}

fn page(address: &str, left: bool) -> Result<Response> {
    answer(&Page { base: crate::console::base(), address: &hidden(address), left, nobody: false })
}

fn page_for_nobody() -> Result<Response> {
    answer(&Page { base: crate::console::base(), address: "", left: false, nobody: true })
}

fn answer(page: &Page<'_>) -> Result<Response> {
    let page = Html(page.render().map_err(Error::internal)?);
    Ok(([(CACHE_CONTROL, "private, no-store")], page).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_hidden_but_for_its_owner() {
        assert_eq!(hidden("ada.lovelace@example.com"), "a…@example.com");
        assert_eq!(hidden("ä@example.com"), "ä…@example.com");
        assert_eq!(hidden("nonsense"), "n…@");
    }

    #[test]
    fn what_is_in_an_address_is_text() {
        let page = Page { base: "/assets", address: "<script>alert(1)</script>", left: false, nobody: false };
        let page = page.render().expect("a page");
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("mail to &#60;script"), "{page}");
    }
}
