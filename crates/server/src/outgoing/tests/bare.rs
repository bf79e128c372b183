//! Bare connections to mail servers that organisations name: the same rules as for addresses of webhooks.

use super::super::{Undialable, dial};
use super::*;

async fn to(names: &Names, host: &str, port: u16) -> Result<tokio::net::TcpStream, Undialable> {
    dial(names, &rules(), (host, port), PATIENCE).await
}

#[tokio::test]
async fn nobody_has_the_server_call_inside() {
    let (outside, inside) = outside_and_inside();
    let port = inside.address().port();
    let names = Names::new([&[INSIDE]]);
    for host in ["127.0.0.1", "mail.example", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254"] {
        let refused = to(&names, host, port).await;
        assert!(matches!(refused, Err(Undialable::Refused(_))), "{host}: {refused:?}");
    }
    // Of several addresses those that are inside are left out.
    let both = Names::new([&[INSIDE, OUTSIDE]]);
    let stream = to(&both, "mail.example", port).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), SocketAddr::new(OUTSIDE, port));
    inside.is_untouched();
    drop(outside);
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_dialled() {
    let (outside, inside) = outside_and_inside();
    let port = inside.address().port();
    let names = Names::new([&[OUTSIDE], &[INSIDE]]);
    let stream = to(&names, "rebinding.example", port).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), SocketAddr::new(OUTSIDE, port));
    assert_eq!(names.asked(), 1, "the name is asked for once");
    assert!(matches!(to(&names, "rebinding.example", port).await, Err(Undialable::Refused(_))));
    inside.is_untouched();
    drop(outside);
}

#[tokio::test]
async fn a_name_without_an_address_and_a_server_that_is_away_are_told_apart() {
    let nobody = Names::default();
    assert!(matches!(to(&nobody, "nowhere.example", 25).await, Err(Undialable::Unresolvable(_))));
    let (outside, _inside) = outside_and_inside();
    let port = outside.local_addr().unwrap().port();
    drop(outside);
    let names = Names::new([&[OUTSIDE]]);
    assert!(matches!(to(&names, "mail.example", port).await, Err(Undialable::Unreachable(..))));
}
