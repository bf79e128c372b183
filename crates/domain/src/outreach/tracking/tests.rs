use super::*;

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36";
const GMAIL: &str = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
const YAHOO: &str = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html";

/// A request of somebody who read for a while.
fn hit(kind: HitKind, user_agent: &str) -> Hit<'_> {
    Hit {
        kind,
        method: HitMethod::Get,
        user_agent,
        after_delivery: Some(Duration::from_secs(600)),
        links: LinksFollowed { followed: 1, all: 5 },
        hidden_link: false,
        from_machine_range: false,
        prefetch: false,
    }
}

#[test]
fn programs_of_people_are_told_from_machines_by_what_they_call_themselves() {
    use MachineReason::{NoUserAgent, PrivacyProxy, Program, Scanner};
    let people = [
        CHROME,
        GMAIL,
        YAHOO,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.12.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; Microsoft Outlook 16.0.18925; ms-office; MSOffice 16)",
        "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.18925; Pro)",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
        "Outlook-iOS/723.4027091.prod.iphone (4.2515.0)",
        "Mozilla/5.0 (Linux; Android 14; SM-A546B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/137.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Evolution/3.56",
    ];
    for agent in people {
        for kind in [HitKind::Open, HitKind::Click] {
            assert_eq!(hit(kind, agent).visitor(), Visitor::Human, "{agent}");
        }
    }
    let machines = [
        ("Mozilla/5.0", PrivacyProxy),
        (" mozilla/5.0 ", PrivacyProxy),
        ("", NoUserAgent),
        ("   ", NoUserAgent),
        ("Barracuda Sentinel (EE)", Scanner),
        ("Mozilla/5.0 (compatible; Proofpoint URL Defense)", Scanner),
        ("Mimecast Targeted Threat Protection", Scanner),
        ("CiscoSecureEmail/1.0", Scanner),
        ("IronPort/14", Scanner),
        ("Symantec Messaging Gateway", Scanner),
        ("FortiGuard", Scanner),
        ("Mozilla/5.0 (compatible; TrendMicro URL Scanner)", Scanner),
        ("Zscaler Sandbox", Scanner),
        ("VirusTotalCloud", Scanner),
        ("SafeLinks/1.0", Scanner),
        ("Sophos-Central", Scanner),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Program),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", Program),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Program),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Program),
        ("LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient)", Program),
        ("Snap URL Preview Service; bot; snapchat", Program),
        ("python-requests/2.32.4", Program),
        ("Python/3.12 aiohttp/3.11.18", Program),
        ("Python-urllib/3.11", Program),
        ("curl/8.14.1", Program),
        ("Wget/1.25.0", Program),
        ("Go-http-client/2.0", Program),
        ("Apache-HttpClient/5.4.4 (Java/17.0.15)", Program),
        ("Java/1.8.0_452", Program),
        ("okhttp/4.12.0", Program),
        ("axios/1.9.0", Program),
        ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", Program),
        ("lua-resty-http/0.10 (Lua) http_client", Program),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/138.0.0.0 Safari/537.36",
            Program,
        ),
        (
            "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1",
            Program,
        ),
        ("Mozilla/5.0 (compatible; YandexBot)", Program),
        ("SomeSpider", Program),
        ("monitorbot", Program),
        ("Ruby", Program),
    ];
    for (agent, reason) in machines {
        for kind in [HitKind::Open, HitKind::Click] {
            assert_eq!(hit(kind, agent).visitor(), Visitor::Machine(reason), "{agent}");
        }
    }
    assert!(people.len() + machines.len() > 50);
}

#[test]
fn what_is_done_tells_a_machine_that_calls_itself_a_browser() {
    use MachineReason::{AllLinks, HiddenLink, Method, Prefetch, Range, TooSoon};
    let open = hit(HitKind::Open, CHROME);
    let click = hit(HitKind::Click, CHROME);
    let after = |millis: u64| Some(Duration::from_millis(millis));
    let links = |followed, all| LinksFollowed { followed, all };
    for (hit, expected) in [
        (Hit { method: HitMethod::Head, ..open }, Some(Method)),
        (Hit { method: HitMethod::Other, ..click }, Some(Method)),
        (Hit { hidden_link: true, ..click }, Some(HiddenLink)),
        (Hit { from_machine_range: true, ..open }, Some(Range)),
        (Hit { prefetch: true, ..open }, Some(Prefetch)),
        // The time since the delivery.
        (Hit { after_delivery: after(0), ..click }, Some(TooSoon)),
        (Hit { after_delivery: after(4_999), ..click }, Some(TooSoon)),
        (Hit { after_delivery: after(5_000), ..click }, None),
        (Hit { after_delivery: after(1_999), ..open }, Some(TooSoon)),
        (Hit { after_delivery: after(2_000), ..open }, None),
        (Hit { after_delivery: None, ..open }, None),
        (Hit { after_delivery: None, ..click }, None),
        (Hit { after_delivery: after(9_999), user_agent: GMAIL, ..open }, Some(TooSoon)),
        (Hit { after_delivery: after(10_000), user_agent: GMAIL, ..open }, None),
        (Hit { after_delivery: after(9_999), user_agent: YAHOO, ..open }, Some(TooSoon)),
        (Hit { after_delivery: after(9_999), user_agent: GMAIL, ..click }, None),
        // All links at once.
        (Hit { links: links(5, 5), ..click }, Some(AllLinks)),
        (Hit { links: links(6, 5), ..click }, Some(AllLinks)),
        (Hit { links: links(4, 5), ..click }, None),
        (Hit { links: links(3, 3), ..click }, Some(AllLinks)),
        (Hit { links: links(2, 2), ..click }, None),
        (Hit { links: links(1, 1), ..click }, None),
        (Hit { links: LinksFollowed::default(), ..click }, None),
        (Hit { links: links(5, 5), ..open }, None),
        // Of several reasons the first of the list.
        (Hit { hidden_link: true, method: HitMethod::Head, ..click }, Some(HiddenLink)),
        (Hit { links: links(5, 5), after_delivery: after(1), ..click }, Some(TooSoon)),
    ] {
        let expected = expected.map_or(Visitor::Human, Visitor::Machine);
        assert_eq!(hit.visitor(), expected, "{hit:?}");
    }
}

#[test]
fn reasons_read_what_they_print() {
    for reason in MachineReason::ALL {
        assert_eq!(reason.as_str().parse(), Ok(*reason));
    }
}
