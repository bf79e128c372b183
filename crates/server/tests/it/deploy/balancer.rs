//! A load balancer for connections, as HAProxy is one with `option httpchk GET /readyz` and `option redispatch`: it sends new
//! connections to nodes that say they are ready, in turn, and where one refuses a connection, to the next. What was sent on a
//! connection is never sent again: repeating requests is the client's affair.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::interval;

/// How often each node is asked.
const EVERY: Duration = Duration::from_millis(100);

struct Node {
    port: u16,
    ready: AtomicBool,
    served: AtomicUsize,
}

pub(super) struct Balancer {
    pub(super) address: String,
    nodes: Arc<Vec<Node>>,
    running: Vec<JoinHandle<()>>,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

impl Balancer {
    #[expect(clippy::disallowed_methods, reason = "a test has no lifecycle; what it starts ends with it")]
    pub(super) async fn start(ports: &[u16]) -> Self {
        let node = |port: &u16| Node { port: *port, ready: AtomicBool::new(true), served: AtomicUsize::new(0) };
        let nodes: Arc<Vec<Node>> = Arc::new(ports.iter().map(node).collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let watched = Arc::clone(&nodes);
        let passing = Arc::clone(&nodes);
        let running = vec![
            tokio::spawn(async move { watch(&watched).await }),
            tokio::spawn(async move {
                for turn in 0.. {
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    tokio::spawn(pass(Arc::clone(&passing), turn, stream));
                }
            }),
        ];
        Self { address, nodes, running }
    }

    /// How many connections each node had.
    pub(super) fn served(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.served.load(Ordering::SeqCst)).collect()
    }
}

async fn watch(nodes: &[Node]) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("a client");
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        for node in nodes {
            let answer = client.get(format!("http://127.0.0.1:{}/readyz", node.port)).send().await;
            node.ready.store(answer.is_ok_and(|answer| answer.status().is_success()), Ordering::SeqCst);
        }
    }
}

async fn pass(nodes: Arc<Vec<Node>>, turn: usize, mut stream: TcpStream) {
    let in_turn = (0..nodes.len()).map(|place| &nodes[(turn + place) % nodes.len()]);
    // Those that are ready first; the others only when no other one takes it.
    let (ready, others): (Vec<_>, Vec<_>) = in_turn.partition(|node| node.ready.load(Ordering::SeqCst));
    for node in ready.into_iter().chain(others) {
        if let Ok(mut to) = TcpStream::connect(("127.0.0.1", node.port)).await {
            node.served.fetch_add(1, Ordering::SeqCst);
            let _ = copy_bidirectional(&mut stream, &mut to).await;
            return;
        }
    }
}
