//! A private Redis of a test's own, which it may kill, pause, restart on the same port, flush and run out of memory.
//!
//! It keeps nothing on the disk: a restart begins empty, as an installation without persistence does.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, Program};
use crate::scratch::Scratch;
use crate::{Failure, Result, free_port, skip, while_doing};

/// Starting takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// Another program may take the port between the choice and the start.
const PORT_ATTEMPTS: usize = 5;

/// A Redis server. Dropping it ends the server.
pub struct RedisServer {
    // Before the directory, so that it is dropped first.
    server: Option<Process>,
    port: u16,
    settings: Vec<(String, String)>,
    scratch: Scratch,
}

impl RedisServer {
    /// Starts one with these settings of `redis.conf`. `None` where Redis is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start, or is not installed and [`crate::required`].
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            skip("Redis", "Redis is not installed: there is no redis-server on PATH");
            return None;
        }
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        #[expect(clippy::panic, reason = "a service that is installed and does not start must fail the test")]
        match Self::set_up(settings) {
            Ok(server) => Some(server),
            Err(failure) => panic!("Redis is installed but did not start: {failure}"),
        }
    }

    fn set_up(settings: Vec<(String, String)>) -> Result<Self> {
        let mut redis = Self { server: None, port: 0, settings, scratch: Scratch::new()? };
        let mut outcome = Ok(());
        for _ in 0..PORT_ATTEMPTS {
            redis.port = free_port()?;
            outcome = redis.launch();
            if outcome.is_ok() {
                break;
            }
        }
        outcome.map(|()| redis)
    }

    fn launch(&mut self) -> Result<()> {
        let port = self.port.to_string();
        let fixed = [("--port", port.as_str()), ("--bind", "127.0.0.1"), ("--save", ""), ("--appendonly", "no")];
        let mut program = Program::new("redis-server").directory(self.scratch.path());
        for (name, value) in fixed {
            program = program.arg(name).arg(value);
        }
        for (name, value) in &self.settings {
            program = program.arg(format!("--{name}")).arg(value);
        }
        let server = program.start()?;
        server.wait_for_line_blocking("Ready to accept connections", PATIENCE)?;
        self.server = Some(server);
        Ok(())
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it, as the kernel does when memory runs out.
    ///
    /// # Errors
    /// When it is still there after a minute.
    pub fn kill_9(&mut self) -> Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        server.kill();
        server.wait_blocking(PATIENCE).map(|_| ())
    }

    /// Starts it again, empty, on the same port. One that runs is killed first.
    ///
    /// # Errors
    /// When it is not ready within a minute.
    pub fn restart(&mut self) -> Result<()> {
        self.kill_9()?;
        self.launch()
    }

    /// Stops it where it is: connections stay open and nothing is answered. Goes on after [`Self::resume`].
    pub fn pause(&self) {
        if let Some(server) = &self.server {
            server.pause();
        }
    }

    /// Lets a paused one go on.
    pub fn resume(&self) {
        if let Some(server) = &self.server {
            server.resume();
        }
    }

    /// Runs one command, and gives the answer as it stands on the wire (RESP 2).
    ///
    /// # Errors
    /// When it does not answer, or answers with an error.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let mut socket =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(while_doing("connecting to Redis"))?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(while_doing("setting a timeout"))?;
        socket.write_all(request.as_bytes()).map_err(while_doing("asking Redis"))?;
        let mut answer = vec![0; 65_536];
        let length = socket.read(&mut answer).map_err(while_doing("hearing from Redis"))?;
        answer.truncate(length);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if answer.starts_with('-') {
            Err(Failure(format!("{}: {}", words.join(" "), answer.trim())))
        } else {
            Ok(answer)
        }
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn flush(&self) -> Result<()> {
        self.command(&["FLUSHALL"]).map(|_| ())
    }

    /// Changes a setting while it runs: `maxmemory` to `1`, and nothing can be written any more.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn configure(&self, name: &str, value: &str) -> Result<()> {
        self.command(&["CONFIG", "SET", name, value]).map(|_| ())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.kill_9();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_port_and_forgets_the_rest() {
        let Some(mut redis) = RedisServer::start(&[]) else { return };
        let url = redis.url();
        assert_eq!(redis.command(&["SET", "a", "1"]).unwrap(), "+OK\r\n");
        assert_eq!(redis.command(&["GET", "a"]).unwrap(), "$1\r\n1\r\n");
        redis.restart().unwrap();
        assert_eq!((redis.url(), redis.command(&["GET", "a"]).unwrap()), (url, "$-1\r\n".to_owned()));
        redis.command(&["SET", "a", "1"]).unwrap();
        redis.flush().unwrap();
        assert_eq!(redis.command(&["GET", "a"]).unwrap(), "$-1\r\n");
        redis.configure("maxmemory", "1").unwrap();
        assert!(redis.command(&["SET", "a", "1"]).unwrap_err().to_string().contains("OOM"));
        redis.kill_9().unwrap();
        assert!(redis.command(&["PING"]).is_err());
    }

    #[test]
    fn a_paused_one_answers_when_it_is_resumed() {
        let Some(redis) = RedisServer::start(&[]) else { return };
        redis.pause();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| redis.command(&["PING"]));
            // It cannot be answered: the process is stopped, whatever this thread does meanwhile.
            assert!(!asking.is_finished());
            redis.resume();
            assert_eq!(asking.join().unwrap().unwrap(), "+PONG\r\n");
        });
    }
}
