//! `/v1/contacts`. Who reads one, or a page of them, is in the access log.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{ContactId, Timestamp};
use mainstay_store::{AppointmentsOf, Contact, folded};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::appointments::AppointmentBody;
use crate::accounts::{Reader, Writer};
use crate::app::App;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};
use crate::reception::ContactWish;

/// Somebody for whom something is done.
#[derive(Serialize, ToSchema)]
#[schema(as = Contact)]
pub struct ContactBody {
    id: Uuid,
    /// Empty while nobody has said.
    name: String,
    /// E.164.
    phone: Option<String>,
    email: Option<String>,
    note: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Contact> for ContactBody {
    fn from(contact: Contact) -> Self {
        Self {
            id: contact.id.uuid(),
            name: contact.name,
            phone: contact.phone,
            email: contact.email,
            note: contact.note,
            created_at: contact.created_at,
            updated_at: contact.updated_at,
        }
    }
}

/// Adding a contact, or changing one: then what is left out stays as it is, and null removes it.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ContactWish)]
pub struct ContactWishBody {
    /// One line of at most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    name: Option<String>,
    /// As people write it; without a country it is one of the country of the reception.
    #[serde(default, deserialize_with = "crate::http::present")]
    #[schema(value_type = Option<crate::openapi::words::PhoneNumber>)]
    phone: Option<Option<String>>,
    #[serde(default, deserialize_with = "crate::http::present")]
    #[schema(value_type = Option<crate::openapi::words::EmailAddress>)]
    email: Option<Option<String>>,
    /// At most 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2_000)]
    note: Option<String>,
}

impl From<ContactWishBody> for ContactWish {
    fn from(body: ContactWishBody) -> Self {
        Self { name: body.name, phone: body.phone, email: body.email, note: body.note }
    }
}

/// Knows somebody by a number or an address. Whoever has one of them already is the contact, with what was not known added;
/// two who turn out to be one become one.
#[utoipa::path(post, path = "/v1/contacts", tag = "reception", request_body = ContactWishBody,
    responses((status = 200, body = ContactBody), (status = "default", body = Document<'static>)))]
pub async fn know(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Json(body): Json<ContactWishBody>,
) -> Result<Json<ContactBody>, Problem> {
    Ok(Json(app.reception.know(&context.call, by.tenant, &body.into()).await?.into()))
}

/// Lists the contacts by their names.
#[utoipa::path(get, path = "/v1/contacts", tag = "reception", params(PageQuery),
    responses((status = 200, body = Page<ContactBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ContactBody>>, Problem> {
    let limit = query.limit()?;
    let place = |text: &str| {
        let (id, name) = text.split_once('.')?;
        Some((name.to_owned(), ContactId(Uuid::try_parse(id).ok()?)))
    };
    let after = query.cursor(place)?;
    let rows = app.reception.contacts(&context.call, &by, after, limit).await?;
    Ok(Json(Page::of(rows, limit, |row| format!("{}.{}", row.id, folded(&row.name)))))
}

/// Reads a contact.
#[utoipa::path(get, path = "/v1/contacts/{id}", tag = "reception", params(("id" = Uuid, Path)),
    responses((status = 200, body = ContactBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<ContactBody>, Problem> {
    Ok(Json(app.reception.read_contact(&context.call, &by, ContactId(id)).await?.into()))
}

/// Changes what is known of a contact.
#[utoipa::path(patch, path = "/v1/contacts/{id}", tag = "reception", request_body = ContactWishBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = ContactBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<ContactWishBody>,
) -> Result<Json<ContactBody>, Problem> {
    Ok(Json(app.reception.change_contact(&context.call, by.tenant, ContactId(id), &body.into()).await?.into()))
}

/// Lists the appointments of a contact, the last first.
#[utoipa::path(get, path = "/v1/contacts/{id}/appointments", tag = "reception", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<AppointmentBody>), (status = "default", body = Document<'static>)))]
pub async fn appointments(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AppointmentBody>>, Problem> {
    let limit = query.limit()?;
    let before = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, id.into()));
    app.reception.contact(&context.call, by.tenant, ContactId(id)).await?;
    let list = AppointmentsOf { tenant: by.tenant, contact: ContactId(id), before, limit };
    let rows = app.reception.appointments_of(&context.call, list).await?;
    Ok(Json(Page::of(rows, limit, |row| page::place(row.shown.from(), row.id))))
}
