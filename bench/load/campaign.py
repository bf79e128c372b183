"""A campaign of many emails: makes it and writes the SQL that fills it (PART=make), then asks what its page asks (PART=ask)."""

import json
import os
import time

from api import ask, sign_up, signed_in

leads, names = int(os.environ["LEADS"]), os.environ["NAMES"]
ACCOUNTS, DAYS = 20, 60


def make():
    """The campaign, its accounts and texts; then the statements that fill it."""
    token = sign_up()
    wish = {"host": "127.0.0.1", "port": 2525, "security": "none", "daily_cap": 100000}
    accounts = [json.loads(ask("POST", "/v1/sending-accounts", wish | {"address": f"sender{n}@example.com"}))["id"] for n in range(ACCOUNTS)]
    campaign = json.loads(ask("POST", "/v1/campaigns", {"name": "A million", "time_zone": "Europe/Berlin"}))["id"]
    texts = [{"name": name, "subject": "Hello", "text": "Hello"} for name in "AB"]
    steps = json.loads(ask("PUT", f"/v1/campaigns/{campaign}/steps", {"steps": [{"delay": "0d", "variants": texts}, {"delay": "2d", "variants": texts}]}))["steps"]
    ask("PUT", f"/v1/campaigns/{campaign}/accounts", {"account_ids": accounts})
    variants = [[variant["id"] for variant in step["variants"]] for step in steps]
    tenant = json.loads(ask("GET", "/v1/me"))["organisation"]["id"]
    with open(names, "w") as file:
        json.dump({"campaign": campaign, "token": token}, file)
    print(fill("sqlite" if os.environ["DATABASE_URL"].startswith("sqlite:") else "postgres", tenant, campaign, accounts, variants))


def fill(engine, tenant, campaign, accounts, variants):
    lite = engine == "sqlite"
    uuid = (lambda text: f"x'{text.replace('-', '')}'") if lite else (lambda text: f"'{text}'::uuid")
    # Sixteen bytes; SQLite of Debian 12 has no unhex.
    spread = (lambda letter: f"CAST(printf('%08x{ord(letter):02x}%06x', (i * 2654435761) % 4294967296, i) AS BLOB)") if lite else (lambda letter: f"md5('{letter}' || i)::uuid")
    pick = lambda ids, by: "CASE " + by + " " + " ".join(f"WHEN {n} THEN {uuid(id)}" for n, id in enumerate(ids)) + " END"
    now = int(time.time())
    at = (lambda seconds: f"({now} - ({seconds})) * 1000") if lite else (lambda seconds: f"to_timestamp({now} - ({seconds}))")
    numbers = f"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {leads} - 1)" if lite else ""
    source = "n" if lite else f"generate_series(0, {leads} - 1) AS i"
    day = f"(i % {DAYS})"
    some = lambda every, of, moment: f"CASE WHEN i % {every} = {of} THEN {moment} END"
    of_leads = f"""{numbers} INSERT INTO lead (id, tenant_id, campaign_id, address, domain, fields, zone, state, step, account_id, created_at, updated_at, searched)
        SELECT {spread('l')}, {uuid(tenant)}, {uuid(campaign)}, 'person' || i || '@' || (i % 997) || '.example', (i % 997) || '.example',
          '{{"first_name":"Ada","company":"Firma"}}', 'Europe/Berlin', CASE WHEN i % 50 = 0 THEN 'replied' WHEN i % 50 = 1 THEN 'bounced' ELSE 'finished' END, 2,
          {pick(accounts, f'i / {DAYS} % {ACCOUNTS}')}, {at('86400 * 70')}, {at('86400 * 70')}, 'person' || i || '@' || (i % 997) || '.example ada firma' FROM {source};"""
    parts = [of_leads]
    for step, ids in enumerate(variants, 1):
        sent = at(f"86400 * ({DAYS} - {day})")
        today = f"({now} / 86400 - {DAYS} + {day})"
        parts.append(f"""{numbers} INSERT INTO email (id, tenant_id, campaign_id, lead_id, step, variant_id, account_id, address, domain, zone, message_id, state, due_at,
          in_turn, attempts, run, fenced_at, day, accepted_at, code, said, opened_at, machine_opened_at, clicked_at, replied_at, bounced_at, created_at, updated_at)
        SELECT {spread(str(step))}, {uuid(tenant)}, {uuid(campaign)}, {spread('l')}, {step}, {pick(ids, 'i / 3 % 2')}, {pick(accounts, f'i / {DAYS} % {ACCOUNTS}')},
          'person' || i || '@' || (i % 997) || '.example', (i % 997) || '.example', 'Europe/Berlin', 'm{step}.' || i || '@example.com',
          CASE WHEN i % 1000 = 7 THEN 'unknown' ELSE 'accepted' END, {sent}, 0, 1, 1, {sent}, {today}, {sent}, 250, '2.0.0 Ok',
          {some(3, 0, sent)}, {some(2, 0, sent)}, {some(11, 0, sent)}, {some(50, 0, sent)}, {some(50, 1, sent)}, {sent}, {sent} FROM {source};""")
    nil = "x'00000000000000000000000000000000'" if lite else "'00000000-0000-0000-0000-000000000000'::uuid"
    kinds = ["opened", "machine_opened", "clicked", "replied", "bounced"]
    counted = [f"SELECT campaign_id, tenant_id, step, variant_id, account_id, day, state AS kind FROM email WHERE campaign_id = {uuid(campaign)}"]
    counted += [f"SELECT campaign_id, tenant_id, step, variant_id, account_id, day, '{kind}' FROM email WHERE campaign_id = {uuid(campaign)} AND {kind}_at IS NOT NULL" for kind in kinds]
    counted += [f"SELECT campaign_id, tenant_id, 0, {nil}, {nil}, 0, 'lead_' || state FROM lead WHERE campaign_id = {uuid(campaign)}"]
    parts.append(f"""INSERT INTO outreach_figure (campaign_id, tenant_id, step, variant_id, account_id, day, kind, number)
        SELECT campaign_id, tenant_id, step, variant_id, account_id, day, kind, count(*) FROM ({' UNION ALL '.join(counted)}) counted
        GROUP BY campaign_id, tenant_id, step, variant_id, account_id, day, kind;""")
    return ("PRAGMA cache_size = -2000000; PRAGMA synchronous = OFF; BEGIN;\n" if lite else "BEGIN;\n") + "\n".join(parts) + "\nCOMMIT;" + ("" if lite else "\nANALYZE;")


def told(name, path):
    waits = []
    for _ in range(20):
        begun = time.monotonic()
        size = len(ask("GET", path))
        waits.append((time.monotonic() - begun) * 1000)
    waits.sort()
    print(f"{name:32} median {waits[10]:7.1f} ms, worst {waits[-1]:7.1f} ms, {size / 1024:8.1f} KiB")


def asked():
    with open(names) as file:
        known = json.load(file)
    signed_in(known["token"])
    campaign = known["campaign"]
    path = f"/v1/campaigns/{campaign}"
    print(f"{2 * leads} emails")
    told("the campaign", path)
    told("its figures, added up", f"{path}/sums")
    told("each of its figures", f"{path}/figures")
    told("its steps", f"{path}/steps")
    told("its accounts", f"{path}/accounts")
    told("its leads", f"{path}/leads?limit=50")
    told("its leads in a state", f"{path}/leads?limit=50&state=replied&sort=email")
    told("a lead that is looked for", f"{path}/leads?limit=50&query=person{leads - 1}@")
    told("its emails", f"/v1/emails?campaign_id={campaign}&limit=50")
    told("emails that nobody knows of", "/v1/emails?state=unknown&limit=50")
    told("all campaigns", "/v1/campaigns?limit=50&figures=true")


{"make": make, "ask": asked}[os.environ["PART"]]()
