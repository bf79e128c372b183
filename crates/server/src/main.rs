//! The binary `mainstay`. Everything is in the library, so that it is compiled once.

/// The system's allocator keeps what each thread has given back: the megabytes of a password's hash, once for every thread
/// that has ever made one. This one returns them, and a request spends less time in it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mainstay_server::cli::main()
}
