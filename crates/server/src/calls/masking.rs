//! What is replaced in what was said in a call, before it is kept: by the same look that keeps such things out of the log. It
//! finds what is written in digits and letters, and not what is spelt out.

use mainstay_domain::{CallMask, CallTold};
use mainstay_store::SaidInCall;
use serde_json::Value;

use crate::ops::log::mask::{CARD, EMAIL, PHONE, mask_only};

/// What is told of a call, masked as its organisation wants it.
pub(super) fn masked(mut told: CallTold, mask: CallMask) -> CallTold {
    let wanted = wanted(mask);
    if wanted.is_empty() {
        return told;
    }
    told.summary = told.summary.map(|summary| mask_only(&summary, &wanted));
    told.transcript = told.transcript.map(|text| transcript(&text, &wanted));
    told
}

/// The words that stand for what is replaced.
fn wanted(mask: CallMask) -> Vec<&'static str> {
    let wanted = [(mask.cards, CARD), (mask.emails, EMAIL), (mask.phones, PHONE)];
    wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect()
}

/// Whether nothing is in a call, as it is kept, that its organisation wants masked.
pub(crate) fn is_masked(call: &SaidInCall) -> bool {
    let wanted = wanted(call.mask.0);
    let is_clean = |text: &str| mask_only(text, &wanted) == text;
    let lines: Option<Vec<Value>> = call.transcript.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let said = match &lines {
        Some(lines) => lines.iter().filter_map(|line| line["text"].as_str()).collect(),
        None => call.transcript.iter().map(String::as_str).collect::<Vec<_>>(),
    };
    call.summary.as_deref().is_none_or(is_clean) && said.into_iter().all(is_clean)
}

fn transcript(text: &str, wanted: &[&str]) -> String {
    let Ok(Value::Array(mut lines)) = serde_json::from_str(text) else { return mask_only(text, wanted) };
    for said in lines.iter_mut().filter_map(|line| line.get_mut("text")) {
        if let Value::String(words) = said {
            *words = mask_only(words, wanted);
        }
    }
    Value::Array(lines).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SAID: &str = "My card is 4242 4242 4242 4242, I am ada@example.com and +49 30 901820.";

    fn told(mask: CallMask) -> (String, Value) {
        let transcript = json!([{"role": "caller", "text": SAID, "at_ms": 4_242}, {"role": "agent"}]).to_string();
        let told = CallTold { summary: Some(SAID.to_owned()), transcript: Some(transcript), ..CallTold::default() };
        let told = masked(told, mask);
        let transcript = serde_json::from_str(&told.transcript.expect("kept")).expect("JSON");
        (told.summary.expect("kept"), transcript)
    }

    #[test]
    fn what_is_wanted_is_replaced_and_the_rest_stays() {
        let (summary, transcript) = told(CallMask::default());
        assert_eq!(summary, "My card is [card], I am ada@example.com and +49 30 901820.");
        assert_eq!((&transcript[0]["text"], &transcript[0]["at_ms"]), (&json!(summary), &json!(4_242)));
        let (all, _) = told(CallMask { cards: true, emails: true, phones: true });
        assert_eq!(all, "My card is [card], I am [email] and [phone].");
        let (none, _) = told(CallMask { cards: false, emails: false, phones: false });
        assert_eq!(none, SAID);
        let (phones, _) = told(CallMask { cards: false, emails: false, phones: true });
        assert!(phones.contains("4242 4242") && phones.ends_with("and [phone]."), "{phones}");
    }

    #[test]
    fn what_is_kept_unmasked_is_found() {
        let kept = |summary: &str, text: &str, mask| SaidInCall {
            id: mainstay_domain::PhoneCallId(uuid::Uuid::nil()),
            tenant: mainstay_domain::TenantId(uuid::Uuid::nil()),
            summary: Some(summary.to_owned()),
            transcript: Some(json!([{"role": "caller", "text": text, "at_ms": 4_242_424_242_424_242_u64}]).to_string()),
            reported_at: None,
            mask: (mask, None),
        };
        let (usual, nothing) = (CallMask::default(), CallMask { cards: false, emails: false, phones: false });
        assert!(is_masked(&kept("My card is [card].", "ada@example.com", usual)));
        assert!(!is_masked(&kept(SAID, "", usual)) && !is_masked(&kept("", SAID, usual)));
        assert!(is_masked(&kept(SAID, SAID, nothing)));
        let text = SaidInCall { transcript: Some(SAID.to_owned()), ..kept("", "", usual) };
        assert!(!is_masked(&text), "what is no list of lines is looked at, too");
    }

    #[test]
    fn a_number_behind_a_word_that_is_secret_is_found() {
        assert_eq!(mask_only("password: 4242424242424242", &[CARD]), "password: [card]");
    }
}
