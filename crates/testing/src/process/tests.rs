use std::os::unix::process::ExitStatusExt as _;

use super::*;
use crate::{Scratch, free_port, table};

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

/// Waits until `done`, looking often: for what no signal tells, the end of a process that is not our child.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not happen within 10 s");
}

#[tokio::test]
async fn lines_of_both_streams_are_kept() {
    let process = shell("echo \"out $COLOUR\"; echo err >&2").env("COLOUR", "blue").start().unwrap();
    assert!(process.wait(SOON).await.unwrap().success());
    let mut lines = process.lines();
    lines.sort();
    assert_eq!(lines, ["err", "out blue"]);
}

#[tokio::test]
async fn input_is_read_to_its_end() {
    let process = Program::new("wc").arg("-c").input("x".repeat(200_000)).start().unwrap();
    assert!(process.wait(SOON).await.unwrap().success());
    assert_eq!(process.lines(), ["200000"]);
    // One that reads nothing ends as if nothing was given.
    let process = shell("exit 0").input("y".repeat(200_000)).start().unwrap();
    assert!(process.wait(SOON).await.unwrap().success());
}

#[tokio::test]
async fn a_line_is_found_before_and_after_it_comes() {
    let process =
        shell("echo first; read -r _ </dev/null; sleep 0.1; echo second word; exec sleep 60").start().unwrap();
    assert_eq!(process.wait_for_line("second", SOON).await.unwrap(), "second word");
    assert_eq!(process.wait_for_line("first", SOON).await.unwrap(), "first");
    assert!(process.is_running());
}

#[tokio::test]
async fn a_process_that_ends_is_not_waited_for() {
    let process = shell("echo broken; exit 3").start().unwrap();
    let failure = process.wait_for_line("ready", Duration::from_secs(60)).await.unwrap_err().to_string();
    assert!(failure.contains("exit status: 3") && failure.contains("broken"), "{failure}");
}

#[tokio::test]
async fn a_deadline_ends_the_wait_also_when_the_clock_is_paused() {
    let process = shell("exec sleep 60").start().unwrap();
    tokio::time::pause();
    let failure = process.wait_for_line("ready", Duration::from_millis(50)).await.unwrap_err().to_string();
    assert!(failure.contains("within 50ms") && failure.contains("still running"), "{failure}");
}

#[tokio::test]
async fn kill_and_terminate_end_it_in_their_own_ways() {
    let killed = shell("exec sleep 60").start().unwrap();
    killed.kill();
    assert_eq!(killed.wait(SOON).await.unwrap().signal(), Some(9));
    let asked = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done").start().unwrap();
    asked.wait_for_line("ready", SOON).await.unwrap();
    asked.terminate();
    assert_eq!(asked.wait(SOON).await.unwrap().code(), Some(7));
    assert!(asked.lines().contains(&"bye".to_owned()));
}

#[tokio::test]
async fn readiness_is_asked_over_http() {
    let port = free_port().unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let serve = async {
        let answers = ["503 Service Unavailable", "200 OK"];
        for status in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut request).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await.unwrap();
        }
    };
    let process = shell("exec sleep 60").start().unwrap();
    let (ready, ()) = tokio::join!(process.wait_for_http(&url, SOON), serve);
    ready.unwrap();
    drop(listener);
    process.kill();
    assert!(process.wait_for_http(&url, SOON).await.is_err());
}

#[test]
fn dropping_ends_the_whole_group() {
    let process = shell("sleep 60 & echo $!; wait").start().unwrap();
    let child: u32 = wait_for_line(&process.shared, "sh", "", SOON).unwrap().parse().unwrap();
    assert!(table::descendants(std::process::id()).contains(&child));
    drop(process);
    eventually("the end of the grandchild", || !table::lives(child));
}

#[test]
#[ignore = "run in a process of its own by the test below, which kills it"]
fn starts_a_process_and_hangs() {
    let process = shell("echo bound; exec sleep 60").start().unwrap();
    // Only what has begun to run is bound to the life of this process: until then it is `setpriv`, which binds it.
    wait_for_line(&process.shared, "sh", "bound", SOON).unwrap();
    let scratch = Scratch::new().unwrap();
    println!("child {} in {}", process.id(), scratch.path().display());
    // The thread that started it ends, the process does not.
    let _ = process.wait_blocking(Duration::from_secs(60));
}

#[tokio::test]
async fn a_killed_test_takes_its_processes_with_it_and_the_next_one_its_files() {
    let arguments = ["process::tests::starts_a_process_and_hangs", "--exact", "--ignored", "--nocapture"];
    let test = Program::new(std::env::current_exe().unwrap()).args(arguments).start().unwrap();
    let line = test.wait_for_line("child ", SOON).await.unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [.., child, "in", directory] = words.as_slice() else { panic!("{line}") };
    let child: u32 = child.parse().unwrap();
    assert!(table::lives(child) && Path::new(directory).exists());
    test.kill();
    test.wait(SOON).await.unwrap();
    eventually("the end of the killed test's child", || !table::lives(child));
    let next = Program::new(std::env::current_exe().unwrap())
        .args(["scratch::tests::a_directory_goes_with_its_handle", "--exact"])
        .start()
        .unwrap();
    assert!(next.wait(SOON).await.unwrap().success());
    assert!(!Path::new(directory).exists());
}
