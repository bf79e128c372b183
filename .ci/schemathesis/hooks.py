"""What Schemathesis is told of this service beyond its document: who calls, texts of forms that no pattern can say whole,
ids of what is there, and which refusals of well-formed requests are right."""

import itertools
import json
import os
import re
import string

import requests
import schemathesis
from hypothesis import strategies as st

URL = os.environ["CONTRACT_URL"]
CREDENTIALS = {"email": os.environ["CONTRACT_EMAIL"], "password": os.environ["CONTRACT_PASSWORD"]}
with open(os.environ["CONTRACT_SEEDS"], encoding="utf-8") as seeds:
    THERE = json.load(seeds)


# Who calls.


class Bearer:
    """An access token of the person whom the run was given."""

    def get(self, case, context):
        answer = requests.post(f"{URL}/v1/auth/sign-in", json=CREDENTIALS, timeout=30)
        answer.raise_for_status()
        return answer.json()["access_token"]

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


# What ends more than the token that it comes with.
ENDS_ALL = ["/v1/auth/sign-out-everywhere", "/v1/auth/password"]


@schemathesis.auth(refresh_interval=600).skip_for(path=["/v1/auth/sign-out", *ENDS_ALL])
class Lasting(Bearer):
    pass


@schemathesis.auth(refresh_interval=None).apply_to(path="/v1/auth/sign-out")
class Once(Bearer):
    """Signing out ends the token that it comes with."""


@schemathesis.auth(refresh_interval=None).apply_to(path=ENDS_ALL)
class Another(Bearer):
    """Somebody who has just signed up, and whom nobody else stands for."""

    numbers = itertools.count()

    def get(self, case, context):
        person = {"email": f"another{next(self.numbers)}@example.com", "password": "a password of another"}
        answer = requests.post(f"{URL}/v1/auth/sign-up", json=person, timeout=30)
        answer.raise_for_status()
        return answer.json()["access_token"]


# Texts.


def clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def within_a_day():
    pairs = st.lists(st.integers(0, 1440), min_size=2, max_size=2, unique=True).map(sorted)
    return pairs.filter(lambda pair: pair[0] < 1440).map(lambda pair: f"{clock(pair[0])}-{clock(pair[1])}")


def a_window():
    days = st.sampled_from(["mon", "mon-fri", "mon-sun", "sat-sun", "wed"])
    return st.tuples(days, within_a_day()).map(" ".join)


def a_phone_number():
    rest = st.text(string.digits, min_size=7, max_size=12)
    return st.tuples(st.sampled_from("123456789"), rest).map(lambda parts: "+" + "".join(parts))


def an_address_on_the_web():
    name = st.text(string.ascii_lowercase, min_size=1, max_size=12)
    return st.tuples(name, name).map(lambda parts: f"https://{parts[0]}.example.invalid/{parts[1]}")


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
schemathesis.openapi.format("time-zone", st.sampled_from(ZONES))
schemathesis.openapi.format("opening", within_a_day())
schemathesis.openapi.format("sending-window", a_window())
schemathesis.openapi.format("phone-number", a_phone_number())
schemathesis.openapi.format("web-address", an_address_on_the_web())
schemathesis.openapi.format("replay-events", st.just('[{"type":1,"timestamp":1700000000000,"data":{}}]'))


# What is there.

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# What the service itself has named: that is asked for as it stands.
KNOWN = set(itertools.chain.from_iterable(THERE.values()))
TURNS = itertools.count()
# A part of a path, and of what it names one; nothing where the path says of what.
IN_PATHS = {"id": None, "name": None, "provider": "providers", "key": "keys", "file": "files"}
# A field of a body, and of what it names one.
FIELDS = {
    "sender_id": "twilio",
    "experiment": "experiment-keys",
    "service_id": "services",
    "staff_id": "staff",
    "contact_id": "contacts",
    "account_id": "sending-accounts",
    "lead_id": "leads",
    "conversation_id": "conversations",
    "organisation_id": "organisations",
}


def one_of(kind: str):
    rows = THERE.get(kind)
    return rows[next(TURNS) % len(rows)] if rows else None


@schemathesis.hook
def before_call(context, case, kwargs):
    """Three of four well-formed requests for what is made up ask for what is there instead."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or next(TURNS) % 4 == 0:
        return
    kind = case.path.removeprefix("/v1/").removeprefix("budgets/").split("/")[0]
    # What is removed is what the run has made.
    for name in IN_PATHS.keys() & (case.path_parameters or {}).keys() if case.method != "DELETE" else ():
        if case.path_parameters[name] not in KNOWN and one_of(IN_PATHS[name] or kind):
            case.path_parameters[name] = one_of(IN_PATHS[name] or kind)
    if case.path.startswith("/hooks/{provider}"):
        case.headers["X-Vapi-Secret"] = "a secret"
    if isinstance(case.body, dict):
        for field in case.body.keys() & FIELDS.keys():
            if isinstance(case.body[field], str) and case.body[field] not in KNOWN and one_of(FIELDS[field]):
                case.body[field] = one_of(FIELDS[field])


@schemathesis.hook
def after_call(context, case, response):
    if 200 <= response.status_code < 300 and "json" in response.headers.get("content-type", [""])[0]:
        KNOWN.update(UUID.findall(response.text))


# Refusals.

# Of any operation, by the code of the field or, where no field is at fault, of the problem.
RIGHT_ANYWHERE = {
    "invalid_cursor": "A cursor is a place in a list; only the list itself makes them.",
    "control_characters": "No control characters: a pattern that says so on each text would say little else.",
    "upgrade_required": "A WebSocket begins with an upgrade, which a document of HTTP requests cannot ask for.",
    "idempotency_key_reused": "The run has used the key for another request.",
    "not_same_origin": "A cookie is for pages of this server, which the run is not.",
}
# Of some operations: how their path begins, what field is refused with which code, and why no schema of that field can say so.
STATE = "It depends on what is there, and in which state."
TOGETHER = "It depends on what else is given."
GRAMMAR = "A text with a grammar of its own."
ONE_LINE = "One line without control characters."
RIGHT = {
    ("/v1/appointments", "until", "out_of_range"): TOGETHER,
    ("/v1/appointments", "contact", "missing"): TOGETHER,
    ("/v1/appointments", "contact", "ambiguous"): TOGETHER,
    ("/v1/appointments", "staff_id", "missing"): TOGETHER,
    ("/v1/appointments", "starts_at", "out_of_range"): TOGETHER,
    ("/v1/busy-times", "until", "out_of_range"): TOGETHER,
    ("/v1/special-days", "until", "out_of_range"): TOGETHER,
    ("/v1/webhook-endpoints", "since", "out_of_range"): TOGETHER,
    ("/v1/emails", "campaign_id", "missing"): TOGETHER,
    ("/v1/services", "currency", "missing"): TOGETHER,
    ("/v1/services", "price_micros", "missing"): TOGETHER,
    ("/v1/contacts", "phone", "missing"): TOGETHER,
    ("/v1/phone-agent", "greeting", "missing"): TOGETHER,
    ("/v1/calls", "q", "nothing_to_find"): "Not every text has a word that tells something.",
    ("/v1/inbox-sources", "secrets", "wrong_number"): TOGETHER,
    ("/v1/inbox-sources", "secrets", "secret_not_base64"): TOGETHER,
    ("/v1/inbox-sources", "scheme.mode", "wrong_mode"): TOGETHER,
    ("/v1/inbox-sources", "name", "invalid_name"): ONE_LINE,
    ("/v1/api-keys", "name", "invalid_name"): ONE_LINE,
    ("/v1/sending-accounts", "host", "invalid_host"): "SMTP needs one: " + TOGETHER,
    ("/v1/sending-accounts", "host", "not_for_gmail"): TOGETHER,
    ("/v1/sending-accounts", "user_name", "not_for_gmail"): TOGETHER,
    ("/v1/sending-accounts", "password", "not_for_gmail"): TOGETHER,
    ("/v1/sending-accounts", "connections", "out_of_range"): "Gmail takes one: " + TOGETHER,
    ("/v1/sending-accounts", "daily_cap", "out_of_range"): "Gmail takes fewer: " + TOGETHER,
    ("/v1/sending-accounts", "address", "fixed"): STATE,
    ("/v1/sending-accounts", "kind", "fixed"): STATE,
    ("/v1/sending-accounts", "password", "missing"): STATE,
    ("/v1/sending-accounts", "user_name", "invalid_text"): ONE_LINE,
    ("/v1/sending-accounts", "folder", "invalid_text"): ONE_LINE,
    ("/v1/sending-accounts", "sender_name", "invalid_text"): ONE_LINE,
    ("/v1/staff", "services", "unknown_service"): STATE,
    ("/v1/staff", "week", "invalid"): "Openings of a day do not overlap.",
    ("/v1/reception", "week", "invalid"): "Openings of a day do not overlap.",
    ("/v1/special-days", "openings", "overlap"): "Openings of a day do not overlap.",
    ("/v1/calendar-feeds", "staff_id", "unknown"): STATE,
    ("/v1/messages", "images[]", "unknown"): STATE,
    ("/v1/conversations", "images[]", "unknown"): STATE,
    ("/v1/campaigns", "postal_address", "invalid_text"): "Its bound is in bytes, and of control characters it has only ends of lines.",
    ("/v1/campaigns", "lead_id", "not_found"): STATE,
    ("/v1/campaigns", "step", "not_found"): STATE,
    ("/v1/campaigns", "variant_id", "not_found"): STATE,
    ("/v1/campaigns", "account_id", "not_found"): STATE,
    ("/v1/campaigns", "account_ids", "not_found"): STATE,
    ("/v1/campaigns", "account_ids", "missing"): STATE,
    ("/v1/campaigns", "steps", "missing"): STATE,
    ("/v1/campaigns", "steps[]", "not_unique"): "Each variant of a step has a name of its own.",
    ("/v1/campaigns", "steps[].variants[]", "invalid_template"): GRAMMAR,
    ("/v1/campaigns", "leads[].fields", "too_long"): "Its bound is in bytes, and a schema counts characters.",
    ("/v1/text-settings", "sender_id", "not_found"): STATE,
    ("/v1/text-settings", "quiet_hours", "invalid_quiet_hours"): "It begins and ends at different times.",
    ("/v1/text-settings", "wording.*", "unknown_part"): GRAMMAR,
    ("/v1/text-settings", "wording.*", "control_character"): GRAMMAR,
    ("/v1/images", "", "unsupported_image"): "The form of an image is told by its content.",
    ("/v1/imports", "content", "too_short"): "A list that is not whole begins with 64 KiB.",
    ("/v1/imports", "content", "not_text"): GRAMMAR,
    ("/v1/imports", "content", "empty_file"): GRAMMAR,
    ("/v1/imports", "content", "invalid_header"): GRAMMAR,
    ("/v1/imports", "columns", "no_address"): STATE,
    ("/hooks", "", "webhook_not_json"): "What a body is follows from the sender.",
    ("/v1/auth/password", "current_password", "wrong_password"): "Only the person knows it.",
    ("/v1/auth/password", "new_password", "too_common"): "The list of what is guessed first is long.",
    ("/v1/auth/sign-up", "password", "too_common"): "The list of what is guessed first is long.",
    ("/v1/events", "events[].at", "out_of_range"): "It depends on what time it is.",
    ("/v1/webhook-events", "type", "reserved"): "Some types are told of by the server alone.",
    ("/v1/client-reports", "reports[]", "invalid_type"): "Where a word tells variants apart, 1.0 is no whole number.",
    ("/v1/replays", "events", "not_masked"): GRAMMAR,
    ("/v1/controls", "value", "out_of_range"): "What a control takes follows from its name.",
    ("/v1/controls", "value", "unknown"): "What a control takes follows from its name.",
    ("/v1/controls", "name", "unknown"): "There are those that `GET /v1/controls` lists.",
}


# What is made without a part that has an address of its own: that is not there before somebody puts it there.
WITHOUT = {
    "/v1/staff/{id}/calendar": "Nobody has connected a calendar.",
    "/v1/sending-accounts/{id}/mailbox": "Nobody has named a mailbox.",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if type(failure).__name__ == "EnsureResourceAvailability":
        return not any(case.path.startswith(path) for path in WITHOUT)
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    try:
        problem = response.json()
    except ValueError:
        return True
    fields = problem.get("fields") or [{"field": "", "code": problem.get("code")}]
    return not all(is_right(case.path, field) for field in fields)


def is_right(path: str, field: dict) -> bool:
    name = re.sub(r"^wording\..*", "wording.*", re.sub(r"\[\d+\]", "[]", field["field"]))
    known = (one for one in RIGHT if one[1:] == (name, field["code"]))
    return field["code"] in RIGHT_ANYWHERE or any(path.startswith(prefix) for prefix, _, _ in known)
