"""Large objects of Swift: manifests whose segments are checked."""

import base64
import json
import os

from swiftclient.utils import generate_temp_url

from swift_store import FOLDER, OWNER, STRANGER, body, case, container, expect, md5, names, raw, status, succeeded

MIB = 1024 * 1024


def names_in(name):
    return names(OWNER.conn.get_container(name))


# Static large objects


def segments(name):
    """Two segments, and what a manifest says of them."""
    parts = {"a": b"a" * MIB, "b": b"b" * MIB}
    container(name, **parts)
    return [{"path": f"/{name}/{key}", "etag": md5(part), "size_bytes": len(part)} for key, part in parts.items()]


def put_manifest(path, entries, headers={}, query=""):
    return OWNER.raw(
        "PUT",
        f"{path}?multipart-manifest=put{query}",
        {"Accept": "application/json", **headers},
        json.dumps(entries).encode(),
    )


@case("SLO", "segments are one object: whole, in ranges, under conditions; its ETag is that of the ETags")
def slo():
    entries = segments("la-segments")
    name = container("la-one")
    answer = status(put_manifest(f"/{name}/o", entries, {"X-Object-Meta-A": "1", "Content-Type": "a/b"}), 201)
    etag = md5("".join(entry["etag"] for entry in entries).encode())
    expect(answer["etag"].strip('"'), etag)
    head = OWNER.conn.head_object(name, "o")
    expect(
        [head[key] for key in ("content-length", "x-static-large-object", "x-object-meta-a", "content-type")],
        [str(2 * MIB), "True", "1", "a/b"],
    )
    expect(head["etag"], f'"{etag}"')
    found, content = OWNER.conn.get_object(name, "o")
    assert content == b"a" * MIB + b"b" * MIB
    seam = status(OWNER.raw("GET", f"/{name}/o", {"Range": f"bytes={MIB - 2}-{MIB + 1}"}), 206)
    expect((seam.text, seam["content-range"]), ("aabb", f"bytes {MIB - 2}-{MIB + 1}/{2 * MIB}"))
    several = status(OWNER.raw("GET", f"/{name}/o", {"Range": f"bytes=0-0,{2 * MIB - 1}-"}), 206).text
    assert "\r\na\r\n" in several and "\r\nb\r\n" in several, several
    status(OWNER.raw("GET", f"/{name}/o", {"Range": f"bytes={2 * MIB}-"}), 416)
    expect(OWNER.raw("GET", f"/{name}/o", {"If-None-Match": f'"{etag}"'}).status, 304)
    expect(OWNER.raw("GET", f"/{name}/o", {"If-Match": "other"}).status, 412)
    [entry] = OWNER.conn.get_container(name)[1]
    expect(entry["bytes"], 2 * MIB)


@case("SLO", "the manifest is shown, raw too, and can be stored again")
def slo_manifest():
    entries = segments("lb-segments")
    name = container("lb-one")
    status(put_manifest(f"/{name}/o", entries), 201)
    shown = status(OWNER.raw("GET", f"/{name}/o?multipart-manifest=get"), 200)
    listed = json.loads(shown.body)
    expect(
        [(entry["name"], entry["bytes"], entry["hash"]) for entry in listed],
        [(entry["path"], entry["size_bytes"], entry["etag"]) for entry in entries],
    )
    again = OWNER.raw("GET", f"/{name}/o?multipart-manifest=get&format=raw")
    expect([entry["path"] for entry in json.loads(again.body)], [entry["path"] for entry in entries])
    status(OWNER.raw("PUT", f"/{name}/p?multipart-manifest=put", {}, again.body), 201)
    expect(OWNER.conn.head_object(name, "p")["etag"], OWNER.conn.head_object(name, "o")["etag"])


@case("SLO", "parts of segments, bytes in the manifest itself, and a manifest in a manifest")
def slo_parts():
    entries = segments("lc-segments")
    name = container("lc-one")
    parts = [
        {**entries[0], "range": "0-2"},
        {"data": base64.b64encode(b"-data-").decode()},
        {**entries[1], "range": "-2"},
    ]
    status(put_manifest(f"/{name}/o", parts), 201)
    expect(body(name, "o"), b"aaa-data-bb")
    status(put_manifest(f"/{name}/nested", [{"path": f"/{name}/o"}, {"path": entries[1]["path"], "range": "0-0"}]), 201)
    expect(body(name, "nested"), b"aaa-data-bbb")
    expect(OWNER.raw("GET", f"/{name}/nested", {"Range": "bytes=2-9"}).text, "a-data-b")


@case("SLO", "what is missing, empty or another one than the manifest says is 400, and nothing is stored")
def slo_refusals():
    entries = segments("ld-segments")
    OWNER.conn.put_object("ld-segments", "empty", "")
    name = container("ld-one")
    for wrong in (
        [{**entries[0], "etag": md5(b"other")}],
        [{**entries[0], "size_bytes": 5}],
        [{"path": "/ld-segments/missing"}],
        [{"path": "/ld-segments/empty"}, entries[0]],
        [],
        {},
        [{"other": "x"}],
        [{"path": "no-object"}],
        [{**entries[0], "range": "9-2"}],
    ):
        status(put_manifest(f"/{name}/o", wrong), 400)
    status(OWNER.raw("PUT", f"/{name}/o?multipart-manifest=put", {}, b"no JSON"), 400)
    report = put_manifest(f"/{name}/o", [{**entries[0], "etag": md5(b"other")}, {"path": "/ld-segments/missing"}])
    errors = json.loads(report.body)["Errors"]
    expect([error[0] for error in errors], [entries[0]["path"], "/ld-segments/missing"])
    status(put_manifest(f"/{name}/o", [entries[0]] * 1001), 413)
    status(put_manifest(f"/{name}/o", entries, {"ETag": md5(b"other")}), 422)
    expect(names_in(name), [])


@case("SLO", "a changed segment is 409; a deletion takes the manifest, or the segments too")
def slo_deletion():
    entries = segments("le-segments")
    name = container("le-one")
    for key in ("o", "p"):
        status(put_manifest(f"/{name}/{key}", entries), 201)
    OWNER.conn.delete_object(name, "o")
    expect(names_in("le-segments"), ["a", "b"])
    OWNER.conn.put_object("le-segments", "a", b"c" * MIB)
    status(OWNER.raw("GET", f"/{name}/p"), 409)
    report = OWNER.raw("DELETE", f"/{name}/p?multipart-manifest=delete", {"Accept": "application/json"})
    expect(json.loads(status(report, 200).body)["Number Deleted"], 3)
    expect((names_in("le-segments"), names_in(name)), ([], []))


@case("SLO", "a copy has the bytes, or is a manifest too")
def slo_copy():
    entries = segments("lf-segments")
    name = container("lf-one")
    status(put_manifest(f"/{name}/o", entries), 201)
    OWNER.conn.copy_object(name, "o", f"/{name}/bytes")
    status(OWNER.raw("COPY", f"/{name}/o?multipart-manifest=get", {"Destination": f"{name}/manifest"}), 201)
    heads = [OWNER.conn.head_object(name, key) for key in ("bytes", "manifest")]
    expect([head["content-length"] for head in heads], [str(2 * MIB)] * 2)
    expect([head.get("x-static-large-object") for head in heads], [None, "True"])
    OWNER.conn.post_object(name, "manifest", {"X-Object-Meta-A": "1"})
    head = OWNER.conn.head_object(name, "manifest")
    expect(
        (head["x-static-large-object"], head["x-object-meta-a"], head["content-length"]), ("True", "1", str(2 * MIB))
    )


@case("SLO", "who reads it needs rights on its segments; a temporary URL by a key of the account has them")
def slo_rights():
    entries = segments("lk-segments")
    name = container("lk-one", {"X-Container-Read": STRANGER.number, "X-Container-Meta-Temp-URL-Key": "of-container"})
    status(put_manifest(f"/{name}/o", entries), 201)
    other = STRANGER.at(OWNER)
    expect(other.head_object(name, "o")["content-length"], str(2 * MIB))
    read = lambda **headers: raw("GET", OWNER.account_path(f"/{name}/o"), {"X-Auth-Token": STRANGER.token, **headers})
    assert read().status in (403, 409), read()
    OWNER.conn.post_container("lk-segments", {"X-Container-Read": STRANGER.number})
    expect(len(status(read(), 200).body), 2 * MIB)
    OWNER.conn.post_account({"X-Account-Meta-Temp-URL-Key": "of-account"})
    url = lambda key: generate_temp_url(OWNER.account_path(f"/{name}/o"), 3600, key, "GET")
    assert raw("GET", url("of-container")).status in (401, 403, 409), "a key of a container signs for that container"
    expect(raw("GET", url("of-account")).body, b"a" * MIB + b"b" * MIB)
    OWNER.conn.post_account({"X-Remove-Account-Meta-Temp-URL-Key": "x"})


@case("SLO", "a copy in another account has the bytes; its manifest is refused there")
def slo_copy_accounts():
    entries = segments("ln-segments")
    name = container("ln-one")
    status(put_manifest(f"/{name}/o", entries), 201)
    STRANGER.conn.put_container("ln-theirs", headers={"X-Container-Write": OWNER.number})
    to = {"Destination": "ln-theirs/copy", "Destination-Account": STRANGER.account}
    status(OWNER.raw("COPY", f"/{name}/o?multipart-manifest=get", to), 400)
    status(OWNER.raw("COPY", f"/{name}/o", to), 201)
    expect(len(body("ln-theirs", "copy", STRANGER)), 2 * MIB)


@case("SLO", "a heartbeat keeps the connection, and the answer is in the body")
def slo_heartbeat():
    entries = segments("ll-segments")
    name = container("ll-one")
    answer = status(put_manifest(f"/{name}/o", entries, query="&heartbeat=on"), 202)
    expect(json.loads(answer.body)["Response Status"], "201 Created")
    wrong = status(put_manifest(f"/{name}/p", [{"path": "/ll-segments/missing"}], query="&heartbeat=on"), 202)
    report = json.loads(wrong.body)
    expect((report["Response Status"], report["Errors"][0][0]), ("400 Bad Request", "/ll-segments/missing"))
    expect(names_in(name), ["o"])


@case("SLO", "versions of it are manifests, in the container and in another one")
def slo_versions():
    entries = segments("lm-segments")
    container("lm-archive")
    name = container("lm-stack", {"X-Versions-Location": "lm-archive"})
    status(put_manifest(f"/{name}/o", entries), 201)
    OWNER.conn.put_object(name, "o", "small")
    [archived] = names_in("lm-archive")
    expect(OWNER.conn.head_object("lm-archive", archived)["x-static-large-object"], "True")
    OWNER.conn.delete_object(name, "o")
    expect(OWNER.conn.head_object(name, "o").get("x-static-large-object"), "True")
    versioned = container("lm-versions", {"X-Versions-Enabled": "true"})
    first = status(put_manifest(f"/{versioned}/o", entries), 201)["x-object-version-id"]
    OWNER.conn.put_object(versioned, "o", "small")
    found, content = OWNER.conn.get_object(versioned, "o", query_string=f"version-id={first}")
    assert (len(content), found["x-static-large-object"]) == (2 * MIB, "True"), found
    OWNER.conn.delete_object(versioned, "o", query_string=f"version-id={first}")
    expect(names_in("lm-segments"), ["a", "b"])


def large_file(name):
    content = os.urandom(2 * MIB + 500_000)
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(content)
    return content


def large_by_service(name, use_slo):
    content = large_file(name)
    service = lambda **options: OWNER.service(
        segment_size=MIB, use_slo=use_slo, out_directory=os.path.join(FOLDER, f"{name}-back"), **options
    )
    succeeded(service().upload(name, [os.path.join(FOLDER, name)], options={"dir_marker": False}))
    key = os.path.join(FOLDER, name).lstrip("/")
    expect(names_in(name), [key])
    expect(len(names_in(f"{name}_segments")), 3)
    assert body(name, key) == content
    [back] = succeeded(service().download(name, [key]))
    with open(back["path"], "rb") as file:
        assert file.read() == content
    [stat] = succeeded(service().stat(container=name, objects=[key]))
    expect(stat["headers"]["content-length"], str(len(content)))
    large_file(name)
    succeeded(service().upload(name, [os.path.join(FOLDER, name)]))
    expect(len(names_in(f"{name}_segments")), 3)  # those of the former object are gone
    succeeded(service().delete(container=name, objects=[key]))
    expect((names_in(name), names_in(f"{name}_segments")), ([], []))


@case("SLO", "swift upload -S --use-slo, download, upload again and delete")
def slo_by_service():
    large_by_service("lg-slo", True)
