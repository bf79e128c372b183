# The commands of a working day. `just` alone lists them.

# List the recipes.
default:
    @just --list --unsorted

# Format and lint: what to run before each commit.
check: fmt lint

# Run the tests; what needs PostgreSQL, Redis or Chromium is skipped, loudly, where they are missing.
test *arguments:
    cargo test --workspace --locked {{arguments}}

# Run the tests and fail when a service they need is missing.
test-all:
    MAINSTAY_TEST_REQUIRE=all cargo test --workspace --locked

# Format the sources.
fmt:
    cargo fmt --all

# Lint everything; a warning is a failure.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Start the server on SQLite in ./data.
run *arguments="serve":
    cargo run --locked --bin mainstay -- {{arguments}}

# Measure the release build; see bench/README.md for the variables.
bench:
    bench/run.sh

# Write the generated pages again.
docs:
    cargo run --locked --quiet --bin mainstay -- config docs > docs/configuration.md.new
    mv docs/configuration.md.new docs/configuration.md

# Kill the server with SIGKILL this many times and look for anything lost.
crash cycles="200":
    MAINSTAY_TEST_REQUIRE=all MAINSTAY_TEST_CRASH_CYCLES={{cycles}} cargo test --locked -p mainstay-server --test it crash -- --nocapture

# Kill servers in the middle of campaigns of many emails, over twenty accounts.
crash-outreach cycles='100' emails='20000':
    MAINSTAY_TEST_REQUIRE=all MAINSTAY_TEST_CRASH_CYCLES={{cycles}} MAINSTAY_TEST_CRASH_EMAILS={{emails}} cargo test --locked -p mainstay-server --test it crash::outreach -- --nocapture

# Let 200 callers at once want one of 20 times, so often, on both engines.
bookings rounds="50":
    MAINSTAY_TEST_REQUIRE=all MAINSTAY_TEST_BOOKING_ROUNDS={{rounds}} MAINSTAY_TEST_CASES=two_hundred_callers cargo test --locked -p mainstay-store conformance:: -- --nocapture

# Let months of campaigns with so many leads each pass on a virtual clock, on both engines.
months leads="800":
    MAINSTAY_TEST_REQUIRE=all MAINSTAY_TEST_MONTH_LEADS={{leads}} MAINSTAY_TEST_CASES=outreach::month cargo test --locked -p mainstay-store --lib -- --exact conformance::sqlite conformance::postgres --nocapture

# Rotate the keys of this many rows under 32 clients, with the server killed twice in the middle.
rotation rows="100000":
    MAINSTAY_TEST_REQUIRE=all MAINSTAY_TEST_ROTATION_ROWS={{rows}} cargo test --locked -p mainstay-server --test it keys::rotation -- --nocapture --test-threads 1

# Take pictures of the console into target/screenshots.
screenshot:
    MAINSTAY_TEST_REQUIRE=all MAINSTAY_TEST_SCREENSHOTS="{{justfile_directory()}}/target/screenshots" cargo test --locked -p mainstay-server --test it console -- --nocapture

# Run what CI runs.
ci:
    bash .ci/run
