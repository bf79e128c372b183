"""What good requests take while thousands of connections are as slow as they may be.

One process attacks, this one asks: half of its requests read, half are chat turns. It prints a line for each attack, with the
99th percentile beside that of the quiet time before it.
"""

import asyncio
import http.client
import json
import multiprocessing
import os
import resource
import socket
import threading
import time
import urllib.parse

import api

CONNECTIONS = int(os.environ["CONNECTIONS"])
SECONDS = float(os.environ["SECONDS"])
CLIENTS = int(os.environ["CLIENTS"])
PAUSE = float(os.environ["PAUSE"])

HEADER = b"GET /healthz HTTP/1.1\r\nHost: bench\r\nX-Slow: "
BODY = b"POST /hooks/generic/0123456789abcdef0123456789abcdef HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n"
READ = b"GET /openapi.json HTTP/1.1\r\nHost: bench\r\n\r\n" * 8


async def drip(address, first, until, counts):
    """One connection that sends a byte a second, and comes back when it is cut off."""
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection(*address)
        except OSError:
            counts["refused"] += 1
            await asyncio.sleep(1)
            continue
        counts["opened"] += 1
        try:
            writer.write(first)
            while time.monotonic() < until and not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(1)
            if reader.at_eof():
                counts["cut"] += 1
        except OSError:
            counts["cut"] += 1
        finally:
            writer.close()


async def sip(address, until, counts):
    """One connection that asks for much and takes a byte a second."""
    loop = asyncio.get_running_loop()
    while time.monotonic() < until:
        with socket.socket() as raw:
            raw.setblocking(False)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            try:
                await loop.sock_connect(raw, address)
                counts["opened"] += 1
                await loop.sock_sendall(raw, READ)
                while time.monotonic() < until:
                    await asyncio.sleep(1)
                    if not await loop.sock_recv(raw, 1):
                        counts["cut"] += 1
                        break
            except OSError:
                counts["cut"] += 1
                await asyncio.sleep(0.1)


def attack(kind, address, seconds, told):
    async def all_of_them():
        until, counts = time.monotonic() + seconds, {"opened": 0, "cut": 0, "refused": 0}
        one = {
            "slow heads": lambda: drip(address, HEADER, until, counts),
            "slow bodies": lambda: drip(address, BODY, until, counts),
            "slow readers": lambda: sip(address, until, counts),
        }[kind]
        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
        return counts

    told.put(asyncio.run(all_of_them()))


def good(token, until, took):
    """One client that asks, waits a little, and asks again."""
    connection = http.client.HTTPConnection(api.host.hostname, api.host.port, timeout=30)
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    turn = 0
    while time.monotonic() < until:
        turn += 1
        begun = time.monotonic()
        if turn % 2:
            connection.request("GET", "/v1/conversations", headers=headers)
        else:
            connection.request("POST", "/v1/messages", json.dumps({"content": "hello"}), headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (200, 201), answer.status
        took.append(time.monotonic() - begun)
        time.sleep(PAUSE)


def measure(token, seconds):
    """The 50th and the 99th percentile of good requests, in milliseconds, and how many there were."""
    took, until = [], time.monotonic() + seconds
    clients = [threading.Thread(target=good, args=(token, until, took)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    took.sort()
    at = lambda share: took[min(len(took) - 1, int(len(took) * share))] * 1000
    return at(0.5), at(0.99), len(took)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    token = api.sign_up()
    address = (api.host.hostname, api.host.port)
    measure(token, 3)
    for kind in ("slow heads", "slow bodies", "slow readers"):
        quiet = measure(token, SECONDS)
        told = multiprocessing.Queue()
        attacker = multiprocessing.Process(target=attack, args=(kind, address, SECONDS + 8, told))
        attacker.start()
        # Until all of them are there.
        until = time.monotonic() + 6
        while time.monotonic() < until and api.metrics().get("mainstay_http_connections", 0) < CONNECTIONS:
            time.sleep(0.1)
        there = api.metrics().get("mainstay_http_connections", 0)
        under = measure(token, SECONDS)
        counts = told.get(timeout=60)
        attacker.join()
        print(
            f"{kind}: {there:.0f} connections; good requests {quiet[2]} and {under[2]}, "
            f"median {quiet[0]:.1f} and {under[0]:.1f} ms, p99 {quiet[1]:.1f} and {under[1]:.1f} ms "
            f"({under[1] / quiet[1]:.2f} times); opened {counts['opened']}, cut off {counts['cut']}",
            flush=True,
        )


main()
