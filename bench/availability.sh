#!/usr/bin/env bash
# How long finding free times takes: so many people, each with a calendar that is nearly full for so many days. See README.md.
#   bench/availability.sh                                          SQLite in a temporary directory
#   DATABASE_URL=postgres://owner@127.0.0.1/empty bench/availability.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the program; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database whose login may make others; SQLite when not given
: "${PORT:=3131}"
: "${STAFF:=50}"
: "${DAYS:=60}"
: "${BOOKED:=3000}"            # appointments
: "${ASKED:=200}"              # questions that are timed

. "$here/server.sh"
. "$here/no-limits.sh"
start_server
BASE="http://127.0.0.1:$PORT" STAFF=$STAFF DAYS=$DAYS BOOKED=$BOOKED ASKED=$ASKED python3 - <<'PYTHON'
import concurrent.futures, http.client, json, os, statistics, time, urllib.parse

host = urllib.parse.urlparse(os.environ["BASE"])
staff, days, booked, asked = (int(os.environ[name]) for name in ("STAFF", "DAYS", "BOOKED", "ASKED"))
token = None


def connection():
    return http.client.HTTPConnection(host.hostname, host.port, timeout=30)


def exchange(line, method, path, body=None):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    line.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = line.getresponse()
    return answer.status, answer.read()


def send(line, method, path, body=None):
    status, text = exchange(line, method, path, body)
    return status, json.loads(text) if text else None


line = connection()
status, person = send(line, "POST", "/v1/auth/sign-up", {"email": "ada@example.com", "password": "a password of ada", "name": "Ada"})
assert status == 201, person
token = person["access_token"]
week = [["09:00-17:00"]] * 7
assert send(line, "PUT", "/v1/reception", {"time_zone": "Europe/Berlin", "week": week, "lead_minutes": 0, "horizon_days": 90})[0] == 200
service = send(line, "POST", "/v1/services", {"name": "Cleaning", "minutes": 30})[1]["id"]
people = [send(line, "POST", "/v1/staff", {"name": f"Dr. {n}", "services": [service], "week": week if n % 2 else None})[1]["id"] for n in range(staff)]
path = f"/v1/availability?service_id={service}&days={days}&limit=5000"
starts = [time["starts_at"] for time in send(line, "GET", path)[1]["data"]]


def book(number):
    line = connection()
    made = 0
    for place in range(number, booked, 8):
        body = {"service_id": service, "starts_at": starts[place // staff % len(starts)], "contact": {"phone": f"+49 30 {1000000 + place % 500}"}}
        made += send(line, "POST", "/v1/appointments", body)[0] == 201
    return made


began = time.monotonic()
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    made = sum(pool.map(book, range(8)))
took = time.monotonic() - began
print(f"{made} appointments of {staff} people were made in {took:.1f} s: {made / took:.0f} a second")


def timed(what, path, before=None):
    times, size = [], 0
    for number in range(asked):
        if before:
            before(number)
        began = time.monotonic()
        # To the last byte of the answer. What reading it takes is the client's.
        status, text = exchange(line, "GET", path)
        times.append((time.monotonic() - began) * 1000)
        assert status == 200, text
        size = len(json.loads(text)["data"])
    times.sort()
    print(f"{what}: {size} times, p50 {statistics.median(times):.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms")


timed(f"all free times of {days} days, for anybody", path)
timed("the next ten", f"/v1/availability?service_id={service}&days={days}&limit=10")
timed(f"all of one person in {days} days", path + f"&staff_id={people[0]}")
free = [time["starts_at"] for time in send(line, "GET", path)[1]["data"]]
timed(
    f"all free times of {days} days, each after somebody booked",
    path,
    lambda number: send(line, "POST", "/v1/appointments", {"service_id": service, "starts_at": free[-1 - number % len(free)], "hold": True}),
)
PYTHON
