"""Sends campaigns to a mail server of its own, and tells how many emails a second left and what each stage cost."""

import json
import os
import subprocess
import time

from api import ask, metrics, sign_up

emails, accounts = int(os.environ["EMAILS"]), int(os.environ["ACCOUNTS"])
campaigns, connections = int(os.environ["CAMPAIGNS"]), int(os.environ["CONNECTIONS"])
STAGES = ["claim", "compose", "open", "offer", "fence", "deliver", "end"]


def processor_seconds(process):
    """What a process and its threads have had of the processors so far."""
    with open(f"/proc/{process}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


sink = subprocess.Popen([os.environ["SINK"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
address, port = sink.stdout.readline().strip().rsplit(":", 1)


def sunk():
    sink.stdin.write("\n")
    sink.stdin.flush()
    return [int(number) for number in sink.stdout.readline().split()]


sign_up()
signed = {}
if os.environ["KEY"]:
    with open(os.environ["KEY"]) as key:
        signed = {"dkim": {"selector": "s1", "domain": "example.com", "private_key": key.read()}}
senders = []
for n in range(accounts):
    wish = {"address": f"sender{n}@example.com", "sender_name": "Ada Lovelace", "host": address, "port": int(port), "security": "none"}
    wish |= {"daily_cap": 100000, "connections": connections} | signed
    senders.append(json.loads(ask("POST", "/v1/sending-accounts", wish))["id"])
text = "Dear {{first_name | \"friend\"}},\n\nwe have seen what {{company | \"your company\"}} does, and should like to talk about it.\n\n" * 4
html = "<p>" + text.replace("\n\n", "</p><p>") + "<a href=\"https://example.com/offer\">Our offer</a> <a href=\"{{unsubscribe_url}}\">Leave</a></p>"
variants = [{"name": name, "subject": f"{name}: a word, {{{{first_name | \"friend\"}}}}", "text": text + "To leave: {{unsubscribe_url}}", "html": html} for name in "AB"]
running = []
for n in range(campaigns):
    id = json.loads(ask("POST", "/v1/campaigns", {"name": f"Campaign {n}", "time_zone": "Europe/Berlin"}))["id"]
    ask("PUT", f"/v1/campaigns/{id}/steps", {"steps": [{"delay": "0d", "variants": variants}]})
    ask("PUT", f"/v1/campaigns/{id}/accounts", {"account_ids": senders})
    running.append(id)
for start in range(0, emails, 100):
    lead = lambda n: {"email": f"person{n}@{n % 997}.example", "fields": {"first_name": f"Zoë {n}", "company": f"Firma {n % 500}"}}
    leads = [lead(n) for n in range(start, min(start + 100, emails))]
    ask("POST", f"/v1/campaigns/{running[start // 100 % campaigns]}/leads", {"leads": leads})
before, worked, begun = metrics(), processor_seconds(os.environ["SERVER_PROCESS"]), time.monotonic()
for id in running:
    ask("POST", f"/v1/campaigns/{id}/launch", {})
seen, last = 0, begun
while True:
    time.sleep(0.25)
    kept, twice, lines = sunk()
    if kept != seen:
        seen, last = kept, time.monotonic()
    assert time.monotonic() - last < 60, f"nothing was sent for a minute, after {kept} of {emails}"
    if kept >= emails:
        break
took = time.monotonic() - begun
# What the server has said last is on the disk a moment later.
while True:
    after = metrics()
    accepted = after.get('mainstay_outreach_emails_total{outcome="accepted"}', 0)
    if accepted >= emails:
        break
    assert time.monotonic() - last < 60, f"{accepted} of {emails} are known to be accepted"
    time.sleep(0.1)
worked = processor_seconds(os.environ["SERVER_PROCESS"]) - worked
assert (kept, twice) == (emails, 0), (kept, twice)
print(f"{emails} emails over {lines} connections in {took:.1f} s: {emails / took:.0f} a second; {1000 * worked / emails:.2f} ms of the processors each")
for stage in STAGES:
    label = f'{{stage="{stage}"}}'
    total = after.get("mainstay_outreach_step_seconds_sum" + label, 0) - before.get("mainstay_outreach_step_seconds_sum" + label, 0)
    count = after.get("mainstay_outreach_step_seconds_count" + label, 0) - before.get("mainstay_outreach_step_seconds_count" + label, 0)
    print(f"{stage:8} {count:7.0f} times, {1000 * total / max(count, 1):8.2f} ms each, {total:8.1f} s in all")
sink.stdin.close()
sink.wait()
