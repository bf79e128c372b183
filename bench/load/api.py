"""How benchmarks speak to the server that BASE names, as somebody who has signed up there."""

import http.client
import json
import os
import urllib.parse

host = urllib.parse.urlparse(os.environ["BASE"])
token = None


def ask(method, path, body=None, kind="application/json"):
    """The text of an answer, which must be a good one. What is not bytes is sent as JSON."""
    connection = http.client.HTTPConnection(host.hostname, host.port, timeout=90)
    headers = {"Content-Type": kind}
    if token:
        headers["Authorization"] = "Bearer " + token
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    assert 200 <= answer.status < 300, (method, path, answer.status, text)
    return text


def signed_in(access_token):
    """From here on it is asked with this token."""
    global token
    token = access_token


def sign_up():
    """Signs somebody up, and asks as them from here on. The answer is their access token."""
    made = ask("POST", "/v1/auth/sign-up", {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"})
    signed_in(json.loads(made)["access_token"])
    return token


def metrics():
    """All figures of the server, by name with labels."""
    lines = (line for line in ask("GET", "/metrics").splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
