"""What middleware does in Swift: the checklist's section 2, beside rights and large objects."""

import hashlib
import hmac
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time

from swiftclient import client as swift

from swift_store import (
    AUTH,
    LATER,
    OWNER,
    RESELLER,
    STORE,
    STRANGER,
    User,
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

# Bulk operations


def archive(mode, files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@case("Bulk upload", "tar and tar.gz into containers that it makes, with a report in each format")
def bulk_upload():
    files = {"ba-made/a": b"first", "ba-made/" + "deep/" * 40 + "b": b"x" * 3000, "ba-too/caf\u00e9": b""}
    extract = lambda path, kind, packed, **headers: status(
        OWNER.raw("PUT", f"{path}?extract-archive={kind}", headers, packed), 200
    )
    report = json.loads(extract("", "tar", archive("w", files), Accept="application/json").body)
    expect((report["Number Files Created"], report["Response Status"], report["Errors"]), (3, "201 Created", []))
    expect(body("ba-made", "a"), b"first")
    expect(body("ba-made", "deep/" * 40 + "b"), b"x" * 3000)
    expect(names(OWNER.conn.get_container("ba-too")), ["caf\u00e9"])
    text = extract("/ba-made/below", "tar.gz", archive("w:gz", {"c": b"c"})).text
    assert "Number Files Created: 1\n" in text, text
    expect(body("ba-made", "below/c"), b"c")
    xml = extract("/ba-made", "tar", archive("w", {"d": b"d"}), Accept="text/xml").text
    assert "<number_files_created>1</number_files_created>" in xml, xml
    chunked = extract("/ba-made", "tar", iter([archive("w", {"e": b"e"})]), Accept="application/json")
    expect(json.loads(chunked.body)["Number Files Created"], 1)


@case("Bulk upload", "what cannot be stored is named in the report; other formats")
def bulk_upload_refusals():
    ask = lambda path, kind, packed: OWNER.raw(
        "PUT", f"{path}?extract-archive={kind}", {"Accept": "application/json"}, packed
    )
    report = json.loads(ask("", "tar", archive("w", {"bad name/a": b"x", "bb-made/b": b"y"})).body)
    expect((report["Number Files Created"], report["Errors"]), (1, [["bad%20name/a", "400 Bad Request"]]))
    report = json.loads(ask("", "tar", b"no archive" * 100).body)
    expect((report["Number Files Created"], report["Response Status"]), (0, "400 Bad Request"))
    status(ask("", "rar", b""), 400)
    report = json.loads(ask("", "tar.bz2", archive("w:bz2", {"bb-made/c": b"z"})).body)
    if shutil.which("bzip2") is None:
        expect(report["Response Status"], "501 Not Implemented")
    else:
        expect(report["Number Files Created"], 1)
        expect(body("bb-made", "c"), b"z")


@case("Bulk delete", "objects, then containers, by POST and DELETE, with a report of what failed")
def bulk_delete():
    name = container("bd-one", **{"a": "x", "b c": "x", "caf\u00e9": "x"})
    kept = container("bd-kept", o="x")
    lines = [name, f"{name}/a", f"/{name}/b%20c", f"/{name}/caf%C3%A9", f"/{name}/missing", f"/{kept}"]
    headers = {"Content-Type": "text/plain", "Accept": "application/json"}
    answer = status(OWNER.raw("POST", "?bulk-delete", headers, "\n".join(lines).encode()), 200)
    report = json.loads(answer.body)
    expect(
        (report["Number Deleted"], report["Number Not Found"], report["Errors"]), (4, 1, [[f"/{kept}", "409 Conflict"]])
    )
    refused(404, OWNER.conn.head_container, name)
    text = status(OWNER.raw("DELETE", "?bulk-delete", {"Content-Type": "text/plain"}, f"{kept}/o".encode()), 200).text
    assert "Number Deleted: 1\n" in text, text
    many = b"\n".join(b"bd-kept/%d" % number for number in range(10_001))
    status(OWNER.raw("POST", "?bulk-delete", headers, many), 413)
    status(
        raw("POST", OWNER.account_path("?bulk-delete"), {**headers, "X-Auth-Token": STRANGER.token}, b"bd-kept"), 403
    )
    expect(names(OWNER.conn.get_container(kept)), [])


@case("Bulk delete", "swift delete uses it, as the capabilities say")
def bulk_delete_by_service():
    name = container("be-one", **{f"o{number}": "x" for number in range(30)})
    results = succeeded(
        OWNER.service(object_dd_threads=1).delete(container=name, objects=[f"o{number}" for number in range(20)])
    )
    assert any(result["action"] == "bulk_delete" for result in results), results
    expect(len(names(OWNER.conn.get_container(name))), 10)


@case("Rate limit", "an account with a limit is answered 498 beyond it, others are not")
def rate_limit():
    limited = User(STORE["limited"])
    expect(limited.raw("HEAD").status, 204)
    # More than one a second, however slow the machine is.
    assert any(limited.raw("HEAD").status == 498 for _ in range(2000)), "no request is refused"
    expect({OWNER.raw("HEAD").status for _ in range(30)}, {204})


# Containers as websites


@case("StaticWeb", "index, folders, redirects, error pages and listings, for browsers and X-Web-Mode")
def static_web():
    name = container(
        "sw-one",
        {
            "X-Container-Read": ".r:*,.rlistings",
            "X-Container-Meta-Web-Index": "index.html",
            "X-Container-Meta-Web-Error": "error.html",
        },
        **{"index.html": "root", "dir/index.html": "of dir", "photos/a b": "x", "404error.html": "not here"},
    )
    read = lambda path, headers={}: raw("GET", OWNER.account_path(f"/{name}{path}"), headers)
    expect(status(read("/"), 200).text, "root")
    assert status(read(""), 301)["location"].endswith(f"/{name}/")
    assert status(read("/dir"), 301)["location"].endswith(f"/{name}/dir/")
    expect(status(read("/dir/"), 200).text, "of dir")
    expect(status(read("/nothing"), 404).text, "not here")
    status(read("/photos/"), 404)
    OWNER.conn.post_container(
        name,
        {
            "X-Container-Meta-Web-Listings": "true",
            "X-Container-Meta-Web-Listings-CSS": "style.css",
            "X-Container-Meta-Web-Listings-Label": "A label",
        },
    )
    listing = status(read("/photos/"), 200).text
    assert "a b" in listing and "style.css" in listing and "A label" in listing, listing
    expect(names(OWNER.conn.get_container(name))[0], "404error.html")
    signed = {"X-Auth-Token": OWNER.token, "X-Web-Mode": "true"}
    expect(read("/", signed).text, "root")
    OWNER.conn.put_object(name, "marked", "", content_type="own/directory")
    OWNER.conn.put_object(name, "marked/index.html", "of marked")
    OWNER.conn.post_container(name, {"X-Container-Meta-Web-Directory-Type": "own/directory"})
    status(read("/marked"), 301)
    OWNER.conn.post_container(name, {"X-Container-Read": ""})
    status(read("/"), 401)


# Versions


@case("Versions, stack", "overwriting keeps what was there, and a deletion brings it back")
def versions_stack():
    container("vs-archive")
    name = container("vs-one", {"X-Versions-Location": "vs-archive"})
    for content in ("one", "two", "three"):
        OWNER.conn.put_object(name, "obj", content, headers={"X-Object-Meta-Of": content})
    archived = names(OWNER.conn.get_container("vs-archive"))
    expect(len(archived), 2)
    assert all(re.match(r"^003obj/\d{10}\.\d{5}$", key) for key in archived), archived
    expect(body("vs-archive", archived[0]), b"one")
    OWNER.conn.delete_object(name, "obj")
    found, content = OWNER.conn.get_object(name, "obj")
    expect((content, found["x-object-meta-of"]), (b"two", "two"))
    OWNER.conn.delete_object(name, "obj")
    expect(body(name, "obj"), b"one")
    expect(names(OWNER.conn.get_container("vs-archive")), [])
    OWNER.conn.delete_object(name, "obj")
    refused(404, OWNER.conn.delete_object, name, "obj")
    OWNER.conn.put_object(name, "p", "one")
    OWNER.conn.copy_object(name, "p", f"/{name}/p", headers={"X-Object-Meta-A": "1"})
    expect(len(names(OWNER.conn.get_container("vs-archive"))), 1)
    OWNER.conn.post_object(name, "p", {"X-Object-Meta-A": "2"})
    expect(len(names(OWNER.conn.get_container("vs-archive"))), 1)
    OWNER.conn.post_container(name, {"X-Remove-Versions-Location": "x"})
    assert "x-versions-location" not in OWNER.conn.head_container(name)


@case("Versions, stack", "without the other container, an upload is 412 and leaves the object")
def versions_stack_missing():
    name = container("vt-one", o="before")
    OWNER.conn.post_container(name, {"X-Versions-Location": "vt-missing"})
    refused(412, OWNER.conn.put_object, name, "o", "after", text="vt-missing")
    refused(412, OWNER.conn.delete_object, name, "o")
    expect(body(name, "o"), b"before")


@case("Versions, history", "a deletion is one more version")
def versions_history():
    container("vh-archive")
    name = container("vh-one", {"X-History-Location": "vh-archive"}, o="one")
    OWNER.conn.put_object(name, "o", "two")
    OWNER.conn.delete_object(name, "o")
    refused(404, OWNER.conn.get_object, name, "o")
    listed = OWNER.conn.get_container("vh-archive", prefix="001o/")[1]
    expect(
        [(entry["bytes"], entry["content_type"]) for entry in listed][1:],
        [
            (3, "application/octet-stream"),
            (0, "application/x-deleted;swift_versions_deleted=1"),
        ],
    )
    expect([body("vh-archive", entry["name"]) for entry in listed], [b"one", b"two", b""])
    refused(404, OWNER.conn.delete_object, name, "o")
    refused(
        400, OWNER.conn.post_container, name, {"X-Versions-Location": "vh-archive", "X-History-Location": "vh-archive"}
    )
    refused(400, OWNER.conn.post_container, name, {"X-Versions-Enabled": "true"})


@case("Object versioning", "versions are written, listed, read and deleted by their ids; DELETE adds a marker")
def object_versions():
    name = container("ov-one", {"X-Versions-Enabled": "true"})
    ids = []
    for content in ("one", "two"):
        written = {}
        OWNER.conn.put_object(name, "o", content, response_dict=written)
        ids.append(written["headers"]["x-object-version-id"])
    expect(body(name, "o"), b"two")
    expect(body(name, "o", query_string=f"version-id={ids[0]}"), b"one")
    expect(OWNER.conn.head_object(name, "o", query_string=f"version-id={ids[0]}")["x-object-version-id"], ids[0])
    OWNER.conn.post_object(name, "o", {"X-Object-Meta-A": "1"})  # no version of its own
    OWNER.conn.delete_object(name, "o")
    refused(404, OWNER.conn.get_object, name, "o")
    expect(names(OWNER.conn.get_container(name)), [])
    listed = OWNER.conn.get_container(name, query_string="versions=true")[1]
    expect(
        [(entry["name"], entry["bytes"], entry["is_latest"]) for entry in listed],
        [("o", 0, True), ("o", 3, False), ("o", 3, False)],
    )
    expect([entry["version_id"] for entry in listed[1:]], ids[::-1])
    expect(listed[0]["content_type"], "application/x-deleted;swift_versions_deleted=1")
    expect(len(json.loads(OWNER.raw("GET", f"/{name}?versions").body)), 3)
    status(OWNER.raw("GET", f"/{name}?versions&format=xml"), 400)
    OWNER.conn.post_container(name, {"X-Container-Read": f"{STRANGER.number}", "X-Container-Write": STRANGER.number})
    other = STRANGER.at(OWNER)
    refused(403, other.get_object, name, "o", query_string=f"version-id={ids[0]}")
    refused(403, other.delete_object, name, "o", query_string=f"version-id={ids[0]}")
    pages = OWNER.conn.get_container(name, marker="o", version_marker=ids[1], query_string="versions=true")[1]
    expect([entry["version_id"] for entry in pages], ids[:1])
    refused(409, OWNER.conn.delete_container, name)
    status(OWNER.raw("POST", f"/{name}/o?version-id={ids[0]}"), 400)
    status(OWNER.raw("PUT", f"/{name}/o?version-id={ids[0]}", {}, b"x"), 400)
    status(OWNER.raw("PUT", f"/{name}/o?version-id={ids[0]}", {"Content-Length": "0"}), 201)
    expect(body(name, "o"), b"one")
    copied = OWNER.raw("COPY", f"/{name}/o?version-id={ids[0]}", {"Destination": f"/{name}/back"})
    status(copied, 201)
    expect(body(name, "back"), b"one")
    for entry in OWNER.conn.get_container(name, query_string="versions=true")[1]:
        OWNER.conn.delete_object(name, entry["name"], query_string=f"version-id={entry['version_id']}")
    OWNER.conn.delete_container(name)


@case("Object versioning", "suspended versions; the two modes exclude it; swift list, stat and delete of versions")
def object_versions_by_service():
    name = container("ow-one", {"X-Versions-Enabled": "true"}, o="one")
    OWNER.conn.put_object(name, "o", "two")
    [page] = succeeded(OWNER.service(versions=True).list(container=name))
    expect([entry["is_latest"] for entry in page["listing"]], [True, False])
    OWNER.conn.post_container(name, {"X-Versions-Enabled": "false"})
    expect(OWNER.conn.head_container(name)["x-versions-enabled"], "False")
    refused(400, OWNER.conn.post_container, name, {"X-Versions-Enabled": "true", "X-Versions-Location": "vs-archive"})
    refused(400, OWNER.conn.post_container, name, {"X-Versions-Enabled": "perhaps"})
    succeeded(OWNER.service(versions=True).delete(container=name))
    refused(404, OWNER.conn.head_container, name)


# Objects that end


@case("Expiring objects", "404 from the second on; times are moved, removed and copied; a past time is 400")
def expiring():
    name = container("ex-one")
    put = lambda key, headers: OWNER.conn.put_object(name, key, "x", headers=headers)
    for headers in (
        {"X-Delete-At": "1000000000"},
        {"X-Delete-At": "soon"},
        {"X-Delete-After": "soon"},
        {"X-Delete-After": "-1"},
        {"X-Delete-After": "0"},
    ):
        refused(400, put, "bad", headers)
    put("o", {"X-Delete-At": str(LATER)})
    of = lambda key: OWNER.conn.head_object(name, key).get("x-delete-at")
    expect(of("o"), str(LATER))
    OWNER.conn.copy_object(name, "o", f"/{name}/copy")
    expect(of("copy"), str(LATER))
    OWNER.conn.post_object(name, "o", {"X-Delete-After": "1000"})
    assert time.time() + 900 < int(of("o")) < time.time() + 1100, of("o")
    OWNER.conn.post_object(name, "o", {"X-Remove-Delete-At": "x"})
    expect(of("o"), None)
    put("short", {"X-Delete-After": "1"})
    deadline = time.monotonic() + 60
    while OWNER.raw("GET", f"/{name}/short").status == 200:
        assert time.monotonic() < deadline, "it does not end"
        time.sleep(0.2)
    refused(404, OWNER.conn.get_object, name, "short")
    refused(404, OWNER.conn.post_object, name, "short", {})


# Quotas, limits, capabilities


@case("Quotas", "of containers, in bytes and objects: 413 for what goes beyond, also for copies")
def container_quotas():
    name = container("qc-one", {"X-Container-Meta-Quota-Bytes": "10", "X-Container-Meta-Quota-Count": "2"})
    refused(413, OWNER.conn.put_object, name, "a", "12345678901")
    OWNER.conn.put_object(name, "a", "12345678")
    refused(413, OWNER.conn.put_object, name, "b", "123")
    refused(413, OWNER.conn.copy_object, name, "a", f"/{name}/b")
    OWNER.conn.put_object(name, "b", "12")
    OWNER.conn.post_container(name, {"X-Container-Meta-Quota-Bytes": "1000"})
    refused(413, OWNER.conn.put_object, name, "c", "1")
    expect(body(name, "a"), b"12345678")
    for header in ("Bytes", "Count"):
        refused(400, OWNER.conn.post_container, name, {f"X-Container-Meta-Quota-{header}": "many"})
    OWNER.conn.post_container(name, {"X-Remove-Container-Meta-Quota-Count": "x"})
    OWNER.conn.put_object(name, "c", "1")


@case("/info", "limits and features, without a token")
def info():
    found = swift.get_capabilities(swift.http_connection(AUTH.replace("/auth/v1.0", "/info")))
    expect(
        [
            found["swift"][name]
            for name in (
                "account_listing_limit",
                "container_listing_limit",
                "max_meta_name_length",
                "max_meta_value_length",
                "max_meta_count",
                "max_object_name_length",
            )
        ],
        [10_000, 10_000, 128, 256, 90, 1024],
    )
    for name in (
        "tempurl",
        "formpost",
        "bulk_delete",
        "bulk_upload",
        "versioned_writes",
        "object_versioning",
        "container_quotas",
        "tempauth",
    ):
        assert name in found, found
    expect(found["tempurl"]["allowed_digests"], ["sha256", "sha512"])
    expect(OWNER.service().capabilities()["capabilities"]["swift"], found["swift"])


@case("/info", "a hidden section, which administrators see by a signature")
def info_of_administrators():
    public = json.loads(status(raw("GET", "/info"), 200).body)
    assert "staticweb" not in public and "admin" not in public, public
    signature = lambda key, expires: hmac.new(key.encode(), f"GET\n{expires}\n/info".encode(), "sha256").hexdigest()
    ask = lambda key, expires: raw("GET", f"/info?swiftinfo_sig={signature(key, expires)}&swiftinfo_expires={expires}")
    shown = json.loads(status(ask(STORE["info_key"], LATER), 200).body)
    assert "staticweb" in shown and "admin" in shown, shown
    expect([ask("another-key", LATER).status, ask(STORE["info_key"], 1_000_000_000).status], [401, 401])


@case("CORS", "preflights and simple requests, by the origins of a container")
def cors():
    name = container(
        "cs-one",
        {
            "X-Container-Meta-Access-Control-Allow-Origin": "https://a.example https://b.example",
            "X-Container-Meta-Access-Control-Max-Age": "60",
            "X-Container-Meta-Access-Control-Expose-Headers": "X-Own",
            "X-Container-Read": ".r:*",
        },
        o="x",
    )
    path = OWNER.account_path(f"/{name}/o")
    ask = lambda origin, method: raw(
        "OPTIONS",
        path,
        {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x-auth-token"},
    )
    allowed = status(ask("https://b.example", "PUT"), 200)
    expect(
        [allowed[f"access-control-{key}"] for key in ("allow-origin", "max-age", "allow-headers")],
        ["https://b.example", "60", "x-auth-token"],
    )
    assert "PUT" in allowed["access-control-allow-methods"], allowed
    expect((ask("https://c.example", "PUT").status, ask("https://a.example", "TRACE").status), (401, 401))
    read = raw("GET", path, {"Origin": "https://a.example"})
    expect((read.text, read["access-control-allow-origin"]), ("x", "https://a.example"))
    assert "x-own" in read["access-control-expose-headers"] and "etag" in read["access-control-expose-headers"], read
    expect(raw("GET", path, {"Origin": "https://c.example"})["access-control-allow-origin"], None)


@case(
    "Encryption at rest", "no file of the disks holds an object, its name or its metadata; ETags are those of the bytes"
)
def encryption():
    mark = "mark-of-the-checklist-0123456789"
    name = container("ea-one")
    contents = {f"{mark}-small": mark.encode() * 4, f"{mark}-large": mark.encode() * 100_000}
    for key, content in contents.items():
        etag = OWNER.conn.put_object(name, key, content, headers={"X-Object-Meta-Mark": mark})
        expect(etag, hashlib.md5(content).hexdigest())
        assert body(name, key) == content
    for folder, _, files in os.walk(STORE["data"]):
        for file in files:
            path = os.path.join(folder, file)
            found = subprocess.run(["grep", "-c", "-a", "-F", mark, path], capture_output=True, check=False)
            assert found.returncode != 0, f"{path} holds the mark"


# Services


def of_services(user, token="token-of-service"):
    """A connection of the user to the account of services, and the headers by which a service opens it."""
    url = user.url.replace("/AUTH_", "/SERVICE_")
    return swift.Connection(preauthurl=url, preauthtoken=user.token, retries=0), {"X-Service-Token": token}


@case("Service tokens", "two tokens open the account of services, which is apart; services have a role or a policy")
def service_tokens():
    conn, signed = of_services(OWNER)
    conn.put_container("st-images", headers=signed)
    conn.put_object("st-images", "o", "of the service", headers=signed)
    expect(conn.get_object("st-images", "o", headers=signed)[1], b"of the service")
    expect(names(conn.get_account(headers=signed)), ["st-images"])
    assert "st-images" not in names(OWNER.conn.get_account())
    refused(404, OWNER.conn.get_object, "st-images", "o")
    _, by_policy = of_services(OWNER, RESELLER.token)
    expect(conn.get_object("st-images", "o", headers=by_policy)[1], b"of the service")
    url = f"{OWNER.url.rsplit('/', 1)[0]}/AUTH_{STORE['project']}"
    operator = User({"id": "admin", "secret": ""}, url, "token-of-admin")
    conn, signed = of_services(operator)
    conn.put_container("st-of-project", headers=signed)
    assert "st-of-project" not in names(operator.conn.get_account())


@case("Service tokens", "403 without a service, 401 without a user, or with a token that is not valid")
def missing_service_tokens():
    conn, signed = of_services(OWNER)
    conn.put_container("st-closed", headers=signed)
    path = f"/v1/SERVICE_{OWNER.number}/st-closed"
    for token, service, answered in (
        (OWNER.token, None, 403),
        (OWNER.token, OWNER.token, 403),
        (OWNER.token, "token-of-admin", 403),
        (STRANGER.token, "token-of-service", 403),
        (OWNER.token, "unknown", 401),
        (None, "token-of-service", 401),
        ("unknown", "token-of-service", 401),
    ):
        sent = {"X-Auth-Token": token, "X-Service-Token": service}
        headers = {name: value for name, value in sent.items() if value is not None}
        for method, below in (("GET", ""), ("PUT", "/o")):
            status(raw(method, path + below, headers), answered)


# Accounts, and the store itself


@case("DELETE account", "403 for its owner; 204 for a reseller admin, then 410 until a PUT brings the account back")
def delete_account():
    status(OWNER.raw("DELETE"), 403)
    path = "/v1/AUTH_fedcba9876543210fedcba9876543210"
    signed = {"X-Auth-Token": RESELLER.token}
    status(raw("DELETE", path, signed), 404)
    status(raw("PUT", path, signed), 201)
    status(raw("PUT", f"{path}/da-kept", signed), 201)
    status(raw("DELETE", path, signed), 204)
    for method, below in (("GET", ""), ("DELETE", ""), ("GET", "/da-kept"), ("PUT", "/da-kept/o")):
        status(raw(method, path + below, signed), 410)
    status(raw("PUT", path, signed), 202)
    status(raw("GET", f"{path}/da-kept", signed), 204)


@case("PUT account", "made by reseller admins alone: 201, or 202 if there is one; it is theirs to fill and to limit")
def put_account():
    status(OWNER.raw("PUT"), 403)
    path = "/v1/AUTH_0123456789abcdef0123456789abcdef"
    signed = {"X-Auth-Token": RESELLER.token}
    status(raw("GET", path, signed), 404)
    status(raw("PUT", path, {**signed, "X-Account-Meta-Color": "red"}), 201)
    status(raw("PUT", path, signed), 202)
    status(raw("PUT", f"{path}/made-by-reseller", signed), 201)
    expect(raw("GET", path, signed).text, "made-by-reseller\n")


@case("Quotas", "of accounts, by reseller admins alone: 413 for what goes beyond, what is there stays")
def account_quotas():
    refused(403, OWNER.conn.post_account, {"X-Account-Meta-Quota-Bytes": "10"})
    reseller = RESELLER.at(STRANGER)
    STRANGER.conn.put_container("qa-one")
    STRANGER.conn.put_object("qa-one", "a", "1" * 600)
    reseller.post_account({"X-Account-Meta-Quota-Bytes": "700"})
    try:
        expect(STRANGER.conn.head_account()["x-account-quota-bytes"], "700")
        refused(413, STRANGER.conn.put_object, "qa-one", "b", "1" * 600)
        refused(413, STRANGER.conn.copy_object, "qa-one", "a", "/qa-one/b")
        expect(len(body("qa-one", "a", STRANGER)), 600)
    finally:
        reseller.post_account({"X-Account-Quota-Bytes": ""})
    STRANGER.conn.put_object("qa-one", "b", "1" * 600)


@case("Endpoints", "devices that have an object, in both forms, for resellers alone")
def endpoints():
    name = container("en-one", o="x")
    path = f"{OWNER.account}/{name}/o"
    reseller = {"X-Auth-Token": RESELLER.token}
    urls = json.loads(status(raw("GET", f"/v1/endpoints/{path}", reseller), 200).body)
    assert urls and all(url.startswith("http://") and url.endswith(f"/{path}") for url in urls), urls
    expect(json.loads(raw("GET", f"/endpoints/v2/{path}", reseller).body), {"endpoints": urls, "headers": {}})
    status(raw("GET", f"/v1/endpoints/{path}-missing", reseller), 404)
    status(raw("GET", f"/v1/endpoints/{path}", {"X-Auth-Token": OWNER.token}), 403)
    status(raw("GET", f"/v1/endpoints/{path}"), 401)


@case("Other filters", "healthcheck, crossdomain and domain_remap; headers of Swift's own servers have no effect")
def filters():
    expect(status(raw("GET", "/healthcheck"), 200).text, "OK")
    assert "*.example.com" in status(raw("GET", "/crossdomain.xml"), 200).text
    name = container("of-one", {"X-Container-Read": ".r:*", "X-Container-Sysmeta-A": "1"}, **{"dir/o": "by name"})
    host = {"Host": f"{name}.AUTH-{OWNER.number}.storage.example"}
    expect(status(raw("GET", "/dir/o", host), 200).text, "by name")
    status(raw("GET", "/missing", host), 404)
    OWNER.conn.put_object(name, "p", "x", headers={"X-Timestamp": "1000000000.00000", "X-Object-Sysmeta-A": "1"})
    head = OWNER.conn.head_object(name, "p")
    assert float(head["x-timestamp"]) > 1_500_000_000, head
    assert not any("sysmeta" in key for key in (*head, *OWNER.conn.head_container(name))), head


@case("Other filters", "recon for resellers alone; 501: what is of Swift's own daemons")
def recon():
    reseller = {"X-Auth-Token": RESELLER.token}

    def ask(what):
        return json.loads(status(raw("GET", f"/recon/{what}", reseller), 200).body)

    assert ask("version")["version"].startswith("Hayloft/")
    assert "MemTotal" in ask("mem") and ask("load")["tasks"]
    [disk] = ask("diskusage")
    assert disk["mounted"] and disk["size"] == disk["used"] + disk["avail"] > 0, disk
    assert sum(map(len, ask("devices").values())) == 1 and ask("unmounted") == []
    status(raw("GET", "/recon/replication", reseller), 501)
    status(raw("GET", "/recon/version", {"X-Auth-Token": OWNER.token}), 403)
    status(raw("GET", "/recon/version"), 401)


@case("Other filters", "etag_quoter: ETags in quotes for a container")
def quoted_etags():
    name = container("of-quotes", o="x")
    md5 = OWNER.conn.head_object(name, "o")["etag"]
    OWNER.conn.post_container(name, {"X-Container-Rfc-Compliant-Etags": "true"})
    expect(OWNER.raw("HEAD", f"/{name}/o").headers["etag"], f'"{md5}"')
    expect(OWNER.conn.head_container(name)["x-container-rfc-compliant-etags"], "True")
    OWNER.conn.post_container(name, {"X-Remove-Container-Rfc-Compliant-Etags": "x"})
    expect(OWNER.raw("HEAD", f"/{name}/o").headers["etag"], md5)
