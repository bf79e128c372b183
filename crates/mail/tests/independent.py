"""Reads a folder of messages with Python's own parser and verifies their signatures with dkimpy.

Every message NAME.eml has a NAME.json beside it that says what it must read as; dns.json holds the records of the keys.
Prints one line for each thing that is wrong, and "checked N messages" at the end.
"""

import email
import email.policy
import json
import pathlib
import sys

import dkim

folder = pathlib.Path(sys.argv[1])
records = json.loads((folder / "dns.json").read_text())
wrong = []


def lookup(name, timeout=5):
    record = records.get(name.decode().rstrip("."))
    return record.encode() if record else None


def lines(text):
    return text.replace("\r\n", "\n")


def raw_value(raw, name):
    """The raw lines of a header."""
    head = raw.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ")
    return next(line for line in head.split(b"\r\n") if line.lower().startswith(name.encode() + b":"))


def check(path):
    def expect(what, found, wanted):
        if found != wanted:
            wrong.append(f"{path.name}: {what}: {found!r} is not {wanted!r}")

    raw = path.read_bytes()
    wanted = json.loads(path.with_suffix(".json").read_text())
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for part in message.walk():
        for defect in part.defects:
            wrong.append(f"{path.name}: {defect!r}")
        for name, value in part.items():
            for defect in getattr(value, "defects", ()):
                wrong.append(f"{path.name}: {name}: {defect!r}")
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version"):
        expect(f"count of {name}", len(message.get_all(name, [])), 1)
    expect("Bcc", message.get("Bcc"), None)
    expect("Subject", str(message["Subject"]), wanted["subject"])
    for name in ("from", "to"):
        addresses = message[name].addresses
        expect(f"count of {name}", len(addresses), 1)
        expect(f"{name} address", addresses[0].addr_spec, wanted[name])
        found, name_wanted = addresses[0].display_name, wanted[name + "_name"]
        # This parser keeps the space between two encoded words of a name, which RFC 2047, 6.2 says to ignore.
        if raw_value(raw, name).count(b"=?") > 1:
            found, name_wanted = found.replace(" ", ""), name_wanted.replace(" ", "")
        expect(f"{name} name", found, name_wanted)
    expect("text", lines(message.get_body(("plain",)).get_content()), lines(wanted["text"]))
    if wanted["html"] is not None:
        expect("html", lines(message.get_body(("html",)).get_content()), lines(wanted["html"]))
        expect("type", message.get_content_type(), "multipart/alternative")
    verifier = dkim.DKIM(raw)
    count = len(message.get_all("DKIM-Signature", []))
    expect("signatures", count, wanted["signatures"])
    for index in range(count):
        try:
            good = verifier.verify(idx=index, dnsfunc=lookup)
        except dkim.DKIMException as error:
            good = repr(error)
        expect(f"signature {index}", good, True)
    # What was changed is seen: an independent verifier that says yes to everything would prove nothing.
    changed = raw.replace(b"\r\nSubject:", b"\r\nSubject: x", 1)
    try:
        good = dkim.DKIM(changed).verify(dnsfunc=lookup)
    except dkim.DKIMException:
        good = False
    expect("a changed subject", good, False)


paths = sorted(folder.glob("*.eml"))
for path in paths:
    check(path)
for line in wrong:
    print(line)
print(f"checked {len(paths)} messages")
sys.exit(1 if wrong else 0)
