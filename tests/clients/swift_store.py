"""Common parts of the checklist of Swift: its cases, the users who run them, and raw requests beside python-swiftclient.

A case drives one line of `swift_checklist.json`. It is a function that ends, or raises what it found wrong.
"""

import contextlib
import hashlib
import http.client
import json
import logging
import os
import re
import traceback
import urllib.parse

from swiftclient import client as swift
from swiftclient.service import SwiftService

logging.getLogger("swiftclient").setLevel(logging.CRITICAL)
STORE = json.loads(os.environ["CHECKLIST_STORE"])
AUTH = STORE["auth"]
FOLDER = STORE["folder"]
CASES = []
TIMESTAMP = re.compile(r"^\d{10}\.\d{5}$")
# A time to which no test lives.
LATER = 4_000_000_000


def case(line, about):
    """Registers a case of a line; `tools/docs/generators.mjs` reads these lines for the table of the documents."""

    def register(run):
        CASES.append((line, about, run))
        return run

    return register


def run_cases():
    """Prints a line of JSON for each case: `error` is null, or what was wrong."""
    for line, about, run in CASES:
        error = None
        try:
            run()
        except Exception:  # the next case is of another line
            error = traceback.format_exc()
        print(json.dumps({"line": line, "about": about, "error": error}), flush=True)


class User:
    """Who has signed in: by an access key, or by a token of Keystone."""

    def __init__(self, key, url=None, token=None):
        self.key = key
        if url is None:
            url, token = swift.get_auth(AUTH, key["id"], key["secret"], auth_version="1")
        self.url, self.token = url, token
        self.account = urllib.parse.urlparse(url).path.rsplit("/", 1)[1]
        self.number = self.account[len("AUTH_") :]
        self.name = key["id"]
        self.conn = swift.Connection(preauthurl=url, preauthtoken=token, retries=0)

    def service(self, **options):
        known = {"auth_version": "1.0", "auth": AUTH, "user": self.key["id"], "key": self.key["secret"], "retries": 0}
        return SwiftService(options={**known, **options})

    def at(self, user):
        """A connection with the token of this user to the account of another."""
        return swift.Connection(preauthurl=user.url, preauthtoken=self.token, retries=0)

    def raw(self, method, path="", headers={}, body=None):
        """A request as it is written, below the account."""
        return raw(method, self.account_path(path), {"X-Auth-Token": self.token, **headers}, body)

    def account_path(self, path=""):
        return f"/v1/{self.account}{path}"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    def __getitem__(self, name):
        return self.headers.get(name.lower())

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]}"


@contextlib.contextmanager
def connected():
    connection = http.client.HTTPConnection(urllib.parse.urlparse(AUTH).netloc, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def raw(method, target, headers={}, body=None):
    """Without a token. `body`: bytes, or an iterable of bytes that is sent in chunks."""
    with connected() as connection:
        is_chunked = body is not None and not isinstance(body, (bytes, str))
        sent = {**headers, "Transfer-Encoding": "chunked"} if is_chunked else headers
        connection.request(method, target, body=body, headers=sent, encode_chunked=is_chunked)
        return Answer(connection.getresponse())


def refused(status, call, *arguments, text="", **named):
    """The call is answered with this status, by a page that contains the text."""
    try:
        call(*arguments, **named)
    except swift.ClientException as error:
        assert error.http_status == status, f"{status} expected: {error} {error.http_response_content}"
        found = error.http_response_content or b""
        shown = found.decode() if isinstance(found, bytes) else found
        assert text in shown, f"{text} expected: {shown}"
        return error
    raise AssertionError(f"{status} expected")


def expect(found, *wanted):
    assert found == (wanted[0] if len(wanted) == 1 else wanted), f"{found!r}, expected {wanted!r}"


def status(answer, wanted):
    assert answer.status == wanted, f"{wanted} expected: {answer}"
    return answer


def succeeded(results):
    """The results of swiftclient.service, all of which are successes."""
    found = list(results)
    for result in found:
        assert result["success"], result
    assert found, "no results"
    return found


# The root user of the store's root account.
RESELLER = User(STORE["reseller"])
OWNER = User(STORE["owner"])
STRANGER = User(STORE["stranger"])


def container(name, headers={}, **objects):
    OWNER.conn.put_container(name, headers=headers)
    for key, value in objects.items():
        OWNER.conn.put_object(name, key, value)
    return name


def body(name, key, user=OWNER, **options):
    return user.conn.get_object(name, key, **options)[1]


def names(listing):
    """Of what python-swiftclient has listed."""
    return [entry.get("name", entry.get("subdir")) for entry in listing[1]]


def md5(content):
    return hashlib.md5(content).hexdigest()
