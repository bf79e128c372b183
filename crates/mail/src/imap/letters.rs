//! The messages of a folder: what is new, and one by its Message-ID.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::response::{Attributes, Response};
use super::session::quoted;
use super::{Cause, ENOUGH_BYTES, Failed, Letter, MOST_LETTERS, No, Session, Stage};
use crate::heard::{self, clean_id, id_in};

/// How many uids the first search asks about.
const FIRST_WIDTH: u32 = 2_000;
/// The most searches of one call.
const MOST_SEARCHES: usize = 100;
/// How many of the messages that a search by Message-ID finds are looked at.
const MOST_CANDIDATES: usize = 20;

impl Session {
    /// The messages of the open folder whose uid is higher than `after_uid`, the lowest first: at most `most`, never more than
    /// [`MOST_LETTERS`], and no further one after [`ENOUGH_BYTES`]. Empty only when there is none: whoever wants all asks again
    /// after the last one. Nothing is marked as read. What somebody deletes meanwhile is left out.
    ///
    /// # Errors
    /// When no folder is open, the server refuses, or the conversation fails.
    pub async fn newer(&mut self, after_uid: u32, most: usize) -> Result<Vec<Letter>, Failed> {
        let failed = |cause| Failed { stage: Stage::Search, cause };
        let uid_next = self.folder.ok_or_else(|| failed(NO_FOLDER))?.uid_next;
        let most = most.clamp(1, MOST_LETTERS);
        let mut width = FIRST_WIDTH;
        let mut next = after_uid.checked_add(1);
        // A search about everything could find millions, and uids may have wide gaps, so it goes by widening steps.
        for _ in 0..MOST_SEARCHES {
            let Some(from) = next else { return Ok(Vec::new()) };
            let to = from.saturating_add(width - 1);
            let is_last = to >= uid_next.saturating_sub(1);
            // The last step has no end: what came since the folder was opened counts too.
            let range = if is_last { format!("UID {from}:*") } else { format!("UID {from}:{to}") };
            let mut found = BTreeSet::new();
            let keep = |uid| {
                // The star is the last message even where that has a lower uid than the beginning.
                if uid >= from {
                    found.insert(uid);
                    if found.len() > most {
                        found.pop_last();
                    }
                }
            };
            self.search(&range, keep).await?;
            let letters = self.letters(&found).await?;
            if !letters.is_empty() {
                return Ok(letters);
            }
            next = match found.last() {
                // All that was found is gone already, and there may be more.
                Some(highest) if found.len() >= most => highest.checked_add(1),
                _ if is_last => None,
                _ => {
                    width = width.saturating_mul(4);
                    to.checked_add(1)
                }
            };
        }
        Err(failed(Cause::Garbage("messages that are found and never there")))
    }

    async fn letters(&mut self, uids: &BTreeSet<u32>) -> Result<Vec<Letter>, Failed> {
        let mut letters = Vec::new();
        let mut bytes = 0;
        for uid in uids {
            if bytes >= ENOUGH_BYTES {
                break;
            }
            if let Some(letter) = self.letter(*uid).await? {
                bytes += letter.raw.len();
                letters.push(letter);
            }
        }
        Ok(letters)
    }

    /// One message, so that one which the server cannot give holds up no other. `None` when it is gone.
    async fn letter(&mut self, uid: u32) -> Result<Option<Letter>, Failed> {
        let failed = |answer| Failed { stage: Stage::Fetch, cause: Cause::Answer(answer) };
        let items = format!("(UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<0.{}>)", heard::MOST_BYTES);
        let (found, refused) = match self.fetch(uid, &items).await? {
            (found, Ok(())) => (found, None),
            (found, Err(_)) if found.body.is_some() => (found, None),
            (_, Err(answer)) if answer.code.as_deref() == Some("EXPUNGEISSUED") => return Ok(None),
            (_, Err(answer)) if answer.no == No::Bad || answer.is_for_now() => return Err(failed(answer)),
            (found, Err(answer)) => (found, Some(answer)),
        };
        // Only flags, or nothing: the message is gone.
        if found.body.is_none() && found.size.is_none() && refused.is_none() {
            return Ok(None);
        }
        let raw = found.body.unwrap_or_default();
        let size = found.size.unwrap_or(raw.len() as u64);
        Ok(Some(Letter { uid, size, internal_date: found.internal_date.as_deref().and_then(moment), raw, refused }))
    }

    /// The uid of a message of the open folder with this Message-ID, given with or without its brackets; the newest where there
    /// are several. What the server finds is looked at, so that a part of another id is not taken for it. `None` says that the
    /// server finds none: some find a message only some time after it came.
    ///
    /// # Errors
    /// When no folder is open, the id is none, the server refuses, or the conversation fails.
    pub async fn find_message_id(&mut self, id: &str) -> Result<Option<u32>, Failed> {
        let failed = |cause| Failed { stage: Stage::Search, cause };
        if self.folder.is_none() {
            return Err(failed(NO_FOLDER));
        }
        let id = clean_id(id).ok_or_else(|| failed(Cause::Unsuitable("The Message-ID is none.")))?;
        // Some servers look for words, and find none that has a bracket.
        for wanted in [format!("<{id}>"), id.clone()] {
            let query = format!("HEADER Message-ID {}", quoted(&wanted).map_err(failed)?);
            let mut found = BTreeSet::new();
            let keep = |uid| {
                found.insert(uid);
                if found.len() > MOST_CANDIDATES {
                    found.pop_first();
                }
            };
            self.search(&query, keep).await?;
            for uid in found.into_iter().rev() {
                if self.has_message_id(uid, &id).await? {
                    return Ok(Some(uid));
                }
            }
        }
        Ok(None)
    }

    async fn has_message_id(&mut self, uid: u32, id: &str) -> Result<bool, Failed> {
        let (found, done) = self.fetch(uid, "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])").await?;
        match (found.body, done) {
            (Some(header), _) => Ok(id_in(&String::from_utf8_lossy(&header)).as_deref() == Some(id)),
            (None, Ok(())) => Ok(false),
            (None, Err(answer)) => Err(Failed { stage: Stage::Fetch, cause: Cause::Answer(answer) }),
        }
    }

    async fn search(&mut self, query: &str, mut keep: impl FnMut(u32)) -> Result<(), Failed> {
        let command = format!("UID SEARCH {query}");
        let note = |response| {
            if let Response::Search(uids) = response {
                uids.into_iter().filter(|uid| *uid > 0).for_each(&mut keep);
            }
        };
        let done = self.command(Stage::Search, &command, note).await?;
        done.map_err(|answer| Failed { stage: Stage::Search, cause: Cause::Answer(answer) })
    }

    /// What the server says of one message, and whether it refused.
    async fn fetch(&mut self, uid: u32, items: &str) -> Result<(Attributes, Result<(), super::Answer>), Failed> {
        let mut all = Attributes::default();
        let note = |response| {
            let Response::Fetch(found) = response else { return };
            // Flags of any message may come in between. Only what was asked for has a text, if it does not say whose it is.
            if found.uid == Some(uid) || found.uid.is_none() && found.body.is_some() {
                all.size = found.size.or(all.size);
                all.internal_date = found.internal_date.or(all.internal_date.take());
                all.body = found.body.or(all.body.take());
            }
        };
        let done = self.command(Stage::Fetch, &format!("UID FETCH {uid} {items}"), note).await?;
        Ok((all, done))
    }
}

const NO_FOLDER: Cause = Cause::Unsuitable("No folder is open.");

/// A moment as servers write it: `17-Jul-1996 02:44:25 -0700`, with a space before a day of one digit.
fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let at = |text: &str| moment(text).map(|moment| moment.to_string());
        assert_eq!(at("17-Jul-1996 02:44:25 -0700").as_deref(), Some("1996-07-17T09:44:25Z"));
        assert_eq!(at(" 1-feb-2026 00:00:00 +0000").as_deref(), Some("2026-02-01T00:00:00Z"));
        for bad in ["", "yesterday", "31-Feb-2026 00:00:00 +0000", "1-Feb-2026 00:00:00"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
