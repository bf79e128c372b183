"""Reads messages with Python's own parsers and verifies their signatures with dkimpy.

The first line of the input is an object with the records of the keys, each further one a message and what it must read as.
The answer to each is a line with what is wrong with it, and how many signatures and alterations were looked at.
"""

import base64
import email
import email.header
import email.policy
import email.utils
import json
import re
import sys

import dkim

records = json.loads(sys.stdin.readline())


def lookup(name, timeout=5):
    record = records.get(name.decode().rstrip("."))
    return record.encode() if record else None


def verifies(raw, index):
    try:
        return dkim.DKIM(raw).verify(idx=index, dnsfunc=lookup)
    except dkim.DKIMException as error:
        return repr(error)


def split(raw):
    head, body = raw.split(b"\r\n\r\n", 1)
    return head + b"\r\n", body


def altered(raw, names):
    """The message with something changed that is signed: each header changed, taken away and set twice, and the body."""
    head, body = split(raw)
    for name in names:
        pattern = re.compile(rb"(?mi)^" + name.encode() + rb":((?:[^\r]|\r\n[ \t])*)\r\n")
        one = pattern.search(head).group(0)
        end = one[:-2]
        yield f"{name} changed", head.replace(one, end + b"x\r\n", 1) + b"\r\n" + body
        yield f"{name} taken away", head.replace(one, b"", 1) + b"\r\n" + body
    one = b"From: Eve <eve@e.example>\r\n"
    yield "another From before", one + raw
    yield "another From behind", head + one + b"\r\n" + body
    yield "a body with more", raw + b"x\r\n"
    rest = body.rstrip()
    if rest:
        yield "a body with less", head + b"\r\n" + rest[:-1] + b"\r\n"


def check(raw, wanted):
    wrong = []

    def expect(what, found, right):
        if found != right:
            wrong.append(f"{what}: {found!r} is not {right!r}")

    for policy in (email.policy.default, email.policy.SMTP):
        message = email.message_from_bytes(raw, policy=policy)
        for part in message.walk():
            for defect in part.defects:
                wrong.append(repr(defect))
            for name, value in part.items():
                for defect in getattr(value, "defects", ()):
                    wrong.append(f"{name}: {defect!r}")
    plain = email.message_from_bytes(raw, policy=email.policy.compat32)
    check_people(message, plain, wanted, expect)
    expect("Subject", str(message["Subject"]), wanted["subject"])
    expect("Subject of the old parser", decoded(unfolded(plain["Subject"])), wanted["subject"])
    signature = ["DKIM-Signature"] * wanted["signatures"]
    expect("headers", [name for name in plain.keys()], signature + wanted["order"])
    for name, value in wanted["headers"].items():
        expect(name, str(message[name]).strip(), value)
        expect(f"{name} of the old parser", unfolded(plain[name]), value)
    check_bodies(message, wanted, expect)
    return wrong, check_signatures(raw, wanted, expect)


def unfolded(value):
    return re.sub(r"\r?\n([ \t])", r"\1", value).strip()


def decoded(value):
    return str(email.header.make_header(email.header.decode_header(value)))


def check_people(message, plain, wanted, expect):
    for name in ("From", "To", "Reply-To"):
        if wanted[name] is None:
            expect(name, message[name], None)
            continue
        display, local, domain = wanted[name]
        addresses = message[name].addresses
        expect(f"count of {name}", len(addresses), 1)
        # Without the quotes that a part may stand in.
        expect(f"{name} local part", addresses[0].username, local)
        expect(f"{name} domain", addresses[0].domain, domain)
        words, address = re.fullmatch(r'((?:"(?:\\.|[^"\\])*"|[^"<])*)<(.*)>', unfolded(plain[name])).groups()
        # It takes a comma for one between two addresses, even inside the quotes of a local part.
        if "," not in local:
            old_display, old_address = email.utils.parseaddr(unfolded(plain[name]))
            # It leaves quotes where they stand.
            expect(f"{name} address of the old parser", old_address, address)
            expect(f"{name} name of the old parser", decoded(words.strip()) if "=?" in words else old_display, display)
        found = addresses[0].display_name
        # This parser keeps the space between two encoded words of a name, which RFC 2047, 6.2 says to ignore, and takes
        # other spaces at their ends away. The old one does neither.
        if words.count("=?") > 1:
            found, display = "".join(found.split()), "".join(display.split())
        expect(f"{name} name", found, display)


def check_bodies(message, wanted, expect):
    kinds = [part.get_content_type() for part in message.walk()]
    if wanted["html"] is None:
        expect("parts", kinds, ["text/plain"])
    else:
        expect("parts", kinds, ["multipart/alternative", "text/plain", "text/html"])
        expect("preamble", message.preamble, None)
        expect("epilogue", (message.epilogue or "").strip(), "")
    for kind in ("plain", "html"):
        if wanted["text" if kind == "plain" else kind] is None:
            continue
        part = message.get_body((kind,))
        right = wanted["text" if kind == "plain" else kind]
        found = part.get_payload(decode=True).decode("utf-8")
        # The end of line before a boundary belongs to the boundary.
        expect(f"{kind} in bytes", found, right)
        expect(kind, part.get_content().replace("\r\n", "\n"), right.replace("\r\n", "\n"))


def check_signatures(raw, wanted, expect):
    count = wanted["signatures"]
    for index in range(count):
        expect(f"signature {index}", verifies(raw, index), True)
    names = wanted["signed"] if wanted["thorough"] else ["Subject"]
    alterations = 0
    for what, changed in altered(raw, names):
        for index in range(count):
            alterations += 1
            if verifies(changed, index) is True:
                expect(f"signature {index} with {what}", True, False)
    return alterations


for line in sys.stdin:
    task = json.loads(line)
    try:
        wrong, alterations = check(base64.b64decode(task["raw"]), task["wanted"])
    except Exception as error:  # What a reader dies of is wrong with the message, too.
        wrong, alterations = [f"it cannot be read: {error!r}"], 0
    print(json.dumps({"name": task["name"], "wrong": wrong, "alterations": alterations}), flush=True)
