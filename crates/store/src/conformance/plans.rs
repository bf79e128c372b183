//! How each statement is planned at volume: a million messages, and no scan of a table that grows.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use super::{EngineKind, Harness};
use crate::TABLES;
use crate::sql::Sql;

/// Fills the tables: 5,000 people with an organisation each, 20 conversations each, 10 messages in each, and 200,000 rows
/// of what comes and goes.
const FILL: &[&str] = &[
    "INSERT INTO person (id, email, name, created_at) SELECT {id:p:i}, 'p' || i || '@example.com', 'p', {at} FROM {n:5000}",
    "INSERT INTO organisation (tenant_id, name, plan, created_at) SELECT {id:o:i}, 'o', 'free', {at} FROM {n:5000}",
    "INSERT INTO membership (tenant_id, person_id, role, created_at) SELECT {id:o:i}, {id:p:i}, 'owner', {at} FROM {n:5000}",
    "INSERT INTO person_tenant (person_id, tenant_id) SELECT {id:p:i}, {id:o:i} FROM {n:5000}",
    "INSERT INTO outside_identity (issuer, subject, person_id) SELECT 'x', i || '', {id:p:i} FROM {n:5000}",
    "INSERT INTO sign_in_session (id, person_id, tenant_id, generation, rotated_at, created_at, expires_at) SELECT {id:s:i}, {id:p:i%5000}, {id:o:i}, 0, {at}, {at}, {at+i} FROM {n:200000}",
    "INSERT INTO api_key_lookup (hash, tenant_id, api_key_id) SELECT i || 'h', {id:o:i}, {id:k:i} FROM {n:5000}",
    "INSERT INTO api_key (id, tenant_id, person_id, name, prefix, hash, scopes, created_at) SELECT {id:k:i}, {id:o:i}, {id:p:i}, 'k', 'x', i || 'h', 'read', {at} FROM {n:5000}",
    "INSERT INTO revocation (position, kind, subject, revoked_at, expires_at) SELECT i, 'person', {id:p:i}, {at}, {at+i} FROM {n:200000}",
    "INSERT INTO lease (name, number, holder, expires_at) SELECT 'node:' || i, i, 'x', {at+i} FROM {n:3}",
    "INSERT INTO job (id, queue, kind, group_key, tenant_id, state, priority, arguments, unique_key, unique_kept, run_at, attempt, most_attempts, lease, worker, keep_until, created_at, finished_at, cancel_asked_at) SELECT {id:m:i}, 'q' || (i%3), 'k', 'g' || (i%5000), {id:o:i%5000}, CASE WHEN i%10 < 6 THEN 'done' WHEN i%10 = 6 THEN 'dead' WHEN i%10 = 7 THEN 'scheduled' WHEN i%1000 = 8 THEN 'running' ELSE 'ready' END, i%3, '{}', CASE WHEN i%10 = 1 THEN 'u' || i END, 0, {at+i}, 0, 3, 1, i%3, {at+i}, {at}, CASE WHEN i%10 < 7 THEN {at} END, CASE WHEN i%100000 = 8 THEN {at} END FROM {n:200000}",
    "INSERT INTO job_attempt (job_id, lease, attempt, outcome, error, started_at, ended_at) SELECT {id:m:i}, 1, 1, 'failed', 'e', {at}, {at} FROM {n:200000}",
    "INSERT INTO job_queue (name, turns) SELECT 'q' || i, '[]' FROM {n:3}",
    "INSERT INTO job_rate (queue, group_key, full_at) SELECT 'q1', 'g' || i, {at+i} FROM {n:200000}",
    "INSERT INTO job_schedule (name, definition, next_at, updated_at) SELECT 's' || i, 'd', {at}, {at} FROM {n:3}",
    "INSERT INTO job_probe (key, effects, happened_at) SELECT 'probe/' || i, 1, {at+i} FROM {n:200000}",
    "INSERT INTO node_sample (at, node, requests, errors, refusals, timed, within_5, within_10, within_25, within_50, within_100, within_250, within_500, within_1000, within_5000, jobs_ended, jobs_ms, jobs_running, sockets, redis_lost, left_alone, leaves) SELECT {at+i}, {id:s:i%5000}, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, '', 0 FROM {n:200000}",
    "INSERT INTO client_report (id, tenant_id, person_id, page, version, message, detail, at) SELECT {id:m:i}, {id:o:i%5000}, {id:p:i%5000}, '/', '', 'm', '', {at+i} FROM {n:200000}",
    "INSERT INTO replay_consent (tenant_id, person_id, given_at, day, begun) SELECT {id:o:i}, {id:p:i}, {at}, 0, 0 FROM {n:5000}",
    "INSERT INTO replay (id, tenant_id, person_id, page, version, reason, begun_at, last_at, first_ms, last_ms, chunks, bytes, errors) SELECT {id:m:i}, {id:o:i%5000}, {id:p:i%5000}, '/', '', 'sampled', {at+i}, {at+i}, 0, 0, 1, 2, CASE WHEN i % 10 = 0 THEN 1 ELSE 0 END FROM {n:50000}",
    "INSERT INTO replay_chunk (tenant_id, replay_id, number, events) SELECT {id:o:i%5000}, {id:m:i}, 0, '[]' FROM {n:50000}",
    "INSERT INTO counter (name, value) SELECT 'c' || i, i FROM {n:3}",
    "INSERT INTO stream (stream_id, tenant_id, head, epoch, floor) SELECT {id:p:i}, {id:o:i}, 1000, 1, 0 FROM {n:5000}",
    "INSERT INTO change (stream_id, tenant_id, seq, kind, id, deleted_at) SELECT {id:p:i%5000}, {id:o:i%5000}, i, 'message', {id:m:i}, CASE WHEN i % 100 = 0 THEN {at+i} END FROM {n:1000000}",
    "INSERT INTO usage_month (tenant_id, month, subject_id, messages, input_tokens, output_tokens, images, voice_seconds, cost_micros, reserved_micros, day, day_messages, day_images, day_voice_seconds) SELECT {id:o:i%5000}, 202301 + i / 5000, {id:p:i%5000}, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 FROM {n:200000}",
    "INSERT INTO budget (tenant_id, subject_id, cost_micros, set_by, set_at) SELECT {id:o:i}, {id:p:i}, 1, {id:p:i}, {at} FROM {n:5000}",
    "INSERT INTO reservation (id, tenant_id, person_id, amount_micros, reserved_at, expires_at, swept_at) SELECT {id:m:i}, {id:o:i%5000}, {id:p:i%5000}, 1, {at}, {at+i}, CASE WHEN i % 2 = 0 THEN {at+i} END FROM {n:200000}",
    "INSERT INTO subscription (tenant_id, provider_id, state, updated_at) SELECT {id:o:i%5000}, 's' || i, 'x', {at} FROM {n:200000}",
    "INSERT INTO plan_change (tenant_id, seq, from_plan, to_plan, cause, changed_at) SELECT {id:o:i%5000}, i, 'free', 'core', 'x', {at+i} FROM {n:200000}",
    "INSERT INTO invoice (tenant_id, provider_id, reference, total_micros, currency, url, state, whole, issued_at) SELECT {id:o:i%5000}, 'i' || i, 'r', 1, 'USD', '', 'paid', 1, {at+i} FROM {n:200000}",
    "INSERT INTO billing_account (tenant_id, provider_id) SELECT {id:o:i}, 'a' || i FROM {n:5000}",
    "INSERT INTO billing_lookup (kind, provider_id, tenant_id) SELECT 'subscription', 's' || i, {id:o:i%5000} FROM {n:200000}",
    "INSERT INTO exposure (experiment_id, tenant_id, unit_id, variant, exposed_at) SELECT {id:k:i%5000}, {id:o:i%5000}, {id:p:i}, 0, {at} FROM {n:200000}",
    "INSERT INTO outcome (experiment_id, tenant_id, unit_id, person_id, event_id, value, happened_at) SELECT {id:k:i%5000}, {id:o:i%5000}, {id:p:i}, {id:p:i}, {id:m:i}, 1, {at+i} FROM {n:200000}",
    "INSERT INTO audit_trail (tenant_id, position, digest, floor, floor_digest) SELECT {id:o:i}, 40, {bytes}, 0, {bytes} FROM {n:5000}",
    "INSERT INTO audit_event (tenant_id, position, at, action, content, content_digest, digest) SELECT {id:o:i%5000}, i, {at+i}, 'a', '{}', {bytes}, {bytes} FROM {n:200000}",
    "INSERT INTO inbox_source (id, tenant_id, name, provider, scheme, key, created_at) SELECT {id:k:i}, {id:o:i}, 's', 'generic', 'sealed1:' || (10000000 + i % 1000) || ':x', i || 'k', {at} FROM {n:5000}",
    "INSERT INTO inbox_key (key, tenant_id, source_id) SELECT i || 'k', {id:o:i}, {id:k:i} FROM {n:5000}",
    "INSERT INTO inbox_event (id, tenant_id, source_id, provider, identity, kind, version, received_at, payload) SELECT {id:m:i}, {id:o:i%5000}, {id:k:i%5000}, 'generic', i || '', 'k', i, {at+i}, '{}' FROM {n:200000}",
    "INSERT INTO inbox_subject (tenant_id, source_id, subject, version, identity, event_id, updated_at) SELECT {id:o:i%5000}, {id:k:i%5000}, i || '', i, i || '', {id:m:i}, {at+i} FROM {n:200000}",
    "INSERT INTO webhook_endpoint (id, tenant_id, url, description, event_types, secrets, state, consecutive_failures, rests, created_at, updated_at) SELECT {id:k:i}, {id:o:i}, 'https://example.com/', '', '[]', 'sealed1:' || (10000000 + i % 1000) || ':x', 'enabled', 0, 0, {at+i}, {at} FROM {n:5000}",
    "INSERT INTO webhook_event (id, tenant_id, kind, payload, created_at) SELECT {id:m:i}, {id:o:i%5000}, 'k' || (i % 7), 'x', {at+i} FROM {n:200000}",
    "INSERT INTO webhook_delivery (id, tenant_id, event_id, endpoint_id, kind, state, attempts, created_at) SELECT {id:s:i}, {id:o:i%5000}, {id:m:i}, {id:k:i%5000}, 'k', CASE WHEN i % 20 = 0 THEN 'pending' ELSE 'delivered' END, 1, {at+i} FROM {n:200000}",
    "INSERT INTO webhook_attempt (delivery_id, tenant_id, number, started_at, took_ms, request_headers, response_headers, response_body) SELECT {id:s:i}, {id:o:i%5000}, 1, {at+i}, 5, 'x', 'x', 'x' FROM {n:200000}",
    "INSERT INTO idempotency (tenant_id, person_id, key, operation, fingerprint, resource_id, created_at) SELECT {id:o:i}, {id:p:i}, i || '', 'message', 'f', {id:m:i}, {at+i} FROM {n:200000}",
    "INSERT INTO generation (id, tenant_id, person_id, lease, text, started_at) SELECT {id:m:i}, {id:o:i}, {id:p:i}, i % 3, 't', {at} FROM {n:200000}",
    "INSERT INTO conversation (id, tenant_id, person_id, title, next_ordinal, seq, created_at, updated_at, deleted_at) SELECT {id:c:i}, {id:o:i%5000}, {id:p:i%5000}, 'title', 10, i, {at}, {at+i}, CASE WHEN i % 100 = 0 THEN {at+i} END FROM {n:100000}",
    "INSERT INTO message (id, tenant_id, conversation_id, person_id, role, status, content, ordinal, seq, created_at) SELECT {id:m:i}, {id:o:i%5000}, {id:c:i%100000}, {id:p:i%5000}, 'user', 'final', 'hello there', i / 100000, 1000000 + i, {at} FROM {n:1000000}",
    "INSERT INTO reception (tenant_id, zone, week, step_minutes, hold_minutes, lead_minutes, horizon_days, updated_at) SELECT {id:o:i}, 'UTC', '[]', 15, 5, 60, 60, {at} FROM {n:5000}",
    "INSERT INTO service (id, tenant_id, name, minutes, before_minutes, after_minutes, created_at, updated_at) SELECT {id:k:i}, {id:o:i}, 's', 30, 0, 0, {at}, {at} FROM {n:5000}",
    "INSERT INTO staff (id, tenant_id, name, calendar_version, created_at, updated_at) SELECT {id:s:i}, {id:o:i}, 's', 0, {at}, {at} FROM {n:5000}",
    "INSERT INTO staff_service (staff_id, service_id, tenant_id) SELECT {id:s:i}, {id:k:i}, {id:o:i} FROM {n:5000}",
    "INSERT INTO special_day (owner_id, tenant_id, day, openings, name) SELECT {id:s:i%5000}, {id:o:i%5000}, 20000 + i / 5000, '[]', 'n' FROM {n:100000}",
    "INSERT INTO contact (id, tenant_id, name, folded, phone, email, note, created_at, updated_at) SELECT {id:c:i}, {id:o:i%5000}, 'N' || i, 'n' || i, '+49' || i, i || '@example.com', '', {at}, {at} FROM {n:100000}",
    "INSERT INTO appointment (id, tenant_id, service_id, staff_id, contact_id, state, starts_at, ends_at, blocked_from, blocked_until, expires_at, note, created_at, updated_at) SELECT {id:m:i}, {id:o:i%5000}, {id:k:i%5000}, {id:s:i%5000}, {id:c:i%100000}, CASE WHEN i%10 = 0 THEN 'held' ELSE 'booked' END, {at+i}, {at+i+1}, {at+i}, {at+i+1}, CASE WHEN i%10 = 0 THEN {at+i} END, '', {at}, {at} FROM {n:100000}",
    "INSERT INTO board (tenant_id, id, seq, appointments, calls) SELECT {id:o:i}, {id:k:i}, i, 1, 1 FROM {n:5000}",
    "INSERT INTO phone_call (id, tenant_id, provider_id, direction, state, number, contact_id, heard_at, created_at, updated_at, indexed) SELECT {id:m:i}, {id:o:i%5000}, 'call-' || i, 'inbound', CASE WHEN i%1000 = 0 THEN 'in_progress' ELSE 'ended' END, '+49' || i, {id:c:i%100000}, {at+i}, {at+i}, {at}, CASE WHEN i%20000 = 0 THEN 0 ELSE 1 END FROM {n:200000}",
    "INSERT INTO phone_agent (tenant_id, greeting, instructions, keep_days, updated_at) SELECT {id:o:i}, '', '', 90, {at} FROM {n:5000}",
    "INSERT INTO phone_call_action (id, tenant_id, call_id, tool, outcome, answer, created_at) SELECT {id:s:i}, {id:o:i%5000}, {id:m:i}, 't', 'ok', 'x', {at+i} FROM {n:200000}",
    "INSERT INTO phone_call_term (tenant_id, term, created_at, call_id) SELECT {id:o:i%5000}, 'w' || (i % 997), {at+i}, {id:m:i} FROM {n:200000}",
    "INSERT INTO phone_message (id, tenant_id, contact_id, name, body, created_at) SELECT {id:m:i}, {id:o:i%5000}, {id:c:i%100000}, 'n', 'x', {at+i} FROM {n:100000}",
    "INSERT INTO access_log (id, tenant_id, person_id, what, at) SELECT {id:m:i}, {id:o:i%5000}, {id:p:i}, 'call', {at+i} FROM {n:100000}",
    "INSERT INTO text_settings (tenant_id, source_id, account, sender, enabled, confirms, reminders, wording, updated_at) SELECT {id:o:i}, {id:k:i}, 'AC', '+1', 1, 1, '[]', '{}', {at} FROM {n:5000}",
    "INSERT INTO text_message (id, tenant_id, appointment_id, contact_id, reason, occasion, minutes_before, service_id, staff_id, starts_at, phone, state, due_at, attempts, provider_id, created_at, updated_at) SELECT {id:m:i}, {id:o:i%5000}, {id:m:i}, {id:c:i%100000}, 'reminder', i, 60, {id:k:i%5000}, {id:s:i%5000}, {at+i}, '+49' || i, CASE WHEN i%1000 = 0 THEN 'waiting' ELSE 'delivered' END, {at+i}, 1, CASE WHEN i%1000 > 0 THEN 'SM' || i END, {at+i}, {at} FROM {n:200000}",
    "INSERT INTO text_opt_out (phone, tenant_id, stopped, changed_at) SELECT '+49' || i, {id:o:i%5000}, 1, {at+i} FROM {n:100000}",
    "INSERT INTO image (id, tenant_id, person_id, message_id, conversation_id, kind, width, height, bytes, sha256, source_sha256, created_at, content) SELECT {id:k:i}, {id:o:i%5000}, {id:p:i%5000}, CASE WHEN i % 10 > 0 THEN {id:m:i} END, CASE WHEN i % 10 > 0 THEN {id:c:i%100000} END, 'image/png', 1, 1, 1, 'd', i || 's', {at+i}, {bytes} FROM {n:100000}",
    "INSERT INTO document (id, tenant_id, title, language, passages, bytes, created_at, updated_at, content) SELECT {id:k:i}, {id:o:i%5000}, 't', 'simple', 1, 1, {at+i}, {at}, 'x' FROM {n:100000}",
    "INSERT INTO document_passage (document_id, tenant_id, place, heading, content) SELECT {id:k:i%100000}, {id:o:i%5000}, i / 100000, '', 'x' FROM {n:200000}",
    "INSERT INTO document_term (tenant_id, term, document_id, places) SELECT {id:o:i%5000}, 'w' || (i % 997), {id:k:i%100000}, '0:1' FROM {n:200000}",
    "INSERT INTO voice_session (id, tenant_id, person_id, began_at, ended_at, heard_ms, spoken_characters, turns, interruptions, cost_micros) SELECT {id:m:i}, {id:o:i%5000}, {id:p:i%5000}, {at+i}, CASE WHEN i%100 > 0 THEN {at+i+1} END, 1, 1, 1, 0, 1 FROM {n:200000}",
    "INSERT INTO calendar_connection (id, tenant_id, staff_id, account, calendar, token, state, wanted, synced, looked_at, created_at, updated_at) SELECT {id:k:i}, {id:o:i}, {id:s:i}, 'a', 'primary', 'sealed1:' || (10000000 + i % 1000) || ':x', CASE WHEN i % 100 = 0 THEN 'reconnect' ELSE 'connected' END, 1, 1, {at+i}, {at}, {at} FROM {n:5000}",
    "INSERT INTO calendar_sign_in (id, tenant_id, person_id, staff_id, hash, expires_at) SELECT {id:m:i}, {id:o:i%5000}, {id:p:i}, {id:s:i}, 'h', {at+i} FROM {n:100000}",
    "INSERT INTO calendar_entry (appointment_id, connection_id, tenant_id, generation, present, wrote_from, wrote_until, wanted, written, owed_since) SELECT {id:m:i}, {id:k:i%5000}, {id:o:i%5000}, 0, 1, {at+i}, {at+i+1}, CASE WHEN i % 1000 = 0 THEN 2 ELSE 1 END, 1, CASE WHEN i % 1000 = 0 THEN {at+i} END FROM {n:100000}",
    "INSERT INTO calendar_busy (connection_id, event_id, tenant_id, staff_id, busy_from, busy_until) SELECT {id:k:i%5000}, 'e' || i, {id:o:i%5000}, {id:s:i%5000}, {at+i}, {at+i+1} FROM {n:200000}",
    "INSERT INTO calendar_conflict (id, tenant_id, connection_id, appointment_id, staff_id, kind, event_id, ours_from, ours_until, found_at, resolved_at, resolution) SELECT {id:k:i}, {id:o:i%5000}, {id:k:i%5000}, {id:m:i}, {id:s:i%5000}, 'busy', 'e' || i, {at}, {at+i}, {at+i}, CASE WHEN i % 10 > 0 THEN {at+i} END, CASE WHEN i % 10 > 0 THEN 'seen' END FROM {n:100000}",
    "INSERT INTO calendar_feed (id, tenant_id, name, hash, created_at) SELECT {id:k:i}, {id:o:i%5000}, 'n', 'h', {at+i} FROM {n:100000}",
    "INSERT INTO campaign (id, tenant_id, name, state, zone, sending_window, track_opens, track_clicks, stop_on_reply, created_at, updated_at) SELECT {id:k:i}, {id:o:i}, 'c', 'running', 'UTC', '', 1, 1, 1, {at+i}, {at} FROM {n:5000}",
    "INSERT INTO campaign_step (campaign_id, tenant_id, step, delay_days, delay_hours) SELECT {id:k:i}, {id:o:i}, 1, 0, 0 FROM {n:5000}",
    "INSERT INTO step_variant (id, tenant_id, campaign_id, step, name, weight, subject, body, retired, created_at) SELECT {id:s:i}, {id:o:i}, {id:k:i}, 1, 'A', 1, 's', 'b', 0, {at} FROM {n:5000}",
    "INSERT INTO campaign_zone (campaign_id, tenant_id, zone) SELECT {id:k:i}, {id:o:i}, 'UTC' FROM {n:5000}",
    "INSERT INTO sending_account (id, tenant_id, address, sender_name, kind, host, port, security, user_name, secret, state, daily_cap, ramp_start, ramp_step, gap_millis, domain_gap_millis, connections, run, wakes, next_at, sent, bounced, complained, created_at, updated_at) SELECT {id:p:i}, {id:o:i}, 'a@example.com', '', 'smtp', 'h', 25, 'none', '', 'sealed1:' || (10000000 + i % 1000) || ':x', 'active', 1, 1, 1, 0, 0, 1, 1, 1, {at}, 0, 0, 0, {at+i}, {at} FROM {n:5000}",
    "INSERT INTO campaign_account (campaign_id, account_id, tenant_id) SELECT {id:k:i}, {id:p:i}, {id:o:i} FROM {n:5000}",
    "INSERT INTO account_bucket (account_id, tenant_id, bucket, sent) SELECT {id:p:i%5000}, {id:o:i%5000}, i, 1 FROM {n:200000}",
    "INSERT INTO account_domain (account_id, tenant_id, domain, next_at) SELECT {id:p:i%5000}, {id:o:i%5000}, i || '.example', {at+i} FROM {n:200000}",
    "INSERT INTO lead (id, tenant_id, campaign_id, address, domain, fields, zone, state, step, created_at, updated_at) SELECT {id:m:i}, {id:o:i%5000}, {id:k:i%5000}, i || '@example.com', 'example.com', '{}', 'UTC', CASE WHEN i % 10 = 0 THEN 'new' ELSE 'active' END, 1, {at}, {at} FROM {n:200000}",
    "INSERT INTO lead_import (id, tenant_id, campaign_id, name, state, read_bytes, line, rows, added, duplicates, suppressed, bad, created_at, updated_at) SELECT {id:m:i}, {id:o:i%5000}, {id:k:i%5000}, 'n', CASE WHEN i % 100 = 0 THEN 'running' ELSE 'finished' END, 1, 1, 1, 1, 0, 0, 0, {at+i}, {at+i} FROM {n:100000}",
    "INSERT INTO lead_import_fault (import_id, tenant_id, line, place, column_name, code, detail, excerpt) SELECT {id:m:i%5000}, {id:o:i%5000}, i, 0, 'c', 'x', 'd', 'e' FROM {n:200000}",
    "INSERT INTO email (id, tenant_id, campaign_id, lead_id, step, variant_id, account_id, address, domain, zone, message_id, state, due_at, in_turn, attempts, run, day, created_at, updated_at, thread, sent_message_id) SELECT {id:m:i}, {id:o:i%5000}, {id:k:i%5000}, {id:m:i}, 1, {id:s:i%5000}, {id:p:i%5000}, i || '@example.com', 'example.com', 'UTC', i || 'm', CASE WHEN i % 10 = 0 THEN 'scheduled' WHEN i % 1000 = 1 THEN 'unknown' WHEN i % 1000 = 2 THEN 'claimed' ELSE 'accepted' END, {at+i}, 0, 1, 1, 20000, {at}, {at}, 't' || i, i || 'g' FROM {n:200000}",
    "INSERT INTO email_hit (email_id, tenant_id, link, visitor, hits, first_at, last_at) SELECT {id:m:i}, {id:o:i%5000}, 1, 'human', 1, {at+i}, {at+i} FROM {n:200000}",
    "INSERT INTO mailbox (id, tenant_id, host, port, security, user_name, secret, folder, state, last_uid, created_at, updated_at) SELECT {id:p:i}, {id:o:i}, 'h', 993, 'tls', 'u', 'sealed1:' || (10000000 + i % 1000) || ':x', 'INBOX', 'active', 1, {at+i}, {at} FROM {n:5000}",
    "INSERT INTO outreach_figure (campaign_id, tenant_id, step, variant_id, account_id, day, kind, number) SELECT {id:k:i%5000}, {id:o:i%5000}, 1, {id:s:i%5000}, {id:p:i%5000}, i, 'accepted', 1 FROM {n:200000}",
    "INSERT INTO suppression (subject, tenant_id, reason, created_at) SELECT i || '@example.com', {id:o:i%5000}, 'manual', {at+i} FROM {n:100000}",
];

/// Writes a statement of `FILL` for one engine. `{id:x:e}` is a UUID of the letter and the number `e`, spread as random
/// ones are.
fn fill_text(template: &str, engine: EngineKind) -> String {
    let mut text = template.replace("%", " % ");
    for letter in ["p", "o", "s", "k", "m", "c"] {
        for expression in ["i % 5000", "i % 100000", "i"] {
            let uuid = match engine {
                EngineKind::Sqlite => {
                    format!(
                        "unhex(printf('%08x0000700080000000%08x', ((({expression}) * 2654435761) % 4294967296), unicode('{letter}') * 16777216 + ({expression})))"
                    )
                }
                EngineKind::Postgres => format!("md5('{letter}' || ({expression}))::uuid"),
            };
            text = text.replace(&format!("{{id:{letter}:{expression}}}"), &uuid);
        }
    }
    let bytes = if engine == EngineKind::Sqlite { "x'00'" } else { r"'\x00'::bytea" };
    text = text.replace("{bytes}", bytes);
    let (at, later) = match engine {
        EngineKind::Sqlite => ("1700000000000", "1700000000000 + i"),
        EngineKind::Postgres => ("timestamptz '2024-01-01'", "timestamptz '2024-01-01' + i * interval '1 second'"),
    };
    let later_still = later.replace("+ i", "+ (i + 1)");
    text = text.replace("{at+i+1}", &later_still).replace("{at+i}", later).replace("{at}", at);
    if let Some((before, count)) = text.clone().split_once("{n:") {
        let count = count.trim_end_matches('}');
        text = match engine {
            EngineKind::Sqlite => format!(
                "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1) {before} n"
            ),
            EngineKind::Postgres => format!("{before} generate_series(0, {count} - 1) AS i"),
        };
    }
    text
}

#[tokio::test]
async fn no_statement_scans_a_growing_table_on_sqlite() {
    let h = Harness::open(EngineKind::Sqlite).await.expect("SQLite is always there");
    let path = h.options.sqlite_path().expect("a path");
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connected");
    // By what is presumed of the tables, whatever is in them.
    let mut faults = Vec::new();
    for sql in crate::registry::statements() {
        find_scans_on_sqlite(&mut connection, sql, &mut faults).await;
        find_inside_out(&mut connection, sql, &mut faults).await;
    }
    let inside_out = "WITH batch AS (SELECT value AS id FROM jsonb_each($1))
        SELECT l.id FROM lead l CROSS JOIN batch b ON b.id = l.id WHERE l.tenant_id = $2 AND l.campaign_id = $3";
    assert!(faults.is_empty(), "{faults:#?}");
    find_inside_out(&mut connection, &Sql::plain("judge", inside_out, ""), &mut faults).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.clear();
    sqlx::raw_sql("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; BEGIN")
        .execute(&mut connection)
        .await
        .expect("begun");
    for template in FILL {
        let text = fill_text(template, EngineKind::Sqlite);
        sqlx::raw_sql(AssertSqlSafe(text.clone()))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|e| panic!("{e}: {text}"));
    }
    sqlx::raw_sql("COMMIT; ANALYZE").execute(&mut connection).await.expect("analysed");
    for sql in crate::registry::statements() {
        find_scans_on_sqlite(&mut connection, sql, &mut faults).await;
    }
    assert!(faults.is_empty(), "{faults:#?}");
    // The judge itself: a statement that scans is found.
    let row = sqlx::query("EXPLAIN QUERY PLAN SELECT id FROM message m WHERE content = 'x'").fetch_one(&mut connection);
    assert!(is_scan_on_sqlite(&row.await.expect("planned").get::<String, _>("detail")));
}

async fn plan_on_sqlite(connection: &mut SqliteConnection, sql: &Sql) -> Vec<(i64, String)> {
    let text = format!("EXPLAIN QUERY PLAN {}", sql.sqlite);
    let rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{}: {error}", sql.name));
    rows.iter().map(|row| (row.get("parent"), row.get("detail"))).collect()
}

/// A table that is walked.
async fn find_scans_on_sqlite(connection: &mut SqliteConnection, sql: &Sql, faults: &mut Vec<String>) {
    let steps = plan_on_sqlite(connection, sql).await.into_iter();
    let scans = steps.filter(|(_, step)| is_scan_on_sqlite(step));
    faults.extend(scans.map(|(_, step)| format!("{}: {step}", sql.name)));
}

/// Statements whose batch is compared with each row of a table, because there are few rows or a limit to them: an organisation
/// itself, its board, and the leads of a campaign up to a limit.
const INSIDE_OUT: &[&str] = &[
    "mainstay_store::billing::organisation::READ",
    "mainstay_store::reception::board::READ",
    "mainstay_store::outreach::leads::LACKING",
];

/// Statements that look at what an organisation has by nothing but whose it is: they take the first, the last or the smallest
/// in the order of the index, count up to a limit, or count what there are few of.
const OF_ALL: &[&str] = &[
    "mainstay_store::client_reports::FORGET",
    "mainstay_store::deliveries::endpoints::HOW_MANY",
    "mainstay_store::deliveries::publish::LISTENERS",
    "mainstay_store::deliveries::publish::ENDPOINTS",
    "mainstay_store::deliveries::publish::TYPES",
    // Its triggers.
    "mainstay_store::reception::appointments::INSERT",
    "mainstay_store::reception::services::CREATE",
    "mainstay_store::reception::staff::CREATE",
    "mainstay_store::calendars::feeds::CREATE",
    // Of an organisation that is gone.
    "mainstay_store::calls::access::FORGET_NOBODY",
    "mainstay_store::calls::agent::KEEPING",
    "mainstay_store::knowledge::documents::HOW_MANY",
    "mainstay_store::knowledge::search::SIZE",
];

/// A batch that is walked again for each row of a table, and all that an organisation has.
async fn find_inside_out(connection: &mut SqliteConnection, sql: &Sql, faults: &mut Vec<String>) {
    let mut looped = BTreeSet::new();
    for (parent, step) in plan_on_sqlite(connection, sql).await {
        let of_batch = step.starts_with("SCAN jsonb_each ") || step.starts_with("SCAN b ");
        if of_batch && looped.contains(&parent) && !INSIDE_OUT.contains(&sql.name) {
            faults.push(format!("{}: {step} for each row of a table", sql.name));
        }
        if step.starts_with("SEARCH ") {
            looped.insert(parent);
        }
        // By a primary key that begins so there are few: an organisation itself, and what it has one of.
        let few = step.contains("USING PRIMARY KEY") || step.contains("sqlite_autoindex_organisation");
        if step.ends_with("(tenant_id=?)") && !few && !OF_ALL.contains(&sql.name) {
            faults.push(format!("{}: {step}", sql.name));
        }
    }
}

/// `SCAN x` walks all of x, and so does a search that skips from one value of a column to the next (`ANY`). What may be walked:
/// the batch itself, constants, small tables, results of sub-selects.
fn is_scan_on_sqlite(step: &str) -> bool {
    if step.starts_with("SEARCH ") && step.contains("(ANY(") {
        return true;
    }
    let small: Vec<_> = TABLES.iter().filter(|table| !table.grows).map(|table| table.name).collect();
    match step.strip_prefix("SCAN ").and_then(|rest| rest.split_whitespace().next()) {
        None => false,
        // `held` walks numbers of leases: one for each node.
        // `walked`, `w` and `counted` are sub-selects with a limit of their own.
        // `t` and `totals` are what one experiment has found, `means` that for each variant.
        Some(
            "jsonb_each" | "batch" | "b" | "held" | "t" | "totals" | "means" | "walked" | "counted" | "w" | "levels"
            | "CONSTANT",
        ) => false,
        // The views of health: what the samples of five minutes come to.
        Some("newest" | "total" | "gauges" | "system_health_node") => false,
        // What SQLite tells of itself.
        Some(name) if name.starts_with("pragma_") || name == "sqlite_schema" => false,
        Some(name) if name.starts_with('(') => false,
        Some(name) => !small.contains(&name),
    }
}

#[tokio::test]
async fn no_statement_scans_a_growing_table_on_postgres() {
    let Some(h) = Harness::open(EngineKind::Postgres).await else { return };
    // The superuser fills, because the policies bind the owner too.
    let filler = &h.database.as_ref().expect("a database").superuser_url;
    let mut connection = PgConnection::connect(filler).await.expect("connected");
    // What is planned while nothing is there is kept until the tables are analysed.
    sqlx::raw_sql(crate::engine::postgres::PLANNER).execute(&mut connection).await.expect("set");
    let mut faults = Vec::new();
    find_all_scans(&mut connection, &mut faults).await;
    assert!(faults.is_empty(), "while the tables are empty: {faults:#?}");
    sqlx::raw_sql("RESET ALL").execute(&mut connection).await.expect("reset");
    for template in FILL {
        let text = fill_text(template, EngineKind::Postgres);
        sqlx::raw_sql(AssertSqlSafe(text.clone()))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|e| panic!("{e}: {text}"));
    }
    sqlx::raw_sql("ANALYZE").execute(&mut connection).await.expect("analysed");
    find_all_scans(&mut connection, &mut faults).await;
    assert!(faults.is_empty(), "{faults:#?}");
    // The judge itself: a statement that scans is found, and one that reads all that its policy lets it see.
    for (number, text) in ["SELECT id FROM person p WHERE name = $1", "SELECT id FROM message m WHERE content = $1"]
        .into_iter()
        .enumerate()
    {
        let plan = plan_on_postgres(&mut connection, &Sql::plain("judge", "", text)).await;
        find_scans(&serde_json::from_str(&plan).expect("a plan"), "judge", &mut faults);
        assert_eq!(faults.len(), number + 1, "{text}: {plan}");
    }
}

async fn find_all_scans(connection: &mut PgConnection, faults: &mut Vec<String>) {
    let tenants = "SET plan_cache_mode = force_generic_plan; SET app.tenants = '00000000-0000-0000-0000-000000000000'";
    sqlx::raw_sql(tenants).execute(&mut *connection).await.expect("set");
    for sql in crate::registry::statements() {
        let plan = plan_on_postgres(connection, sql).await;
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("a plan");
        find_scans(&plan, sql.name, faults);
    }
}

/// The generic plan, under the role that runs the statement.
async fn plan_on_postgres(connection: &mut PgConnection, sql: &Sql) -> String {
    let count = (1..=40).rev().find(|n| sql.postgres.contains(&format!("${n}"))).unwrap_or(0);
    let arguments = vec!["NULL"; count].join(", ");
    let execute = if count == 0 { "EXECUTE s".to_owned() } else { format!("EXECUTE s ({arguments})") };
    // Housekeeping, what adds up, and what audits and operators look through run as the system, which sees more than the app, where both may run their statements.
    let roles = ["mainstay_app", "mainstay_system"];
    let by_system =
        ["::housekeeping::", "::results::", "::sealed::", "::newest::", "::auditing::", "::replays::reading::"]
            .iter()
            .any(|module| sql.name.contains(module));
    let roles = if by_system { [roles[1], roles[0]] } else { roles };
    for role in roles {
        sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut *connection).await.expect("a role");
        let prepared =
            sqlx::raw_sql(AssertSqlSafe(format!("PREPARE s AS {}", sql.postgres))).execute(&mut *connection).await;
        prepared.unwrap_or_else(|error| panic!("{}: {error}", sql.name));
        let explain = format!("EXPLAIN (FORMAT JSON) {execute}");
        let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await;
        sqlx::raw_sql("DEALLOCATE s; RESET ROLE").execute(&mut *connection).await.expect("cleaned");
        match plan {
            Ok(row) => return row.get::<serde_json_text::Text, _>(0).0,
            Err(error) if error.to_string().contains("permission denied") => {}
            Err(error) => panic!("{}: {error}", sql.name),
        }
    }
    panic!("{}: neither role may run it", sql.name);
}

/// Reading a `json` column as text, which sqlx does not offer without its JSON feature.
mod serde_json_text {
    use sqlx::error::BoxDynError;
    use sqlx::postgres::{PgTypeInfo, PgValueRef};
    use sqlx::{Decode, Postgres, Type};

    pub(super) struct Text(pub(super) String);

    impl Type<Postgres> for Text {
        fn type_info() -> PgTypeInfo {
            PgTypeInfo::with_name("json")
        }
        fn compatible(_: &PgTypeInfo) -> bool {
            true
        }
    }

    impl<'r> Decode<'r, Postgres> for Text {
        fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
            Ok(Self(value.as_str()?.to_owned()))
        }
    }
}

/// A sequential scan, a walk over a whole index, or one that is bounded by nothing but the policy.
fn find_scans(node: &serde_json::Value, statement: &str, faults: &mut Vec<String>) {
    match node {
        serde_json::Value::Array(nodes) => nodes.iter().for_each(|node| find_scans(node, statement, faults)),
        serde_json::Value::Object(fields) => {
            let field = |name: &str| fields.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            let grows = TABLES.iter().any(|table| table.grows && table.name == field("Relation Name"));
            let condition = field("Index Cond");
            let by_policy = condition.starts_with("(tenant_id = ANY (") && !condition.contains(" AND ");
            let whole_index = field("Node Type").starts_with("Index") && (condition.is_empty() || by_policy);
            let bitmap = field("Node Type") == "Bitmap Index Scan" && by_policy;
            if bitmap || grows && (field("Node Type") == "Seq Scan" || whole_index) {
                faults.push(format!(
                    "{statement}: {} on {} by {condition:?}",
                    field("Node Type"),
                    field("Relation Name")
                ));
            }
            fields.values().for_each(|value| find_scans(value, statement, faults));
        }
        _ => {}
    }
}
