// The one place that speaks HTTP. The access token lives here, in memory only; the refresh token is a cookie that no
// script can read.

import { emit } from "./bus.js";

const TIMEOUT_MS = 30_000;
const UPLOAD_MS = 120_000;
/** A token is renewed this long before it ends. */
const MARGIN_MS = 60_000;

/** What the server, or the way to it, answered instead of what was asked for (RFC 9457). */
export class Problem extends Error {
  constructor({ status = 0, code = "unknown", title = "", detail = "", request_id = null, fields = [], alternatives = [] }, retryAfter = null) {
    super(detail || title || code);
    this.name = "Problem";
    Object.assign(this, { status, code, detail: detail || title || "No reason was given.", requestId: request_id, fields: fields ?? [], alternatives: alternatives ?? [], retryAfter });
  }

  /**
   * The id to name when asking for help, of a fault of the server. What was refused for a reason that is said with it (a
   * wrong password, a limit, something that is gone) is no fault, and has none.
   */
  get faultId() {
    return this.status >= 500 ? this.requestId : null;
  }

  /** True when the same request may be accepted later: nothing says that it was wrong. */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

let access = null;
/** True when somebody was here before and the page was opened for them without asking the server. */
let isExpected = false;
let renewal = 0;
let refreshing = null;

const siblings = "BroadcastChannel" in self ? new BroadcastChannel("mainstay") : null;
siblings?.addEventListener("message", ({ data }) => {
  if (data === "signed-out" && isSignedIn()) forget("elsewhere");
});

/** Takes the tokens of an answer that signed a person in. */
export function adopt({ access_token, expires_in }) {
  access = { token: access_token, until: Date.now() + expires_in * 1000 };
  plan(Math.max(5000, expires_in * 1000 - MARGIN_MS));
}

export const isSignedIn = () => access !== null || isExpected;

/** Somebody was signed in when the page was last here. Whether they still are shows with the first request. */
export function expectSomebody() {
  isExpected = true;
}

function plan(ms) {
  clearTimeout(renewal);
  renewal = setTimeout(() => {
    refresh().catch((problem) => access && plan((problem.retryAfter ?? 30) * 1000));
  }, ms);
}

function forget(reason) {
  access = null;
  isExpected = false;
  clearTimeout(renewal);
  emit("signed-out", reason);
}

/** Renews the access token: once at a time in this tab, one tab after the other. */
export function refresh() {
  refreshing ??= alone(renew).finally(() => (refreshing = null));
  return refreshing;
}

const alone = (work) => (navigator.locks ? navigator.locks.request("mainstay.refresh", work) : work());

async function renew() {
  try {
    const response = await send("POST", "/v1/auth/refresh", { body: {}, signal: AbortSignal.timeout(TIMEOUT_MS) });
    adopt(await response.json());
  } catch (problem) {
    if (problem.status === 401 && isSignedIn()) forget("ended");
    throw problem;
  }
}

/** Ends the session, here and in the other tabs. */
export async function signOut() {
  await call("POST", "/v1/auth/sign-out");
  siblings?.postMessage("signed-out");
  forget("asked");
}

/** One request with a JSON answer. Options: `query`, `body`, `headers`, `signal`, `open` (no token is needed), `keepalive` (it outlives the page). */
export async function call(method, path, options = {}) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  const response = await authorised(method, path, { ...options, signal });
  return response.status === 204 ? null : readJson(response);
}

/** Sends a file as it is, with a JSON answer. */
export async function upload(path, file, signal) {
  const limit = AbortSignal.timeout(UPLOAD_MS);
  return readJson(await authorised("POST", path, { file, signal: AbortSignal.any([signal, limit]) }));
}

/** One request whose answer is bytes. */
export async function fetchBlob(path) {
  const response = await authorised("GET", path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  return response.blob();
}

/** One request whose answer is a stream of events. The response is returned as soon as its head is there. */
export async function stream(method, path, options = {}) {
  const response = await authorised(method, path, { ...options, headers: { Accept: "text/event-stream", ...options.headers } });
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
    throw new Problem({ status: 502, code: "not_a_stream", detail: "The server did not answer with a stream.", request_id: response.headers.get("x-request-id") });
  }
  return response;
}

async function authorised(method, path, options) {
  if (options.open) return send(method, path, options);
  if (access ? access.until - Date.now() < 5000 : isExpected) await refresh();
  const used = access?.token;
  try {
    return await send(method, path, options, used);
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    // Another request may have renewed it while this one was on its way.
    if (access?.token === used) await refresh();
    if (!access) throw problem;
    return send(method, path, options, access.token);
  }
}

async function send(method, path, { query, body, file, headers = {}, signal, keepalive = false }, token) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  const head = new Headers(headers);
  if (token) head.set("Authorization", `Bearer ${token}`);
  if (body !== undefined) head.set("Content-Type", "application/json");
  if (file) head.set("Content-Type", "application/octet-stream");
  let response;
  try {
    response = await fetch(url, { method, headers: head, body: file ?? (body === undefined ? undefined : JSON.stringify(body)), credentials: "same-origin", cache: "no-store", signal, keepalive });
  } catch (error) {
    if (error.name === "TimeoutError") throw unreachable("The server did not answer in time.");
    if (signal?.aborted) throw signal.reason;
    throw unreachable();
  }
  emit("reached");
  if (response.ok) return response;
  throw await problemOf(response);
}

/** The problem of a server that gave no answer. Tells the page, which then looks for it. */
function unreachable(detail = "It may be starting again, or the network between is down.") {
  if (!navigator.onLine) return new Problem({ code: "offline", detail: "This device has no network just now." });
  emit("unreached");
  return new Problem({ code: "unreachable", detail });
}

async function readJson(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable("The connection was lost before the answer was complete.");
  }
}

async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  const fallback = { title: `The server answered ${response.status}.`, code: `http_${response.status}`, request_id: response.headers.get("x-request-id") };
  return new Problem({ ...fallback, ...(said !== null && typeof said === "object" ? said : {}), status: response.status }, seconds(response.headers.get("retry-after")));
}

/** Retry-After as seconds from now (RFC 9110, 10.2.3: a number or a date), or null. */
function seconds(text) {
  if (!text) return null;
  const value = /^\d+$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - Date.now()) / 1000);
  return Number.isFinite(value) ? Math.min(Math.max(value, 1), 86_400) : null;
}
