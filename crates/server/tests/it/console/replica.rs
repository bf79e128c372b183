//! The copy in the browser under a random schedule: pages, pushes that are lost or come twice, sockets that break, another
//! history, and a copy that was damaged. At every rest it is what the server has.

use serde_json::json;

use super::desk::at_the_desk;

/// A server as docs/sync.md describes one, in the page: it answers `fetch` and plays the other end of `WebSocket`.
const SERVER: &str = r"
let state = 20260707;
const chance = (most) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor(state / 2 ** 32 * most); };
const server = {epoch: 7, head: 0, rows: new Map(), sockets: new Set(), asked: 0, again: 0};
const place = (epoch, head) => `${epoch}.${head}-0.0`;
const wire = ({id, kind, seq, parent, row}) => ({stream: 'membership', kind, id, seq, deleted: !row, parent: row ? parent : null, row: row ?? null});
const write = (id, kind, parent, row) => {
  server.head += 1;
  const change = {id, kind, parent, row, seq: server.head};
  server.rows.set(id, change);
  if (!row) for (const [child, {parent: of}] of server.rows) if (of === id) server.rows.delete(child);
  for (const socket of server.sockets) socket.push(wire(change));
};
const live = () => [...server.rows.values()].filter(({row}) => row);
const page = (cursor, limit) => {
  server.asked += 1;
  const [, epoch, head] = /^(\d+)\.(\d+)-/.exec(cursor || '0.0-') ?? [];
  if (cursor && Number(epoch) !== server.epoch) { server.again += 1; return Response.json({code: 'resync_required', reason: 'epoch'}, {status: 410}); }
  const after = [...server.rows.values()].filter(({seq, row}) => seq > Number(head) && (cursor || row)).sort((a, b) => a.seq - b.seq);
  const changes = after.slice(0, Math.min(limit, 4));
  const complete = changes.length === after.length;
  const at = complete ? server.head : changes.at(-1).seq;
  const checksum = {count: live().length, sum: live().reduce((sum, {seq}) => sum + seq, 0)};
  return Response.json({changes: changes.map(wire), cursor: place(server.epoch, at), complete, epoch: `${server.epoch}-0`, checksum, next_sync_after_ms: null});
};
class Socket {
  constructor() { setTimeout(() => this.ready()); }
  say(frame) { const text = JSON.stringify(frame); setTimeout(() => this.isGone || this.onmessage({data: text}), 0); }
  ready() { if (this.isGone) return; server.sockets.add(this); this.say({type: 'ready', cursor: place(server.epoch, server.head), next_sync_after_ms: null, safety_sync_after_ms: null}); }
  push(change) { if (!this.isDeaf) this.say({type: 'change', ...change}); if (!this.isDeaf && chance(9) === 0) this.say({type: 'change', ...change}); }
  skip() { this.isDeaf = true; this.say({type: 'ping'}); setTimeout(() => { this.isDeaf = false; this.say({type: 'resync'}); this.say({type: 'ready', cursor: place(server.epoch, server.head), next_sync_after_ms: null, safety_sync_after_ms: null}); }, 4); }
  send() {}
  close() { if (!this.isGone) this.cut(); }
  cut() { this.isGone = true; server.sockets.delete(this); setTimeout(() => this.onclose?.({code: 1001, reason: '{\'reconnect\':true}'})); }
}
const realFetch = window.fetch;
window.fetch = async (url, options) => {
  const {pathname, searchParams} = new URL(url, location);
  if (pathname === '/v1/live/tickets') return Response.json({ticket: 't', expires_in: 30}, {status: 201});
  if (pathname !== '/v1/sync') return realFetch(url, options);
  await new Promise((go) => setTimeout(go, chance(4)));
  if (chance(12) === 0) throw new TypeError('made up: the network is gone');
  return page(searchParams.get('cursor'), Number(searchParams.get('limit')));
};
window.WebSocket = Socket;
";

/// Follows it with the page's own modules, and compares at every rest.
const FOLLOW: &str = r"
const [{followServer}, {Life}, idb, replica, {makeQueue}] = await Promise.all(['sync', 'life', 'idb', 'replica', 'queue'].map(part));
const db = await idb.openDatabase('model', 1, (db) => (replica.makeReplica(db), makeQueue(db)), () => {});
const life = new Life('model');
let diverged = 0, failed = null;
life.failed = (error) => { failed = error; };
life.begin();
const {events} = await part('bus');
followServer(life, db, (type) => { if (type === 'local:diverged') diverged += 1; });
const rows = () => idb.transact(db, ['rows'], 'readonly', (rows) => idb.got(rows.getAll()));
const text = (all) => JSON.stringify(all.map(({id, kind, seq, parent, row}) => [id, kind, seq, parent, row]).sort());
const rest = async (what) => {
  const until = performance.now() + 50_000;
  for (;;) {
    if (failed) throw failed;
    const {cursor, begun, count, sum} = await replica.stateOf(db);
    const here = text(await rows());
    if (begun && here === text(live()) && cursor === place(server.epoch, server.head) && count === live().length && sum === live().reduce((all, {seq}) => all + seq, 0)) return;
    if (performance.now() > until) throw new Error(`${what}: ${cursor} ${count} ${sum} ${here} instead of ${server.head} ${text(live())}`);
    dispatchEvent(new Event('online'));
    await new Promise((go) => setTimeout(go, 20));
  }
};
const ids = (kind) => live().filter((row) => row.kind === kind).map(({id}) => id);
let made = 0;
for (let step = 0; step < 1500; step += 1) {
  const kind = chance(20);
  const conversations = ids('conversation');
  if (kind < 4 || !conversations.length) write(`c${made += 1}`, 'conversation', null, {title: `${step}`, updated_at: `${step}`});
  else if (kind < 14) { const parent = conversations[chance(conversations.length)]; write(`m${made += 1}`, 'message', parent, {content: `${step}`, ordinal: made}); }
  else if (kind < 17) { const all = live(); const {id, kind, parent, row} = all[chance(all.length)]; write(id, kind, parent, {...row, again: step}); }
  else if (kind < 19) write(conversations[chance(conversations.length)], 'conversation', null, null);
  else if (chance(3) === 0) for (const socket of server.sockets) chance(2) ? socket.cut() : socket.skip();
  if (chance(3) === 0) await new Promise((go) => setTimeout(go, chance(5)));
  if (step % 250 === 249) await rest(step);
  if (step === 700) { server.epoch += 1; for (const socket of server.sockets) socket.cut(); }
}
const before = diverged;
// Something is applied that never was: the sums tell, and the copy is made again.
await idb.transact(db, ['rows', 'meta'], 'readwrite', async (rows, meta) => {
  const [first] = await idb.got(rows.getAll());
  rows.delete([first.stream, first.kind, first.id]);
  const {count, sum, ...state} = await idb.got(meta.get('state'));
  meta.put({...state, count: count - 1, sum: sum - first.seq}, 'state');
});
for (const socket of server.sockets) socket.cut();
await rest('damaged');
life.end();
db.close();
await idb.deleteDatabase('model');
return {before, rows: live().length, asked: server.asked, again: server.again};
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_copy_agrees_with_the_server_after_any_schedule() {
    at_the_desk(async |desk| {
        desk.open().await;
        let seen = desk.run(&format!("{SERVER}{FOLLOW}")).await;
        assert_eq!(seen["before"], json!(0), "it diverged: {seen}");
        assert!(seen["rows"].as_u64() > Some(20) && seen["asked"].as_u64() > Some(50), "{seen}");
        assert!(seen["again"].as_u64() > Some(0), "another history was not noticed: {seen}");
    })
    .await;
}
