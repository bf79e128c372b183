"""Waits until a server answers, for half a minute at most."""

import sys
import time
import urllib.error
import urllib.request

for _ in range(300):
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=5):
            sys.exit(0)
    except (urllib.error.URLError, ConnectionError):
        time.sleep(0.1)
sys.exit("the server does not answer")
