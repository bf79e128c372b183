"""Makes a little of everything, so that what is asked for by its id is there: prints the ids by where they belong."""

import base64
import json
import os
import sys
import time

import requests

URL = os.environ["CONTRACT_URL"]
SESSION = requests.Session()
# One white pixel.
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC")
# How many of each: some are changed and removed by the run.
EACH = 6


def send(method: str, path: str, body=None, **more) -> dict:
    answer = SESSION.request(method, URL + path, json=body, timeout=60, **more)
    if not answer.ok:
        sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else {}


def sign_in() -> None:
    credentials = {"email": os.environ["CONTRACT_EMAIL"], "password": os.environ["CONTRACT_PASSWORD"]}
    SESSION.headers["Authorization"] = "Bearer " + send("POST", "/v1/auth/sign-in", credentials)["access_token"]


def ids(path: str) -> list:
    return [row["id"] for row in send("GET", f"{path}?limit=100")["data"]]


def until(look) -> list:
    """What is there within a few seconds: a job makes it."""
    for _ in range(50):
        if found := look():
            return found
        time.sleep(0.1)
    sys.exit("a job has not done what it should")


def reception() -> dict:
    week = [["00:00-24:00"]] * 7
    send("PUT", "/v1/reception", {"time_zone": "Europe/Berlin", "week": week, "lead_minutes": 0, "calling_code": 49})
    send("PUT", "/v1/phone-agent", {"greeting": "Hello"})
    services = [send("POST", "/v1/services", {"name": f"Service {n}", "minutes": 30})["id"] for n in range(EACH)]
    staff = [send("POST", "/v1/staff", {"name": f"Dr. {n}", "services": services})["id"] for n in range(EACH)]
    phone = "+49 30 90182{}"
    contacts = [send("POST", "/v1/contacts", {"name": "Bea", "phone": phone.format(n)})["id"] for n in range(EACH)]
    twilio = {"name": "Texts", "provider": "twilio", "secrets": ["a secret"]}
    texts = {"sender_id": send("POST", "/v1/inbox-sources", twilio)["id"], "account_sid": "AC" + "0" * 32}
    send("PUT", "/v1/text-settings", {**texts, "from": "+15005550006", "reminder_minutes": []})
    free = send("GET", f"/v1/availability?service_id={services[0]}&limit={4 * EACH}")["data"]
    feeds = [send("POST", "/v1/calendar-feeds", {"name": f"Feed {n}"}) for n in range(EACH)]
    made = []
    for number, contact in enumerate(contacts):
        book = {"service_id": services[0], "starts_at": free[4 * number]["starts_at"], "contact_id": contact}
        made.append(send("POST", "/v1/appointments", book)["id"])
    return {
        "services": services,
        "staff": staff,
        "contacts": contacts,
        "appointments": made,
        "text-messages": ids("/v1/text-messages"),
        "calendar-feeds": [feed["id"] for feed in feeds],
        "files": [feed["url"].rsplit("/", 1)[1] for feed in feeds],
        "twilio": [texts["sender_id"]],
    }


def calls() -> dict:
    sender = send("POST", "/v1/inbox-sources", {"name": "Calls", "provider": "vapi", "secrets": ["a secret"]})
    hook = sender["url"][sender["url"].index("/hooks/") :]
    for number in range(EACH):
        call = {"id": f"call-{number}", "type": "inboundPhoneCall", "customer": {"number": "+49309018200"}}
        tool = {"id": "one", "name": "take_message", "arguments": {"message": "Call me back", "name": "Bea"}}
        message = {"type": "tool-calls", "call": call, "toolCallList": [tool], "timestamp": 1790000000000 + number}
        send("POST", hook, {"message": message}, headers={"X-Vapi-Secret": "a secret"})
    found = {"calls": ids("/v1/calls"), "phone-messages": ids("/v1/phone-messages"), "inbox": ids("/v1/inbox")}
    provider, key = hook.split("/")[2:]
    return {**found, "inbox-sources": [sender["id"]], "providers": [provider], "keys": [key]}


def outreach() -> dict:
    campaigns, leads, accounts, imports = [], [], [], []
    variants = [{"name": "A", "subject": "Hello", "text": "Hello"}]
    for number in range(EACH):
        account = {"address": f"from{number}@example.com", "host": "mail.invalid", "daily_cap": 10}
        accounts.append(send("POST", "/v1/sending-accounts", account)["id"])
        mailbox = {"host": "mail.invalid", "user_name": "ada", "password": "secret"}
        send("PUT", f"/v1/sending-accounts/{accounts[-1]}/mailbox", mailbox)
        campaign = send("POST", "/v1/campaigns", {"name": f"Campaign {number}", "time_zone": "UTC"})["id"]
        of = f"/v1/campaigns/{campaign}"
        send("PUT", f"{of}/steps", {"steps": [{"delay": "0d", "variants": variants}]})
        send("PUT", f"{of}/accounts", {"account_ids": accounts[-1:]})
        leads += [row["id"] for row in send("POST", f"{of}/leads", {"leads": [{"email": f"to{number}@example.org"}]})["data"]]
        imports.append(send("POST", f"{of}/imports", {"name": "people.csv"})["id"])
        campaigns.append(campaign)
    # Its emails are due at once, and go nowhere.
    send("POST", f"/v1/campaigns/{campaigns[0]}/launch")
    emails = until(lambda: [row["id"] for row in send("GET", f"/v1/emails?campaign_id={campaigns[0]}")["data"]])
    made = {"campaigns": campaigns, "leads": leads, "sending-accounts": accounts, "imports": imports}
    return {**made, "emails": emails}


def assistant() -> dict:
    sent = [send("POST", "/v1/messages", {"content": f"Hello {n}"}) for n in range(EACH)]
    images = [SESSION.post(URL + "/v1/images", data=PIXEL, timeout=60).json()["id"]]
    text = {"title": "Opening hours", "content": "We are open from Monday to Friday, 9 to 17."}
    return {
        "conversations": [one["conversation_id"] for one in sent],
        "generations": [one["generation_id"] for one in sent],
        "images": images,
        "documents": [send("POST", "/v1/documents", text)["id"] for _ in range(EACH)],
    }


def operations() -> dict:
    endpoints = [send("POST", "/v1/webhook-endpoints", {"url": "https://hooks.example.invalid/a"})["id"] for _ in range(EACH)]
    for number in range(EACH):
        send("POST", "/v1/webhook-events", {"type": "invoice.paid", "data": {"number": number}})
    send("POST", "/v1/jobs/probes", {"count": EACH, "key": "contract"})
    keys = [send("POST", "/v1/api-keys", {"name": f"Key {n}", "scopes": ["read"]})["id"] for n in range(EACH)]
    deliveries = ids("/v1/webhook-deliveries")
    return {"webhook-endpoints": endpoints, "webhook-deliveries": deliveries, "jobs": ids("/v1/jobs"), "api-keys": keys}


sign_in()
made = {**reception(), **calls(), **outreach(), **assistant(), **operations()}
made["controls"] = [control["name"] for control in send("GET", "/v1/controls")["known"]]
made["queues"] = [queue["name"] for queue in send("GET", "/v1/queues")["data"]]
me = send("GET", "/v1/me")
made["organisations"] = [me["organisation"]["id"]]
made["members"] = [me["user"]["id"]]
found = send("GET", "/v1/experiments")["data"]
made["experiments"], made["experiment-keys"] = [row["id"] for row in found], [row["key"] for row in found]
json.dump(made, sys.stdout)
