// Calendars of others: which are connected, what they take of somebody's time, where they say something else than the
// reception does, and feeds for other programs.

import { Problem } from "./api.js";
import { make, say } from "./dom.js";
import { actionButton, ask, badge, moment } from "./operator.js";
import { choice, everything, input, labelled, onSubmit, orElse } from "./reception.js";

const DAY = 1440;
/** Calendars whose times are asked for, at most. */
const MOST = 50;
const WORDS = { connecting: "connecting", connected: "connected", stale: "not up to date", reconnect: "connect it again" };
const KINDS = { connected: "good", connecting: "", stale: "bad", reconnect: "bad" };

/** Takes what somebody brought back from Google, if they have been there: true then. The address is that of the settings again. */
export async function comeBack(life) {
  const query = new URLSearchParams(location.search);
  const [state, code] = [query.get("state"), query.get("code")];
  if (!state) return false;
  history.replaceState(null, "", `${location.pathname}?view=settings`);
  if (!code) throw new Problem({ status: 409, code: "not_allowed", title: "Nothing was connected", detail: "Google was not allowed to share the calendar." });
  await ask(life, "POST", "/v1/calendar-sign-ins", { body: { state, code } });
  say("The calendar is connected.");
  return true;
}

/** The calendars that are connected. */
export const connected = (life) => everything(life, "/v1/calendar-connections");

/** What they take within some days: `{staff, day, start, end}`, minutes of the day. */
export async function busyTimes(life, zone, connections, days, within) {
  const lists = await Promise.all(connections.slice(0, MOST).map(({ staff_id }) => ask(life, "GET", "/v1/busy-times", { query: { staff_id, ...within } })));
  const all = [];
  for (const { staff_id, starts_at, ends_at } of lists.flatMap(({ data }) => data)) {
    const [from, until] = [zone.at(starts_at), zone.at(ends_at)];
    for (const day of days) {
      if (day < from.day || day > until.day) continue;
      const start = day === from.day ? from.minute : 0;
      const end = day === until.day ? until.minute : DAY;
      if (start < end) all.push({ staff: staff_id, day, start, end });
    }
  }
  return all;
}

const CONFLICTS = {
  moved: { said: (time) => `In the calendar it was moved to ${time}.`, ours: "Write it back", theirs: "Move it there" },
  deleted: { said: () => "In the calendar it was deleted.", ours: "Write it again", theirs: "Cancel it" },
  busy: { said: (time) => `Something else in the calendar begins at ${time}.`, seen: "I know" },
};

/** Shows in `root` where calendars say something else. `done` is called when somebody has decided. */
export async function conflicts(life, root, desk, done) {
  const found = await everything(life, "/v1/calendar-conflicts");
  const slot = make("div", { class: "listing-notice" });
  const rows = found.map((one) => {
    const { said, ...ways } = CONFLICTS[one.kind];
    const time = one.theirs_from ? desk.zone.full(one.theirs_from) : "";
    const buttons = Object.entries(ways).map(([keep, label]) =>
      actionButton(life, { label, name: `keep-${keep}`, slot, run: () => ask(life, "POST", `/v1/calendar-conflicts/${one.id}/resolve`, { body: { keep } }), done }),
    );
    const words = make("div", {}, make("strong", { text: `${desk.staffName(one.staff_id)}, ${desk.zone.full(one.ours_from)}` }), make("p", { class: "soft", text: said(time) }));
    return make("li", { "data-conflict": one.kind, "data-id": one.id }, words, make("div", { class: "row-buttons" }, ...buttons));
  });
  if (!rows.length) return root.replaceChildren();
  root.replaceChildren(make("section", { class: "notice conflicts", role: "group", "aria-label": "Calendars say something else" }, make("h2", { text: "Calendars say something else" }), slot, make("ul", { class: "rows" }, ...rows)));
}

/** Words for calendars that are not as they should be. */
export const troubles = (desk, connections) => connections.filter(({ state }) => state === "stale" || state === "reconnect").map(({ staff_id, state }) => `The calendar of ${desk.staffName(staff_id)} is ${state === "stale" ? "not up to date" : "to be connected again"}.`);

/** The part of the settings about calendars and feeds. */
export async function calendars(life, desk, renew) {
  const [connections, feeds] = await Promise.all([connected(life), everything(life, "/v1/calendar-feeds")]);
  const slot = make("div", { class: "listing-notice" });
  const rows = desk.staff.filter(({ archived_at }) => !archived_at).map((one) => staffRow(life, one, connections.find(({ staff_id }) => staff_id === one.id), slot, renew));
  const list = rows.length ? make("ul", { class: "rows" }, ...rows) : make("p", { class: "soft nothing", text: "Add staff first." });
  return make("section", { "data-part": "calendars" }, make("h2", { text: "Google calendars" }), slot, list, ...feedsPart(life, desk, feeds, renew));
}

function staffRow(life, one, connection, slot, renew) {
  const path = `/v1/staff/${one.id}/calendar`;
  const connect = async () => {
    const { authorization_url } = await ask(life, "POST", path);
    location.assign(authorization_url);
  };
  const button = (label, name, run, more = {}) => actionButton(life, { label, name, slot, run, ...more });
  const words = make("div", {}, make("strong", { text: one.name }));
  const buttons = make("div", { class: "row-buttons" });
  if (connection) {
    words.append(" ", badge(WORDS[connection.state], KINDS[connection.state]));
    const seen = connection.synced_at ? ["read ", moment(connection.synced_at)] : ["not read yet"];
    words.append(make("p", { class: "soft" }, `${connection.account}, `, ...seen, connection.error ? `. ${connection.error}` : ""));
    if (connection.state === "reconnect") buttons.append(button("Connect again", "connect-calendar", connect));
    else buttons.append(button("Read now", "read-calendar", () => ask(life, "POST", `${path}/sync`), { done: renew }));
    const sure = { title: `Disconnect the calendar of ${one.name}?`, text: "What it takes of their time is free then. What was written into it stays there.", yes: "Disconnect" };
    buttons.append(button("Disconnect", "disconnect-calendar", () => ask(life, "DELETE", path), { ask: sure, done: renew, danger: true }));
  } else {
    buttons.append(button("Connect", "connect-calendar", connect));
  }
  return make("li", { "data-name": one.name, "data-state": connection?.state ?? "none" }, words, buttons);
}

function feedsPart(life, desk, feeds, renew) {
  const slot = make("div", { class: "listing-notice" });
  const made = make("div", { class: "made", role: "status" });
  const rows = feeds.map((feed) => {
    const sure = { title: `Remove ${feed.name}?`, text: "Its address is not there any more.", yes: "Remove" };
    const remove = actionButton(life, { label: "Remove", name: "remove-feed", slot, ask: sure, run: () => ask(life, "DELETE", `/v1/calendar-feeds/${feed.id}`), done: renew });
    return make("li", { "data-feed": feed.name }, make("div", {}, make("strong", { text: feed.name }), make("p", { class: "soft", text: feed.staff_id ? desk.staffName(feed.staff_id) : "Everybody" })), remove);
  });
  const staff = desk.staff.filter(({ archived_at }) => !archived_at).map(({ id, name }) => [id, name]);
  const form = make(
    "form",
    { class: "fields", "data-form": "feed" },
    labelled("Name", input("name", { required: true, maxlength: "200" })),
    labelled("Whose appointments", choice("staff_id", [["", "Everybody's"], ...staff])),
    make("div", { class: "wide" }, make("button", { type: "submit", class: "button small", text: "Make a feed" })),
  );
  onSubmit(life, form, slot, async () => {
    const { name, staff_id } = form.elements;
    const feed = await ask(life, "POST", "/v1/calendar-feeds", { body: { name: name.value.trim(), staff_id: staff_id.value || null } });
    const address = make("input", { readonly: true, value: feed.url, "data-feed-url": "", "aria-label": "The address of the feed" });
    made.replaceChildren(make("p", { text: "Add this address to a calendar program. It is shown this once, and whoever has it sees the appointments." }), address);
    form.reset();
    address.select();
  });
  const list = rows.length ? make("ul", { class: "rows" }, ...rows) : make("p", { class: "soft nothing", text: "There are none yet." });
  return [make("h2", { text: "Feeds for other programs" }), slot, list, form, made];
}

/** The calendars of others, or none where they cannot be had: the page goes on without them. */
export const orNone = (asked) => orElse(asked, []);
