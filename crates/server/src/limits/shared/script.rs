//! What is asked of Redis: three scripts, and the messages that they publish.
//!
//! For each [`Key`] there is a sorted set of passes: the score is the moment in microseconds by the clock of Redis, the
//! member names node and pass, so that a pass that is written twice counts once. All keys have one hash tag, since a
//! script names several of them.

use std::sync::LazyLock;

use bytes::{BufMut as _, Bytes, BytesMut};
use mainstay_domain::{ApiKeyId, PersonId, TenantId};
use redis::{FromRedisValue, Script, Value, from_redis_value};
use uuid::Uuid;

use super::super::Class;
use super::super::key::{Key, Network, Rule, Subject};
use super::super::logs::Moment;
use crate::redis::{Away, Link};

/// Which log it is that Redis has: another value after every flush and every restart without its data.
pub(super) const EPOCH: &str = "{mainstay:limits}:epoch";
/// Where passes are made known to all nodes.
pub(super) const CHANNEL: &str = "mainstay:limits";

/// Decides about one request, for all of its limits: it is counted in each or in none. Nothing is written before all is
/// known, so that a server without memory refuses the first write and leaves nothing behind.
///
/// KEYS: the epoch, then a log for each limit. ARGV: the epoch that the node knows, the latest moment at which an answer is
/// of use (0: any), the window, channel, message, member, then for each limit the limit and the newest pass that the node
/// knows of.
static DECIDE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'epoch', now} end
local latest, window = tonumber(ARGV[2]), tonumber(ARGV[3])
if latest > 0 and now > latest then return {'late', now} end
local function text(number) return string.format('%.0f', number) end
local since = now - window
local counted = '(' .. text(since)
local answer, moments, passes = {'pass', now}, {}, true
for i = 2, #KEYS do
  local limit, known = tonumber(ARGV[3 + 2 * i]), tonumber(ARGV[4 + 2 * i])
  local newest = tonumber(redis.call('ZRANGE', KEYS[i], -1, -1, 'WITHSCORES')[2] or 0)
  if known > since and newest < known then return {'lost', now} end
  local count = redis.call('ZCOUNT', KEYS[i], counted, '+inf')
  local skip = math.max(count - limit, 0)
  local leaving = redis.call('ZRANGEBYSCORE', KEYS[i], counted, '+inf', 'WITHSCORES', 'LIMIT', skip, 1)[2]
  local wait = window
  if leaving and limit > 0 then wait = leaving + window - now end
  if count >= limit then passes = false end
  moments[i] = math.max(now, newest)
  answer[#answer + 1] = count
  answer[#answer + 1] = wait
end
if not passes then answer[1] = 'refuse' return answer end
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], text(moments[i]), ARGV[6])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', text(since))
  redis.call('PEXPIRE', KEYS[i], math.ceil(window / 1000) + 1000)
end
redis.call('PUBLISH', ARGV[4], ARGV[5] .. text(now))
return answer
",
    )
});

/// Which log it is. Where there is none it begins: `F` when the node that asks knows of none before, else `B`. A log that is
/// not whole, by what a node knows, becomes another one.
///
/// KEYS: the epoch. ARGV: the epoch that the node knows or nothing, and 1 when passes are missing from its log.
static HELLO: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local epoch = redis.call('GET', KEYS[1])
local kind
if not epoch then
  kind = ARGV[1] == '' and 'F' or 'B'
elseif ARGV[1] ~= '' and (ARGV[1] ~= epoch and string.sub(epoch, 1, 1) == 'F' or ARGV[1] == epoch and ARGV[2] == '1') then
  kind = 'B'
end
if kind then
  epoch = kind .. string.format('%.0f', now)
  redis.call('SET', KEYS[1], epoch)
end
return {epoch, now}
",
    )
});

/// Writes passes that were decided without Redis, and makes known the moment of the newest: a node that took a later one for
/// it would think that the log has lost it.
///
/// KEYS: the epoch, the log. ARGV: the epoch that the node knows, the window, channel, message, then for each pass its
/// member and how long ago it was.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local window, newest = tonumber(ARGV[2]), 0
for i = 5, #ARGV, 2 do
  local moment = now - ARGV[i + 1]
  newest = math.max(newest, moment)
  redis.call('ZADD', KEYS[2], string.format('%.0f', moment), ARGV[i])
end
redis.call('PEXPIRE', KEYS[2], math.ceil(window / 1000) + 1000)
redis.call('PUBLISH', ARGV[3], ARGV[4] .. string.format('%.0f', newest))
return 1
",
    )
});

/// What Redis said about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Whether it passes, and for each limit how many had passed before and how long until one of them goes.
    Decided { passes: bool, limits: Vec<(u32, Moment)> },
    /// The log is another one than the node knows.
    Epoch,
    /// The log lacks a pass that the node knows of.
    Lost,
    /// The question came too late to be of use, and was not counted.
    Late,
}

/// One node as members and messages name it.
pub(super) type Node = [u8; 8];

/// A pass as members name it.
pub(super) fn member(node: &Node, pass: u64) -> [u8; 16] {
    let mut member = [0; 16];
    let (first, second) = member.split_at_mut(8);
    first.copy_from_slice(node);
    second.copy_from_slice(&pass.to_be_bytes());
    member
}

/// What a question is asked with.
pub(super) struct Question<'a> {
    pub(super) epoch: &'a str,
    pub(super) latest: Moment,
    pub(super) window: Moment,
    pub(super) node: &'a Node,
    pub(super) pass: u64,
    /// The newest pass of each limit's log that the node knows of.
    pub(super) known: &'a [Moment],
}

/// Asks about a request. The moment of the answer by the clock of Redis comes with it.
pub(super) async fn decide(link: &Link, rules: &[Rule], question: &Question<'_>) -> Result<(Answer, Moment), Away> {
    let mut call = DECIDE.prepare_invoke();
    call.key(EPOCH).arg(question.epoch).arg(question.latest).arg(question.window).arg(CHANNEL);
    call.arg(&message(question.node, 1, rules.iter().map(|rule| &rule.key))[..]);
    call.arg(&member(question.node, question.pass)[..]);
    for (rule, known) in rules.iter().zip(question.known) {
        call.key(name(&rule.key)).arg(rule.limit).arg(*known);
    }
    let parts: Vec<Value> = link.call(|mut connection| async move { call.invoke_async(&mut connection).await }).await?;
    read(parts).ok_or_else(|| Away::Failed(redis::make_extension_error("limits".to_owned(), None)))
}

fn read(parts: Vec<Value>) -> Option<(Answer, Moment)> {
    fn value<T: FromRedisValue>(parts: &mut impl Iterator<Item = Value>) -> Option<T> {
        from_redis_value(parts.next()?).ok()
    }
    let mut parts = parts.into_iter();
    let word: String = value(&mut parts)?;
    let now: Moment = value(&mut parts)?;
    let passes = match word.as_str() {
        "epoch" => return Some((Answer::Epoch, now)),
        "lost" => return Some((Answer::Lost, now)),
        "late" => return Some((Answer::Late, now)),
        other => other == "pass",
    };
    let mut limits = Vec::new();
    while let Some(count) = value::<u32>(&mut parts) {
        let wait: i64 = value(&mut parts)?;
        limits.push((count, Moment::try_from(wait).unwrap_or_default()));
    }
    Some((Answer::Decided { passes, limits }, now))
}

/// Asks which log Redis has, and what time it is there.
pub(super) async fn hello(link: &Link, known: &str, broken: bool) -> Result<(String, Moment), Away> {
    let mut call = HELLO.prepare_invoke();
    call.key(EPOCH).arg(known).arg(if broken { "1" } else { "" });
    link.call(|mut connection| async move { call.invoke_async(&mut connection).await }).await
}

/// Writes passes, each with how long ago it was. False when Redis has another log by now.
pub(super) async fn write(
    link: &Link,
    (epoch, window): (&str, Moment),
    node: &Node,
    key: &Key,
    passes: &[(u64, Moment)],
) -> Result<bool, Away> {
    let mut call = WRITE.prepare_invoke();
    let count = u16::try_from(passes.len()).unwrap_or(u16::MAX);
    call.key(EPOCH).key(name(key)).arg(epoch).arg(window).arg(CHANNEL);
    call.arg(&message(node, count, std::iter::once(key))[..]);
    for (pass, ago) in passes {
        call.arg(&member(node, *pass)[..]).arg(*ago);
    }
    link.call(|mut connection| async move { call.invoke_async(&mut connection).await }).await
}

/// The name of a log.
fn name(key: &Key) -> String {
    let of = match key.subject {
        Subject::Person(tenant, person) => format!("{tenant}:{person}"),
        other => other.id(),
    };
    format!("{{mainstay:limits}}:{}:{}:{of}", key.class.as_str(), key.subject.kind())
}

/// Passes that another node made known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Learned {
    pub(super) node: Node,
    pub(super) keys: Vec<Key>,
    /// How many passes there were for each key.
    pub(super) count: u16,
    /// When the newest of them was, by the clock of Redis.
    pub(super) newest: Moment,
}

/// A key in a message: class, kind, and 32 bytes of ids.
const KEY_BYTES: usize = 34;

/// A message. Redis adds the moment, as digits.
fn message<'a>(node: &Node, count: u16, keys: impl ExactSizeIterator<Item = &'a Key>) -> Bytes {
    let mut bytes = BytesMut::with_capacity(11 + keys.len() * KEY_BYTES);
    bytes.put_slice(node);
    bytes.put_u16(count);
    bytes.put_u8(u8::try_from(keys.len()).unwrap_or(u8::MAX));
    for key in keys {
        let class = Class::ALL.iter().position(|class| *class == key.class).unwrap_or_default();
        bytes.put_u8(u8::try_from(class).unwrap_or_default());
        let (kind, first, second) = match key.subject {
            Subject::Person(tenant, person) => (0, tenant.uuid().as_u128(), person.uuid().as_u128()),
            Subject::ApiKey(id) => (1, id.uuid().as_u128(), 0),
            Subject::Organisation(tenant) => (2, tenant.uuid().as_u128(), 0),
            Subject::Address(Network::V4(bits)) => (3, u128::from(bits), 0),
            Subject::Address(Network::V6(bits)) => (4, u128::from(bits), 0),
        };
        bytes.put_u8(kind);
        bytes.put_u128(first);
        bytes.put_u128(second);
    }
    bytes.freeze()
}

/// Reads a message. Nothing when it is none of ours.
pub(super) fn learn(message: &[u8]) -> Option<Learned> {
    let (node, rest) = message.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let (keys, rest) = rest.split_first()?;
    let (keys, digits) = rest.split_at_checked(usize::from(*keys) * KEY_BYTES)?;
    Some(Learned {
        node: *node,
        keys: keys.chunks_exact(KEY_BYTES).map(read_key).collect::<Option<_>>()?,
        count: u16::from_be_bytes(*count),
        newest: std::str::from_utf8(digits).ok()?.parse().ok()?,
    })
}

fn read_key(bytes: &[u8]) -> Option<Key> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let (first, rest) = rest.split_first_chunk::<16>()?;
    let (second, _) = rest.split_first_chunk::<16>()?;
    let (first, second) = (u128::from_be_bytes(*first), u128::from_be_bytes(*second));
    let [class, kind] = *head;
    let subject = match kind {
        0 => Subject::Person(TenantId(Uuid::from_u128(first)), PersonId(Uuid::from_u128(second))),
        1 => Subject::ApiKey(ApiKeyId(Uuid::from_u128(first))),
        2 => Subject::Organisation(TenantId(Uuid::from_u128(first))),
        3 => Subject::Address(Network::V4(u32::try_from(first).ok()?)),
        4 => Subject::Address(Network::V6(u64::try_from(first).ok()?)),
        _ => return None,
    };
    Some(Key { subject, class: *Class::ALL.get(usize::from(class))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_nonsense_is_not() {
        let tenant = TenantId(Uuid::from_u128(7));
        let keys = [
            Key::new(Subject::Person(tenant, PersonId(Uuid::from_u128(8))), Class::Messages),
            Key::overall(Subject::ApiKey(ApiKeyId(Uuid::from_u128(9)))),
            Key::overall(Subject::Organisation(tenant)),
            Key::new(Subject::Address(Network::V4(0xC000_0207)), Class::Public),
            Key::new(Subject::Address(Network::V6(0x2001_0DB8_0001_0002)), Class::LiveConnect),
        ];
        let node = [1, 2, 3, 4, 5, 6, 7, 8];
        let mut written = message(&node, 3, keys.iter()).to_vec();
        written.extend_from_slice(b"1700000000123456");
        let learned = learn(&written).expect("a message");
        assert_eq!(learned, Learned { node, keys: keys.to_vec(), count: 3, newest: 1_700_000_000_123_456 });
        for length in 0..written.len() - 16 {
            assert_eq!(learn(&written[..length]), None, "{length} bytes");
        }
    }
}
