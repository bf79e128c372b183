//! The binary `mainstay`: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use mainstay_server::cli::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    mainstay_server::app::install_tls();
    run(Arguments::parse()).await
}
