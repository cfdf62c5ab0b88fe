"""Accounts and containers of Swift: every method, parameter and header of the checklist (section 1)."""

import json
import re
import xml.etree.ElementTree as ElementTree

from swift_store import OWNER, STRANGER, TIMESTAMP, body, case, container, expect, md5, names, raw, refused, status
from swift_store import succeeded

ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$")


# Accounts


@case("GET account", "pages, prefix, delimiter, end, reverse, and a walk over all pages")
def account_pages():
    for name in ("ga-one", "ga-three", "ga-two", "ga.sub-a", "ga.sub-b"):
        container(name)
    listed = lambda **options: names(OWNER.conn.get_account(prefix="ga", **options))
    everything = ["ga-one", "ga-three", "ga-two", "ga.sub-a", "ga.sub-b"]
    expect(listed(), everything)
    expect(listed(limit=2), everything[:2])
    expect(listed(marker="ga-one", limit=2), everything[1:3])
    expect(listed(marker="ga-one", end_marker="ga.sub-a"), ["ga-three", "ga-two"])
    expect(listed(delimiter="."), ["ga-one", "ga-three", "ga-two", "ga."])
    expect(names(OWNER.conn.get_account(prefix="ga-", full_listing=True, limit=1)), everything[:3])
    reverse = OWNER.raw("GET", "?prefix=ga-&reverse=on&format=json&limit=2")
    expect([entry["name"] for entry in json.loads(reverse.body)], ["ga-two", "ga-three"])
    expect(OWNER.raw("GET", "?prefix=ga-&reverse=true&marker=ga-two&end_marker=ga-one").text, "ga-three\n")
    services = succeeded(OWNER.service(prefix="ga.").list())
    expect([entry["name"] for page in services for entry in page["listing"]], everything[3:])
    refused(412, OWNER.conn.get_account, limit=10001)


@case("GET account", "text, JSON and XML, by format and by Accept; an empty list")
def account_formats():
    container("gb-one", a="12345", b="1")
    [entry] = OWNER.conn.get_account(prefix="gb-")[1]
    expect((entry["name"], entry["count"], entry["bytes"]), ("gb-one", 2, 6))
    assert ISO.match(entry["last_modified"]), entry
    expect(entry["storage_policy"], "STANDARD")
    for path, headers in (("?prefix=gb-", {}), ("?prefix=gb-&format=plain", {"Accept": "application/json"})):
        text = status(OWNER.raw("GET", path, headers), 200)
        expect((text.text, text["content-type"]), ("gb-one\n", "text/plain; charset=utf-8"))
    for path, accept in (
        ("?prefix=gb-&format=xml", "*/*"),
        ("?prefix=gb-", "text/xml"),
        ("?prefix=gb-", "application/xml"),
    ):
        document = ElementTree.fromstring(status(OWNER.raw("GET", path, {"Accept": accept}), 200).body)
        expect((document.tag, document.get("name")), ("account", OWNER.account))
        expect([document.findtext(f"container/{tag}") for tag in ("name", "count", "bytes")], ["gb-one", "2", "6"])
    json_of = OWNER.raw("GET", "?prefix=gb-", {"Accept": "application/json"})
    expect(json_of["content-type"], "application/json; charset=utf-8")
    status(OWNER.raw("GET", "?prefix=gb-none"), 204)
    expect(status(OWNER.raw("GET", "?prefix=gb-none&format=json"), 200).text, "[]")
    empty = status(OWNER.raw("GET", "?prefix=gb-none&format=xml"), 200)
    expect(len(ElementTree.fromstring(empty.body)), 0)
    status(OWNER.raw("GET", "?prefix=gb-", {"X-Newest": "true"}), 200)
    status(OWNER.raw("GET", "", {"Accept": "image/png"}), 400)
    expect(OWNER.raw("GET", "?prefix=gb-&format=other", {"Accept": "text/xml"}).text, "gb-one\n")


@case("HEAD account", "counts of containers, objects and bytes, also by storage policy")
def account_counts():
    before = OWNER.conn.head_account()
    container("ha-standard", o="12345")
    container("ha-cold", {"X-Storage-Policy": "STANDARD_IA"}, o="123")
    after = OWNER.conn.head_account()
    more = lambda name: int(after[name]) - int(before.get(name, 0))
    expect([more(f"x-account-{name}") for name in ("container-count", "object-count", "bytes-used")], [2, 2, 8])
    for policy, size in (("standard", 5), ("standard_ia", 3)):
        counts = [
            more(f"x-account-storage-policy-{policy}-{name}")
            for name in ("container-count", "object-count", "bytes-used")
        ]
        expect(counts, [1, 1, size])
    assert TIMESTAMP.match(after["x-timestamp"]), after
    stat = OWNER.service().stat()
    assert stat["success"] and int(stat["headers"]["x-account-container-count"]) >= 2, stat
    status(OWNER.raw("HEAD"), 204)


@case("HEAD account", "keys of temporary URLs are shown to the account's owner, and to nobody else")
def account_keys():
    OWNER.conn.post_account({"X-Account-Meta-Temp-URL-Key": "secret-1", "X-Account-Meta-Temp-URL-Key-2": "secret-2"})
    head = OWNER.conn.head_account()
    expect((head["x-account-meta-temp-url-key"], head["x-account-meta-temp-url-key-2"]), ("secret-1", "secret-2"))
    refused(403, STRANGER.at(OWNER).head_account)
    OWNER.conn.post_account({"X-Account-Meta-Temp-URL-Key": "", "X-Remove-Account-Meta-Temp-URL-Key-2": "x"})
    assert "x-account-meta-temp-url-key" not in OWNER.conn.head_account()


@case("POST account", "metadata: items not named are kept, an empty value or X-Remove- removes one")
def account_metadata():
    OWNER.conn.post_account({"X-Account-Meta-One": "1", "X-Account-Meta-Two": "caf\u00e9", "X-Account-Meta-Three": "3"})
    OWNER.conn.post_account({"X-Account-Meta-One": "", "X-Remove-Account-Meta-Three": "x", "X-Account-Meta-Four": "4"})
    head = OWNER.conn.head_account()
    expect(
        [head.get(f"x-account-meta-{name}") for name in ("one", "two", "three", "four")], [None, "caf\u00e9", None, "4"]
    )
    service = OWNER.service(meta=["Five:5"]).post()
    assert service["success"], service
    expect(OWNER.conn.head_account()["x-account-meta-five"], "5")
    status(OWNER.raw("POST", "", {"X-Account-Meta-A": "1"}), 204)
    for name in ("Two", "Four", "Five", "A"):
        OWNER.conn.post_account({f"X-Remove-Account-Meta-{name}": "x"})
    refused(400, OWNER.conn.post_account, {"X-Account-Meta-" + "n" * 129: "x"})
    refused(400, OWNER.conn.post_account, {"X-Account-Meta-Long": "v" * 257})
    refused(403, STRANGER.at(OWNER).post_account, {"X-Account-Meta-A": "1"})


# Containers

TREE = ["dir/a", "dir/b", "dir/sub/c", "plain", "z"]


@case("GET container", "pages, prefix, delimiter, path, markers, reverse, and a walk over all pages")
def container_pages():
    name = container("gc-pages", **{key: "x" for key in TREE})
    listed = lambda **options: names(OWNER.conn.get_container(name, **options))
    expect(listed(), TREE)
    expect(listed(limit=2), TREE[:2])
    expect(listed(marker="dir/b"), TREE[2:])
    expect(listed(marker="dir/a", end_marker="plain"), ["dir/b", "dir/sub/c"])
    expect(listed(prefix="dir/"), TREE[:3])
    expect(listed(delimiter="/"), ["dir/", "plain", "z"])
    expect(listed(prefix="dir/", delimiter="/"), ["dir/a", "dir/b", "dir/sub/"])
    expect(listed(delimiter="/", marker="dir/"), ["plain", "z"])
    expect(listed(path="dir"), ["dir/a", "dir/b"])
    expect(listed(full_listing=True, limit=2), TREE)
    expect(listed(delimiter="ir/"), ["dir/", "plain", "z"])
    ask = lambda query: OWNER.raw("GET", f"/{name}?{query}").text.split()
    expect(ask("reverse=true"), TREE[::-1])
    expect(ask("reverse=true&marker=plain&end_marker=dir/a"), ["dir/sub/c", "dir/b"])
    expect(ask("reverse=true&delimiter=/"), ["z", "plain", "dir/"])
    expect(ask("limit=0"), [])
    expect(ask("path="), ["plain", "z"])
    OWNER.conn.put_object(name, "dir/sub/", "")  # the object that stands for a directory
    expect(ask("path=dir"), ["dir/a", "dir/b", "dir/sub/"])
    expect(ask("path=dir/sub"), ["dir/sub/c"])
    OWNER.conn.delete_object(name, "dir/sub/")
    refused(412, OWNER.conn.get_container, name, limit=10001)
    refused(404, OWNER.conn.get_container, "gc-missing")
    pages = succeeded(OWNER.service(delimiter="/", prefix="dir/").list(container=name))
    expect(
        [entry.get("name", entry.get("subdir")) for page in pages for entry in page["listing"]],
        ["dir/a", "dir/b", "dir/sub/"],
    )


@case("GET container", "text, JSON and XML, with every member of an entry; an empty list")
def container_formats():
    name = container("gc-formats")
    OWNER.conn.put_object(name, "dir/caf\u00e9 <&>", "12345", content_type="a/b;c=d")
    [entry] = OWNER.conn.get_container(name)[1]
    expect(
        [entry[key] for key in ("name", "hash", "bytes", "content_type")],
        ["dir/caf\u00e9 <&>", md5(b"12345"), 5, "a/b;c=d"],
    )
    assert ISO.match(entry["last_modified"]), entry
    expect(OWNER.conn.get_container(name, delimiter="/")[1], [{"subdir": "dir/"}])
    expect(OWNER.raw("GET", f"/{name}").text, "dir/caf\u00e9 <&>\n")
    document = ElementTree.fromstring(OWNER.raw("GET", f"/{name}?format=xml").body)
    expect((document.tag, document.get("name")), ("container", name))
    shown = [document.findtext(f"object/{tag}") for tag in ("name", "hash", "bytes", "content_type", "last_modified")]
    expect(shown, ["dir/caf\u00e9 <&>", md5(b"12345"), "5", "a/b;c=d", entry["last_modified"]])
    subdir = ElementTree.fromstring(OWNER.raw("GET", f"/{name}?format=xml&delimiter=/").body).find("subdir")
    expect((subdir.get("name"), subdir.findtext("name")), ("dir/", "dir/"))
    head = status(OWNER.raw("GET", f"/{name}?format=json", {"X-Newest": "true"}), 200)
    expect((head["x-container-object-count"], head["x-container-bytes-used"]), ("1", "5"))
    empty = container("gc-empty")
    status(OWNER.raw("GET", f"/{empty}"), 204)
    expect(status(OWNER.raw("GET", f"/{empty}?format=json"), 200).text, "[]")


@case("GET container", "names in the order of their bytes in UTF-8, also those that clients often alter")
def container_order():
    keys = ["a b", "a%20b", "a+b", "a//b", "caf\u00e9", "cafe\u0301", "\uffee", "\U0001f600"]
    name = container("gc-order", **{key: key.encode() for key in keys})
    expect(names(OWNER.conn.get_container(name)), sorted(keys, key=lambda key: key.encode()))
    expect(
        names(OWNER.conn.get_container(name, full_listing=True, limit=2)), sorted(keys, key=lambda key: key.encode())
    )
    for key in keys:
        expect(body(name, key), key.encode())
    status(OWNER.raw("PUT", f"/{name}/a/../b", {}, b"dots"), 201)  # python-swiftclient would change the path
    expect(OWNER.raw("GET", f"/{name}/a/../b").text, "dots")


@case("HEAD container", "counts, metadata, lists, policy, versions, quotas, CORS")
def container_head():
    headers = {
        "X-Container-Meta-Color": "caf\u00e9",
        "X-Container-Read": ".r:*,.rlistings",
        "X-Container-Write": f"{STRANGER.number}",
        "X-Storage-Policy": "STANDARD_IA",
        "X-Versions-Enabled": "true",
        "X-Container-Meta-Quota-Bytes": "1000",
        "X-Container-Meta-Quota-Count": "9",
        "X-Container-Meta-Access-Control-Allow-Origin": "https://a.example",
    }
    name = container("hc-all", headers, a="1", b="22")
    head = OWNER.conn.head_container(name)
    for key, value in {**headers, "X-Versions-Enabled": "True"}.items():
        expect(head[key.lower()], value)
    expect((head["x-container-object-count"], head["x-container-bytes-used"]), ("2", "3"))
    assert TIMESTAMP.match(head["x-timestamp"]), head
    stat = OWNER.service().stat(container=name)
    expect(dict(stat["items"])["Read ACL"], ".r:*,.rlistings")
    status(OWNER.raw("HEAD", f"/{name}"), 204)
    public = status(raw("HEAD", OWNER.account_path(f"/{name}")), 204)
    assert public["x-container-read"] is None and public["x-container-write"] is None, public
    refused(404, OWNER.conn.head_container, "hc-missing")


@case("PUT container", "201 when it is new, 202 again, with metadata; the policy stays")
def container_put():
    put = lambda headers={}: OWNER.raw("PUT", "/pc-one", headers).status
    expect(put({"X-Container-Meta-A": "1", "X-Storage-Policy": "STANDARD_IA"}), 201)
    expect(put({"X-Container-Meta-B": "2"}), 202)
    head = OWNER.conn.head_container("pc-one")
    expect((head["x-container-meta-a"], head["x-container-meta-b"]), ("1", "2"))
    expect((put({"X-Storage-Policy": "STANDARD_IA"}), put({"X-Storage-Policy": "STANDARD"})), (202, 409))
    expect(put({"X-Storage-Policy": "no-such-policy"}), 400)
    expect(OWNER.conn.head_container("pc-one")["x-storage-policy"], "STANDARD_IA")


@case("PUT container", "names that no container has, and one that another account has")
def container_names():
    container("pc-taken")
    refused(409, STRANGER.conn.put_container, "pc-taken", text="another account")
    for name in ("ab", "with space", "n" * 256):
        refused(400, OWNER.conn.put_container, name)
    refused(404, STRANGER.conn.head_container, "pc-taken")


@case("POST container", "metadata and settings are changed item by item; 404 without the container")
def container_post():
    name = container("pd-one", {"X-Container-Meta-A": "1", "X-Container-Meta-B": "2"})
    OWNER.conn.post_container(name, {"X-Remove-Container-Meta-A": "x", "X-Container-Meta-C": "3"})
    head = OWNER.conn.head_container(name)
    expect([head.get(f"x-container-meta-{item}") for item in "abc"], [None, "2", "3"])
    status(OWNER.raw("POST", f"/{name}", {"X-Container-Meta-B": ""}), 204)
    assert "x-container-meta-b" not in OWNER.conn.head_container(name)
    posted = OWNER.service(meta=["D:4"], read_acl=".r:*", write_acl=STRANGER.number).post(container=name)
    assert posted["success"], posted
    head = OWNER.conn.head_container(name)
    expect(
        [head[key] for key in ("x-container-meta-d", "x-container-read", "x-container-write")],
        ["4", ".r:*", STRANGER.number],
    )
    OWNER.conn.post_container(name, {"X-Remove-Container-Read": "x", "X-Container-Write": ""})
    head = OWNER.conn.head_container(name)
    assert "x-container-read" not in head and "x-container-write" not in head, head
    refused(404, OWNER.conn.post_container, "pd-missing", {"X-Container-Meta-A": "1"})
    many = {f"X-Container-Meta-N{number}": "x" for number in range(91)}
    refused(400, OWNER.conn.post_container, name, many)


@case("DELETE container", "204, 404 again, 409 as long as it has objects")
def container_delete():
    name = container("dc-one", o="x")
    refused(409, OWNER.conn.delete_container, name)
    OWNER.conn.delete_object(name, "o")
    status(OWNER.raw("DELETE", f"/{name}"), 204)
    refused(404, OWNER.conn.delete_container, name)
    container(name, **{f"o{number}": "x" for number in range(5)})
    succeeded(OWNER.service().delete(container=name))
    refused(404, OWNER.conn.head_container, name)
