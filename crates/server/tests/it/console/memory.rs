//! Hours of use in a minute: what a page has taken it gives back.

use std::time::Duration;

use serde_json::json;

use super::desk::{Desk, at_the_desk};

const CYCLES: u32 = 500;
const WARM_UP: u32 = 100;
/// What may remain of all cycles: noise of the engine, and nothing that grows by the cycle.
const MOST_HEAP: f64 = 1024.0 * 1024.0;
const PATIENCE: Duration = Duration::from_secs(240);

/// Opens a conversation, writes into it, waits for the reply, opens another, and closes it, so many times.
const CYCLE: &str = "
    const {emit, events} = await part('bus');
    const {talk} = await part('talk');
    const [times, first, second] = cycle;
    const when = (name, is) => new Promise((done) => {
        const look = () => { if (is()) { events.removeEventListener(name, look); done(); } };
        events.addEventListener(name, look);
        look();
    });
    const open = async (id) => {
        emit('open', {id});
        await when('chat:reset', () => talk.id === id && talk.phase === 'ready' && talk.messages.length);
    };
    const input = document.querySelector('#composer-input');
    for (let turn = 0; turn < times; turn += 1) {
        await open(first);
        const before = talk.messages.length;
        input.value = `Turn ${turn}`;
        input.dispatchEvent(new Event('input'));
        const done = new Promise((go) => events.addEventListener('chat:done', go, {once: true}));
        document.querySelector('#composer').requestSubmit();
        await done;
        await when('chat:state', () => talk.reply === null);
        await open(second);
        emit('open', {id: null});
    }
    window.cyclesDone = (window.cyclesDone ?? 0) + times;";

async fn cycles(desk: &Desk, times: u32, ids: &[String]) {
    let before = desk.browser.execute("return window.cyclesDone ?? 0", &[]).await.unwrap();
    // Not waited for by the command, which has a limit of its own.
    let begin =
        format!("const cycle = {}; (async () => {{ {CYCLE} }})(); return null;", json!([times, ids[0], ids[1]]));
    desk.run(&begin).await;
    let wanted = before.as_u64().unwrap() + u64::from(times);
    desk.browser.wait_for(&format!("return window.cyclesDone >= {wanted}"), PATIENCE).await.unwrap();
}

/// Bytes of the heap, listeners, nodes and documents, when everything that can go is gone.
async fn figures(desk: &Desk) -> [f64; 4] {
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
        let fast = [("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "0"), ("MAINSTAY_ASSISTANT__MAX_REPLY_TOKENS", "5")];
        desk.start_server_with(&fast).await;
        desk.open().await;
        desk.sign_up("Ida Rhodes", "ida@example.com").await;
        let mut ids = Vec::new();
        for question in ["First", "Second"] {
            desk.click("#new-conversation").await;
            desk.ask(question).await;
            desk.settled(2).await;
            ids.push(desk.conversation().await);
        }
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
