//! Where sent mail is kept (RFC 6154).

use super::response::{Listed, Response};
use super::{Cause, Failed, Session, Stage, name};

/// The most folders that are looked at.
const MOST_FOLDERS: usize = 10_000;

/// The usual names of the folder, in small letters, the most usual first.
const USUAL: &[&str] = &[
    "sent",
    "sent items",
    "sent messages",
    "sent mail",
    "gesendet",
    "gesendete objekte",
    "gesendete elemente",
    "gesendete nachrichten",
    "envoyés",
    "éléments envoyés",
    "messages envoyés",
    "enviados",
    "elementos enviados",
    "itens enviados",
    "posta inviata",
    "inviata",
    "verzonden",
    "verzonden items",
    "verzonden berichten",
    "sendt",
    "sendte elementer",
    "skickat",
    "wysłane",
    "elementy wysłane",
    "odeslané",
    "отправленные",
];

/// The best folder so far: those that the server calls so first, then by how usual the name is.
struct Best {
    rank: usize,
    name: String,
}

impl Session {
    /// The name of the folder for sent mail, for [`Session::open`]: the one that the server marks as `\Sent`, else one with a
    /// usual name.
    ///
    /// # Errors
    /// When the server refuses to list its folders, or the conversation fails.
    pub async fn sent_folder(&mut self) -> Result<Option<String>, Failed> {
        // With one command a server that knows both says which folder is which; the others may say so by themselves.
        let extended = self.offers("SPECIAL-USE") && self.offers("LIST-EXTENDED") || self.offers("IMAP4REV2");
        let commands = ["LIST \"\" \"*\" RETURN (SPECIAL-USE)", "LIST \"\" \"*\""];
        let mut refused = None;
        for command in commands.into_iter().skip(usize::from(!extended)) {
            let mut best: Option<Best> = None;
            let mut count = 0;
            let note = |response| {
                if let Response::List(listed) = response
                    && count < MOST_FOLDERS
                {
                    count += 1;
                    if let Some(found) = rank(&listed)
                        && best.as_ref().is_none_or(|best| found.rank < best.rank)
                    {
                        best = Some(found);
                    }
                }
            };
            match self.command(Stage::Folder, command, note).await? {
                Ok(()) => return Ok(best.map(|best| best.name)),
                Err(answer) => refused = Some(answer),
            }
        }
        match refused {
            Some(answer) => Err(Failed { stage: Stage::Folder, cause: Cause::Answer(answer) }),
            None => Ok(None),
        }
    }
}

/// How well a folder fits; `None` when it does not.
fn rank(listed: &Listed) -> Option<Best> {
    let has = |attribute: &str| listed.attributes.iter().any(|known| known == attribute);
    if has("\\noselect") || has("\\nonexistent") {
        return None;
    }
    let name = name::decode(&listed.name)?;
    if has("\\sent") {
        return Some(Best { rank: 0, name });
    }
    let last = listed.delimiter.and_then(|delimiter| name.rsplit(delimiter).next()).unwrap_or(&name).to_lowercase();
    let place = USUAL.iter().position(|usual| *usual == last)?;
    Some(Best { rank: place + 1, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(attributes: &[&str], delimiter: Option<char>, name: &str) -> Option<(usize, String)> {
        let attributes = attributes.iter().map(|&attribute| attribute.to_owned()).collect();
        rank(&Listed { attributes, delimiter, name: name.as_bytes().to_vec() }).map(|best| (best.rank, best.name))
    }

    #[test]
    fn the_mark_of_the_server_comes_before_any_name() {
        assert_eq!(of(&["\\sent"], Some('/'), "[Gmail]/X"), Some((0, "[Gmail]/X".to_owned())));
        assert_eq!(of(&[], Some('.'), "INBOX.SENT"), Some((1, "INBOX.SENT".to_owned())));
        assert_eq!(of(&[], None, "Sent Items"), Some((2, "Sent Items".to_owned())));
        let french = of(&[], Some('/'), "&AMk-l&AOk-ments envoy&AOk-s").map(|(_, name)| name);
        assert_eq!(french.as_deref(), Some("Éléments envoyés"));
        assert_eq!(of(&["\\noselect", "\\sent"], Some('/'), "Sent"), None);
        assert_eq!(of(&[], Some('/'), "Sent/2024"), None);
        assert_eq!(of(&["\\sent"], Some('/'), "a&b"), None);
    }
}
