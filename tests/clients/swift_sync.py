"""Container sync: settings of a container, requests of another cluster, and what arrives in another container."""

import hashlib
import hmac
import json
import time

from swiftclient import client as swift

from swift_store import (
    OWNER,
    STORE,
    STRANGER,
    body,
    case,
    container,
    expect,
    names,
    raw,
    refused,
    status,
    succeeded,
)

REALM_KEYS = STORE["realm_keys"]
KEY = "key of both containers"
# The job may rest for a minute before it sees its first container.
WAIT_SECONDS = 180


def target(name, user=OWNER):
    """The container as another one names it: the server's realm has one cluster, which is the server itself."""
    return f"//checklist/own/{user.account}/{name}"


def signed(method, name, key, timestamp, realm_key=REALM_KEYS[0], container_key=KEY):
    """Headers of a request of another cluster, as `ContainerSyncRealms.get_sig` signs them."""
    path = OWNER.account_path(f"/{name}/{key}")
    text = "\n".join([method, path, timestamp, "nonce", container_key])
    signature = hmac.new(realm_key.encode(), text.encode(), hashlib.sha1).hexdigest()
    return {"X-Timestamp": timestamp, "X-Container-Sync-Auth": f"Checklist nonce {signature}"}


def repeated(method, name, key, timestamp, content=b"", **keys):
    return raw(method, OWNER.account_path(f"/{name}/{key}"), signed(method, name, key, timestamp, **keys), content)


def until(what, holds):
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, f"{what}: not after {WAIT_SECONDS} seconds"
        time.sleep(0.2)


def missing(name, key):
    try:
        OWNER.conn.head_object(name, key)
        return False
    except swift.ClientException as error:
        expect(error.http_status, 404)
        return True


@case("Container sync", "the other container and the key are set, shown to the owner alone, changed and removed")
def settings():
    name = container("cs-set", {"X-Container-Read": ".r:*,.rlistings", "X-Container-Sync-Key": "first"})
    succeeded([OWNER.service().post(name, options={"sync_to": target("cs-other"), "sync_key": KEY})])
    head = OWNER.conn.head_container(name)
    expect((head["x-container-sync-to"], head["x-container-sync-key"]), (target("cs-other"), KEY))
    seen = status(raw("HEAD", OWNER.account_path(f"/{name}")), 204)
    expect((seen["x-container-sync-to"], seen["x-container-sync-key"]), (None, None))
    OWNER.conn.post_container(name, {"X-Container-Sync-To": ""})
    head = OWNER.conn.head_container(name)
    expect((head.get("x-container-sync-to"), head["x-container-sync-key"]), (None, KEY))
    OWNER.conn.post_container(name, {"X-Remove-Container-Sync-Key": "x"})
    assert "x-container-sync-key" not in OWNER.conn.head_container(name)


@case("Container sync", "400: unknown realms and clusters, full URLs, and versions beside it; 403 for others than owners")
def refused_settings():
    name = container("cs-refused", {"X-Container-Write": STRANGER.number, "X-Container-Read": STRANGER.number})
    for to in ("//nowhere/own/a/c", "//checklist/nowhere/a/c", "//checklist/own/a", "https://swift.example/v1/a/c"):
        refused(400, OWNER.conn.post_container, name, {"X-Container-Sync-To": to, "X-Container-Sync-Key": KEY})
        refused(400, OWNER.conn.put_container, "cs-refused-new", {"X-Container-Sync-To": to})
    assert "x-container-sync-key" not in OWNER.conn.head_container(name)
    refused(404, OWNER.conn.head_container, "cs-refused-new")
    refused(403, STRANGER.at(OWNER).post_container, name, {"X-Container-Sync-Key": KEY})
    OWNER.conn.post_container(name, {"X-Container-Sync-Key": KEY})
    refused(400, OWNER.conn.post_container, name, {"X-Versions-Enabled": "true"})
    container("cs-versions", {"X-Versions-Enabled": "true"})
    refused(400, OWNER.conn.post_container, "cs-versions", {"X-Container-Sync-Key": KEY})


@case("Container sync", "requests signed by a cluster of the realm write, read and remove, each with its X-Timestamp")
def signed_requests():
    name = container("cs-signed", {"X-Container-Sync-Key": KEY})
    status(repeated("PUT", name, "a%20b", "1700000000.12345", b"first"), 201)
    found = OWNER.conn.head_object(name, "a b")
    expect((found["x-timestamp"], found["etag"]), ("1700000000.12345", hashlib.md5(b"first").hexdigest()))
    expect(status(repeated("HEAD", name, "a%20b", "1"), 200)["x-timestamp"], "1700000000.12345")
    # The second key of the realm, while the operators change keys.
    status(repeated("PUT", name, "a%20b", "1700000000.12346", b"second", realm_key=REALM_KEYS[1]), 201)
    status(repeated("PUT", name, "a%20b", "1700000000.12345", b"late"), 202)
    expect(body(name, "a b"), b"second")
    status(repeated("DELETE", name, "a%20b", "1700000000.12346"), 409)
    status(repeated("DELETE", name, "a%20b", "1700000000.12347"), 204)
    status(repeated("PUT", name, "a%20b", "1700000000.12346", b"late"), 202)
    assert missing(name, "a b")


@case("Container sync", "401: another key or realm, no key in the container, the container itself; 400 for a bad time")
def refused_requests():
    name = container("cs-closed", {"X-Container-Sync-Key": KEY}, o="x")
    now = "1700000000.00000"
    status(repeated("GET", name, "o", now, container_key="another"), 401)
    status(repeated("GET", name, "o", now, realm_key="another"), 401)
    path = OWNER.account_path(f"/{name}")
    signature = signed("GET", name, "o", now)
    unknown = {**signature, "X-Container-Sync-Auth": signature["X-Container-Sync-Auth"].replace("Checklist", "other")}
    status(raw("GET", f"{path}/o", unknown), 401)
    # Signed for another object, time or method.
    status(raw("GET", f"{path}/p", signature), 401)
    status(raw("GET", f"{path}/o", {**signature, "X-Timestamp": "1700000000.00001"}), 401)
    status(raw("PUT", f"{path}/o", signature, b"y"), 401)
    status(raw("GET", path, signature), 401)
    status(repeated("PUT", name, "o", "soon", b"y"), 400)
    OWNER.conn.post_container(name, {"X-Container-Sync-Key": ""})
    status(repeated("GET", name, "o", now), 401)
    expect(body(name, "o"), b"x")


@case("Container sync", "another cluster reads nothing of other containers, by links, manifests or copies")
def reads_no_others():
    name, other = container("cs-apart", {"X-Container-Sync-Key": KEY}, own="own"), container("cs-secret", o="secret")
    path = OWNER.account_path(f"/{name}")
    put = lambda key, content, **headers: raw(
        "PUT", f"{path}/{key}", {**signed("PUT", name, key, "1700000000.00000"), **headers}, content
    )
    status(put("link", b"", **{"X-Symlink-Target": f"{other}/o"}), 201)
    status(put("dynamic", b"", **{"X-Object-Manifest": f"{other}/o"}), 201)
    manifest = json.dumps([{"name": f"/{other}/o", "hash": hashlib.md5(b"secret").hexdigest(), "bytes": 6}])
    status(put("static", manifest.encode(), **{"X-Static-Large-Object": "True"}), 201)
    status(put("copy", b"", **{"X-Copy-From": f"{other}/o"}), 400)
    for key in ("link", "dynamic", "static"):
        answer = repeated("GET", name, key, "1")
        assert b"secret" not in answer.body and answer.status in (401, 403, 409), answer
    expect(body(name, "static"), b"secret")
    expect(status(repeated("GET", name, "own", "1"), 200).body, b"own")
    assert missing(name, "copy")


@case("Container sync", "what is there, is written, is changed and is removed arrives in the other container, both ways")
def arrives():
    one, two = container("cs-one", before="was there"), container("cs-two")
    for own, other in ((one, two), (two, one)):
        OWNER.conn.post_container(own, {"X-Container-Sync-To": target(other), "X-Container-Sync-Key": KEY})
    headers = {"X-Object-Meta-Color": "blue", "Content-Disposition": "inline"}
    OWNER.conn.put_object(one, "dir/\u00e9 b", "by one", content_type="a/b", headers=headers)
    until("the objects arrive", lambda: names(OWNER.conn.get_container(two)) == ["before", "dir/\u00e9 b"])
    original, copy = (OWNER.conn.head_object(name, "dir/\u00e9 b") for name in (one, two))
    for field in ("etag", "content-type", "content-disposition", "x-object-meta-color", "x-timestamp", "last-modified"):
        expect(copy[field], original[field])
    expect(body(two, "before"), b"was there")
    OWNER.conn.post_object(two, "before", {"X-Object-Meta-Color": "red"})
    color = lambda: OWNER.conn.head_object(one, "before").get("x-object-meta-color")
    until("the metadata arrives", lambda: color() == "red")
    OWNER.conn.delete_object(two, "dir/\u00e9 b")
    until("the removal arrives", lambda: missing(one, "dir/\u00e9 b"))
    expect(names(OWNER.conn.get_container(two)), ["before"])


@case("Container sync", "/info names realms and clusters, without addresses and keys")
def shown():
    info = json.loads(status(raw("GET", "/info"), 200).body)
    expect(info["container_sync"], {"realms": {"CHECKLIST": {"clusters": {"OWN": {}}}}})
