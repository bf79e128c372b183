//! Hours of use in a minute: what a page has taken it gives back.

use serde_json::json;

use super::desk::{Desk, at_the_desk};

const CYCLES: u32 = 500;
const WARM_UP: u32 = 50;
/// What may remain of all cycles: noise of the engine, and nothing that grows by the cycle.
const MOST_HEAP: f64 = 1024.0 * 1024.0;
const RUN: u32 = 50;
/// Conversations that are opened in turn, so that none grows long.
const CONVERSATIONS: u32 = 50;

/// Opens a conversation, writes into it, waits for the reply, opens another, and closes it, so many times.
const CYCLE: &str = "
    const {emit, events} = await part('bus');
    const {talk} = await part('talk');
    const [times, ids] = cycle;
    const when = (name, is) => new Promise((done) => {
        const look = () => { if (is()) { events.removeEventListener(name, look); done(); } };
        events.addEventListener(name, look);
        look();
    });
    const open = async (id) => {
        emit('open', {id});
        await when('chat:reset', () => talk.id === id && talk.phase === 'ready');
    };
    const input = document.querySelector('#composer-input');
    for (let turn = 0; turn < times; turn += 1) {
        await open(ids[turn % ids.length]);
        input.value = `Turn ${turn}`;
        input.dispatchEvent(new Event('input'));
        const done = new Promise((go) => events.addEventListener('chat:done', go, {once: true}));
        document.querySelector('#composer').requestSubmit();
        await done;
        await when('chat:state', () => talk.reply === null);
        await open(ids[(turn + 7) % ids.length]);
        emit('open', {id: null});
    }
    window.cyclesDone = times;";

async fn cycles(desk: &Desk, times: u32, ids: &[String]) {
    // In runs of fifty: a command has a limit of its own.
    for _ in 0..times / RUN {
        let begin = format!(
            "const cycle = {}; window.cyclesDone = 0;
            (async () => {{ {CYCLE} }})().catch((error) => {{ window.cycleError = String(error.stack); }});",
            json!([RUN, ids])
        );
        desk.run(&begin).await;
        let ended = "if (window.cycleError) throw window.cycleError; return window.cyclesDone";
        assert_eq!(desk.wait(ended).await, json!(RUN));
    }
}

/// Bytes of the heap, listeners, nodes and documents, when everything that can go is gone.
async fn figures(desk: &Desk) -> [f64; 4] {
    // What is read to a screen reader stands for eight seconds.
    desk.wait("return !document.querySelector('#status > p, #reader > p')").await;
    for _ in 0..3 {
        desk.browser.devtools("HeapProfiler.collectGarbage", json!({})).await.unwrap();
    }
    let all = desk.browser.devtools("Performance.getMetrics", json!({})).await.unwrap();
    let all = all["metrics"].as_array().unwrap();
    ["JSHeapUsedSize", "JSEventListeners", "Nodes", "Documents"]
        .map(|name| all.iter().find(|metric| metric["name"] == name).unwrap()["value"].as_f64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_conversations_later_the_page_holds_no_more() {
    at_the_desk(async |desk| {
        desk.stop_server().await;
        desk.messages_per_day("none").await;
        let fast = [("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "0"), ("MAINSTAY_ASSISTANT__MAX_REPLY_TOKENS", "5")];
        desk.start_server_with(&fast).await;
        desk.open().await;
        desk.sign_up("Ida Rhodes", "ida@example.com").await;
        let token = desk.access_token().await;
        for number in 0..CONVERSATIONS {
            desk.post("/v1/conversations", &token, json!({"title": format!("Number {number}")})).await;
        }
        let all = desk.get("/v1/conversations?limit=100", &token).await;
        let ids = all["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        desk.browser.devtools("Performance.enable", json!({})).await.unwrap();
        cycles(desk, WARM_UP, &ids).await;
        let before = figures(desk).await;
        cycles(desk, CYCLES, &ids).await;
        let after = figures(desk).await;
        let told =
            format!("heap, listeners, nodes, documents: {before:?} after {WARM_UP}, {after:?} after {CYCLES} more");
        println!("{told}");
        assert!(after[0] - before[0] < MOST_HEAP, "{told}");
        // One more of any of them in each cycle would be 500.
        for at in 1..4 {
            assert!(after[at] - before[at] < f64::from(CYCLES) / 10.0, "{told}");
        }
    })
    .await;
}
