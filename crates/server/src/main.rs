//! The binary `mainstay`. Everything is in the library, so that it is compiled once.

fn main() -> std::process::ExitCode {
    mainstay_server::cli::main()
}
