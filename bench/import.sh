#!/usr/bin/env bash
# How long a list of people takes to become leads, and what that takes of the server's memory. See README.md.
#   bench/import.sh                                                SQLite in a temporary directory
#   DATABASE_URL=postgres://owner@127.0.0.1/empty bench/import.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the program; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database whose login may make others; SQLite when not given
: "${PORT:=3131}"
: "${ROWS:=100000}"

. "$here/server.sh"
. "$here/no-limits.sh"
start_server
BASE="http://127.0.0.1:$PORT" ROWS=$ROWS PYTHONPATH="$here/load" python3 - <<'PYTHON'
import json, os, threading, time, urllib.parse

from api import ask, metrics, sign_up

rows = int(os.environ["ROWS"])


def resident():
    return metrics().get("mainstay_process_resident_bytes", 0.0)


sign_up()
campaign = json.loads(ask("POST", "/v1/campaigns", {"name": "A list", "time_zone": "Europe/Berlin"}))["id"]
lines = ["email;first name;last name;company;job title;city"]
for n in range(rows):
    lines.append(f"person{n}@{n % 997}.example;Zoë {n};Müller;Firma {n % 500};Head of {n % 40};Town {n % 900}")
content = ("\n".join(lines) + "\n").encode()
before, most, over = resident(), 0.0, threading.Event()


def watch():
    global most
    while not over.wait(0.1):
        most = max(most, resident())


watching = threading.Thread(target=watch)
watching.start()
begun = time.monotonic()
id = json.loads(ask("POST", f"/v1/campaigns/{campaign}/imports", {"name": "people.csv", "bytes": len(content)}))["id"]
at, size = 0, 4 << 20
while at < len(content):
    last = "true" if at + size >= len(content) else "false"
    path = f"/v1/imports/{id}/content?offset={at}&last={last}"
    now = json.loads(ask("POST", path, content[at : at + size], "text/csv"))
    at = now["read_bytes"]
took = time.monotonic() - begun
over.set()
watching.join()
assert now["added"] == rows and now["state"] == "finished", now
mib = 1 << 20
print(f"{rows} rows, {len(content) / mib:.1f} MiB: {took:.1f} s, {rows / took:.0f} a second; {before / mib:.0f} MiB before, {most / mib:.0f} MiB at the most")


def timed(path):
    begun = time.monotonic()
    answer = json.loads(ask("GET", path))
    return (time.monotonic() - begun) * 1000, answer


def told(name, waits):
    waits.sort()
    print(f"{name}: median {waits[len(waits) // 2]:.1f} ms, worst {waits[-1]:.1f} ms of {len(waits)}")


leads = f"/v1/campaigns/{campaign}/leads?limit=100"
for sort in ["-created_at", "created_at", "email", "-email"]:
    waits, after, walked = [], "", 0
    while after is not None:
        took, page = timed(f"{leads}&sort={sort}{after}")
        waits.append(took)
        walked += len(page["data"])
        after = f"&after={page['next']}" if page["next"] else None
    assert walked == rows, (sort, walked)
    told(f"every page by {sort}", waits)
for text in ["nobody-of-this-name", f"person{rows - 1}@", urllib.parse.quote("müller")]:
    for more in ["", "&state=new", "&sort=email", "&state=new&sort=-email"]:
        told(f"searched for {text}{more}", [timed(f"{leads}&query={text}{more}")[0] for _ in range(20)])
told("the figures of the campaign", [timed(f"/v1/campaigns/{campaign}/figures")[0] for _ in range(20)])
PYTHON
