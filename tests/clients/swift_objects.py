"""Objects of Swift: every method, parameter and header of the checklist (section 1), and its common rules."""

import json
import os
import re
import socket

from swiftclient import client as swift

from swift_store import FOLDER, LATER, OWNER, STRANGER, TIMESTAMP, body, case, connected, container, expect, md5, names
from swift_store import raw, refused, status, succeeded


@case("GET object", "whole, in pieces, with every stored header")
def object_get():
    name = container("go-whole")
    headers = {
        "X-Object-Meta-Color": "caf\u00e9",
        "Content-Encoding": "own",
        "Content-Disposition": "inline",
        "Cache-Control": "no-cache",
    }
    etag = OWNER.conn.put_object(name, "o", "0123456789", content_type="a/b", headers=headers)
    found, content = OWNER.conn.get_object(name, "o")
    expect(content, b"0123456789")
    expect(
        (found["etag"], etag, found["content-type"], found["content-length"]), (md5(content), md5(content), "a/b", "10")
    )
    for key, value in headers.items():
        expect(found[key.lower()], value)
    assert TIMESTAMP.match(found["x-timestamp"]) and found["accept-ranges"] == "bytes", found
    assert found["last-modified"].endswith("GMT"), found
    pieces = OWNER.conn.get_object(name, "o", resp_chunk_size=3)[1]
    expect(b"".join(pieces), b"0123456789")
    refused(404, OWNER.conn.get_object, name, "missing")
    refused(404, OWNER.conn.get_object, "go-missing", "o")
    status(OWNER.raw("GET", f"/{name}/o", {"X-Newest": "true"}), 200)


def ranged(name, value, **headers):
    return OWNER.raw("GET", f"/{name}/o", {"Range": value, **headers})


@case("GET object", "one range: first bytes, last bytes, beyond the end, and what is no range")
def object_range():
    name = container("go-range", o="0123456789", empty="")
    for value, content, shown in (
        ("bytes=2-4", "234", "2-4"),
        ("bytes=7-", "789", "7-9"),
        ("bytes=-3", "789", "7-9"),
        ("bytes=8-100", "89", "8-9"),
        ("bytes=-100", "0123456789", "0-9"),
        ("bytes=0-0", "0", "0-0"),
    ):
        answer = status(ranged(name, value), 206)
        expect((answer.text, answer["content-range"]), (content, f"bytes {shown}/10"))
    for value in ("bytes=10-", "bytes=10-20", "bytes=-0"):
        expect(status(ranged(name, value), 416)["content-range"], "bytes */10")
    for value in ("bytes=4-2", "lines=1-2", "bytes=a-b", "bytes=", "1-2"):
        expect(status(ranged(name, value), 200).text, "0123456789")
    status(OWNER.raw("GET", f"/{name}/empty", {"Range": "bytes=0-1"}), 416)
    status(OWNER.raw("HEAD", f"/{name}/o", {"Range": "bytes=2-4"}), 200)
    expect(ranged(name, "bytes=2-4", **{"If-Range": md5(b"0123456789")}).text, "234")
    expect(status(ranged(name, "bytes=2-4", **{"If-Range": "other"}), 200).text, "0123456789")


@case("GET object", "several ranges in one answer; too many, overlapping or unordered ones are 416")
def object_ranges():
    name = container("go-ranges", o="0123456789" * 10)
    several = status(ranged(name, "bytes=0-1,5-6,-2"), 206)
    boundary = re.match(r"multipart/byteranges; ?boundary=(\S+)", several["content-type"]).group(1)
    parts = several.text.split(f"--{boundary}")
    expect((len(parts), parts[-1].strip()), (5, "--"))
    for part, content, shown in zip(parts[1:4], ("01", "56", "89"), ("0-1", "5-6", "98-99")):
        head, found = part.split("\r\n\r\n")
        expect(found.rstrip("\r\n"), content)
        assert f"Content-Range: bytes {shown}/100" in head, head
    expect(status(ranged(name, "bytes=0-1,200-300"), 206).text.count("Content-Range"), 1)
    status(ranged(name, "bytes=200-300,400-500"), 416)
    each = lambda firsts: "bytes=" + ",".join(f"{first}-{first}" for first in firsts)
    status(ranged(name, each(range(0, 100, 2))), 206)  # 50
    status(ranged(name, each(range(51))), 416)
    status(ranged(name, "bytes=0-5,4-9,8-12"), 206)  # two overlaps
    status(ranged(name, "bytes=0-5,4-9,8-12,11-14"), 416)  # three
    status(ranged(name, each(range(14, 0, -2))), 206)  # seven in another order
    status(ranged(name, each(range(16, 0, -2))), 416)  # eight


@case("GET object", "conditions: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since")
def object_conditions():
    name = container("go-conditions", o="x")
    [etag, other] = [md5(b"x"), md5(b"y")]
    past, future = "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
    modified = OWNER.conn.head_object(name, "o")["last-modified"]
    for method in ("GET", "HEAD"):
        ask = lambda **headers: OWNER.raw(
            method, f"/{name}/o", {key.replace("_", "-"): value for key, value in headers.items()}
        ).status
        for value in (etag, f'"{etag}"', "*", f'"{other}", "{etag}"'):
            expect((ask(If_Match=value), ask(If_None_Match=value)), (200, 304))
        expect((ask(If_Match=other), ask(If_None_Match=other)), (412, 200))
        expect(
            (ask(If_Modified_Since=past), ask(If_Modified_Since=modified), ask(If_Modified_Since=future)),
            (200, 304, 200),
        )
        expect(
            (ask(If_Unmodified_Since=past), ask(If_Unmodified_Since=modified), ask(If_Unmodified_Since=future)),
            (412, 200, 200),
        )
    expect(OWNER.raw("GET", f"/{name}/o", {"If-None-Match": etag})["etag"].strip('"'), etag)


@case("HEAD object", "the headers of a GET, and the length")
def object_head():
    name = container("ho-one")
    OWNER.conn.put_object(name, "o", "12345", headers={"X-Object-Meta-Color": "red"})
    head = OWNER.conn.head_object(name, "o")
    expect([head[key] for key in ("etag", "content-length", "x-object-meta-color")], [md5(b"12345"), "5", "red"])
    [stat] = succeeded(OWNER.service().stat(container=name, objects=["o"]))
    expect(stat["headers"]["etag"], md5(b"12345"))
    refused(404, OWNER.conn.head_object, name, "missing")


@case("PUT object", "from a text, a file and a generator, sized and in chunks; the ETag is the MD5")
def object_put():
    name = container("po-ways")
    content = os.urandom(300_000)
    path = os.path.join(FOLDER, "upload")
    with open(path, "wb") as file:
        file.write(content)
    expect(OWNER.conn.put_object(name, "text", "text"), md5(b"text"))
    with open(path, "rb") as file:
        expect(OWNER.conn.put_object(name, "file", file, content_length=len(content)), md5(content))
    with open(path, "rb") as file:
        expect(OWNER.conn.put_object(name, "chunks", file, chunk_size=10_000), md5(content))
    expect(OWNER.conn.put_object(name, "generator", iter([content[:70_000], content[70_000:]])), md5(content))
    for key in ("file", "chunks", "generator"):
        assert body(name, key) == content, key
    [_, uploaded] = succeeded(OWNER.service().upload(name, [path], options={"header": ["X-Object-Meta-Own: 1"]}))
    expect(uploaded["response_dict"]["status"], 201)
    result = {}
    swift.put_object(OWNER.url, OWNER.token, name, "o", "x", response_dict=result)
    expect((result["status"], result["headers"]["etag"]), (201, md5(b"x")))
    status(OWNER.raw("PUT", f"/{name}/empty", {"Content-Length": "0"}), 201)
    [back] = succeeded(OWNER.service(skip_identical=True, out_directory=FOLDER).download(name, ["chunks"]))
    with open(back["path"], "rb") as file:
        assert file.read() == content


@case("PUT object", "a folder by swift upload, again without what is identical, and back by swift download")
def object_folder():
    root = os.path.join(FOLDER, "tree")
    os.makedirs(os.path.join(root, "deep", "empty"))
    files = {"one": b"1", "caf\u00e9 <&> +%41": b"2" * 5000, "deep/three": b""}
    for key, content in files.items():
        with open(os.path.join(root, key), "wb") as file:
            file.write(content)
    os.chdir(root)
    service = lambda **options: OWNER.service(skip_identical=True, dir_marker=True, **options)
    paths = [*files, "deep/empty"]
    succeeded(service().upload("po-tree", paths))
    expect(names(OWNER.conn.get_container("po-tree")), sorted(paths, key=lambda key: key.encode()))
    expect(OWNER.conn.head_object("po-tree", "deep/empty")["content-type"], "application/directory")
    again = [
        result for result in succeeded(service().upload("po-tree", list(files))) if result["action"] == "upload_object"
    ]
    expect({result["status"] for result in again}, {"skipped-identical"})
    back = os.path.join(FOLDER, "tree-back")
    succeeded(OWNER.service(out_directory=back).download("po-tree"))
    os.chdir(FOLDER)
    for key, content in files.items():
        with open(os.path.join(back, key), "rb") as file:
            assert file.read() == content, key
    assert os.path.isdir(os.path.join(back, "deep", "empty"))


@case("PUT object", "another MD5 is 422 and leaves nothing; an ETag that is none is 422")
def object_digest():
    name = container("po-digest")
    OWNER.conn.put_object(name, "o", "right", etag=md5(b"right"))
    refused(422, OWNER.conn.put_object, name, "o", "wrong", etag=md5(b"right"))
    refused(422, OWNER.conn.put_object, name, "o", iter([b"wro", b"ng"]), etag=md5(b"right"))
    refused(422, OWNER.conn.put_object, name, "o", "wrong", etag="no MD5")
    expect(body(name, "o"), b"right")


@case("PUT object", "If-None-Match: * creates, and never replaces")
def object_create_only():
    name = container("po-once")
    put = lambda content, **headers: OWNER.raw("PUT", f"/{name}/o", {"If-None-Match": "*", **headers}, content).status
    expect((put(b"one"), put(b"two")), (201, 412))
    expect(put(iter([b"three"])), 412)
    expect(body(name, "o"), b"one")
    status(OWNER.raw("PUT", f"/{name}/o", {"If-None-Match": md5(b"one")}, b"four"), 412)
    status(OWNER.raw("PUT", f"/{name}/o", {"If-Match": md5(b"one")}, b"five"), 201)


@case("PUT object", "the type is the stated one, that of the name, or the detected one")
def object_types():
    name = container("po-types")
    type_of = lambda key: OWNER.conn.head_object(name, key)["content-type"]
    put = lambda key, headers: status(OWNER.raw("PUT", f"/{name}/{key}", headers, b"x"), 201)
    put("a.html", {})
    put("b.html", {"Content-Type": "own/type; charset=x"})
    put("c.html", {"Content-Type": "own/type", "X-Detect-Content-Type": "true"})
    put("d", {})
    expect(
        [type_of(key).split(";")[0] for key in ("a.html", "b.html", "c.html", "d")],
        ["text/html", "own/type", "text/html", "application/octet-stream"],
    )
    expect(type_of("b.html"), "own/type; charset=x")


@case("PUT object", "404 without the container, 411 without a length, 413 for what is too large, 400 for metadata")
def object_refusals():
    name = container("po-refusals")
    refused(404, OWNER.conn.put_object, "po-no-container", "o", "x")
    with connected() as connection:
        connection.putrequest("PUT", OWNER.account_path(f"/{name}/o"))
        connection.putheader("X-Auth-Token", OWNER.token)
        connection.endheaders()
        expect(connection.getresponse().status, 411)
    with connected() as connection:
        connection.putrequest("PUT", OWNER.account_path(f"/{name}/o"))
        connection.putheader("X-Auth-Token", OWNER.token)
        connection.putheader("Content-Length", str(2**60))
        connection.endheaders()
        expect(connection.getresponse().status, 413)
    refused(400, OWNER.conn.put_object, name, "o", "x", headers={"X-Object-Meta-Long": "v" * 257})
    refused(400, OWNER.conn.put_object, name, "o", "x", headers={"X-Object-Meta-" + "n" * 129: "v"})
    refused(
        400, OWNER.conn.put_object, name, "o", "x", headers={f"X-Object-Meta-N{number}": "v" for number in range(91)}
    )
    refused(400, OWNER.conn.put_object, name, "n" * 1025, "x")
    OWNER.conn.put_object(name, "n" * 1024, "x")
    expect(names(OWNER.conn.get_container(name)), ["n" * 1024])


@case("PUT object", "an upload that ends early leaves the object as it was")
def object_cut():
    name = container("po-cut", o="before")
    with connected() as connection:
        connection.putrequest("PUT", OWNER.account_path(f"/{name}/o"))
        connection.putheader("X-Auth-Token", OWNER.token)
        connection.putheader("Content-Length", "100000")
        connection.endheaders(b"x" * 1000)
        connection.sock.shutdown(socket.SHUT_WR)
        while connection.sock.recv(1000):  # until the server has given up, too
            pass
    expect(body(name, "o"), b"before")


@case("POST object", "replaces all metadata, keeps the type unless another is stated, and the bytes")
def object_post():
    name = container("pp-one")
    headers = {
        "X-Object-Meta-A": "1",
        "Content-Disposition": "inline",
        "Content-Encoding": "own",
        "X-Delete-At": str(LATER),
    }
    OWNER.conn.put_object(name, "o", "12345", content_type="a/b", headers=headers)
    status(OWNER.raw("POST", f"/{name}/o", {"X-Object-Meta-B": "2"}), 202)
    head = OWNER.conn.head_object(name, "o")
    expect([head.get(key) for key in ("x-object-meta-a", "x-object-meta-b", "content-type")], [None, "2", "a/b"])
    expect([head.get(key) for key in ("content-disposition", "content-encoding", "x-delete-at")], [None, None, None])
    OWNER.conn.post_object(
        name,
        "o",
        {
            "Content-Type": "c/d",
            "Content-Disposition": "attachment",
            "Content-Encoding": "other",
            "X-Delete-At": str(LATER),
        },
    )
    found, content = OWNER.conn.get_object(name, "o")
    expect(
        [
            found.get(key)
            for key in ("x-object-meta-b", "content-type", "content-disposition", "content-encoding", "x-delete-at")
        ],
        [None, "c/d", "attachment", "other", str(LATER)],
    )
    expect((content, found["etag"]), (b"12345", md5(b"12345")))
    refused(404, OWNER.conn.post_object, name, "missing", {})
    succeeded(OWNER.service(meta=["Color:blue"]).post(container=name, objects=["o"]))
    expect(OWNER.conn.head_object(name, "o")["x-object-meta-color"], "blue")


@case("COPY object", "by COPY and by X-Copy-From, with kept, added and fresh metadata")
def object_copy():
    name = container("co-one")
    other = container("co-two")
    OWNER.conn.put_object(name, "caf\u00e9 o", "12345", content_type="a/b", headers={"X-Object-Meta-A": "1"})
    result = {}
    OWNER.conn.copy_object(
        name, "caf\u00e9 o", f"/{other}/kept", headers={"X-Object-Meta-B": "2"}, response_dict=result
    )
    expect(result["status"], 201)
    expect(
        [result["headers"][f"x-copied-from{key}"] for key in ("", "-account")], ["co-one/caf\u00e9 o", OWNER.account]
    )
    assert result["headers"]["x-copied-from-last-modified"].endswith("GMT"), result
    head = OWNER.conn.head_object(other, "kept")
    expect(
        [head[key] for key in ("x-object-meta-a", "x-object-meta-b", "content-type", "etag")],
        ["1", "2", "a/b", md5(b"12345")],
    )
    OWNER.conn.copy_object(
        name, "caf\u00e9 o", f"/{other}/fresh", headers={"X-Object-Meta-B": "2"}, fresh_metadata=True
    )
    head = OWNER.conn.head_object(other, "fresh")
    expect([head.get("x-object-meta-a"), head["x-object-meta-b"]], [None, "2"])
    status(
        OWNER.raw(
            "PUT",
            f"/{other}/put",
            {"X-Copy-From": "/co-one/caf%C3%A9%20o", "Content-Length": "0", "X-Object-Meta-C": "3"},
        ),
        201,
    )
    expect(OWNER.conn.head_object(other, "put")["x-object-meta-c"], "3")
    expect(body(other, "put"), b"12345")
    succeeded(OWNER.service().copy(name, ["caf\u00e9 o"], {"destination": f"/{other}/by-service"}))
    expect(body(other, "by-service"), b"12345")
    OWNER.conn.copy_object(other, "kept", headers={"X-Object-Meta-D": "4"})  # to itself
    expect([OWNER.conn.head_object(other, "kept").get(f"x-object-meta-{item}") for item in "abd"], ["1", "2", "4"])


@case("COPY object", "what is missing, malformed, or has a body is refused")
def object_copy_refusals():
    name = container("cp-one", o="x")
    refused(404, OWNER.conn.copy_object, name, "missing", f"/{name}/p")
    refused(404, OWNER.conn.copy_object, name, "o", "/cp-missing/p")
    copy = lambda headers: OWNER.raw("COPY", f"/{name}/o", headers).status
    expect((copy({}), copy({"Destination": "only-container"}), copy({"Destination": "/"})), (412, 412, 412))
    from_ = lambda value, content: OWNER.raw("PUT", f"/{name}/p", {"X-Copy-From": value}, content).status
    expect((from_(f"/{name}/o", b"x"), from_("nothing", b""), from_(f"/{name}/missing", b"")), (400, 412, 404))
    conditional = lambda **headers: OWNER.raw(
        "PUT", f"/{name}/p", {"X-Copy-From": f"/{name}/o", "Content-Length": "0", **headers}
    ).status
    expect(conditional(**{"If-Match": md5(b"other")}), 412)
    expect(conditional(**{"If-None-Match": md5(b"x")}), 304)
    expect(conditional(**{"If-Unmodified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"}), 412)
    ranged = lambda text: OWNER.raw("COPY", f"/{name}/o", {"Destination": f"/{name}/p", "Range": text}).status
    expect((ranged("bytes=1-"), ranged("bytes=0-0,-1")), (416, 501))
    refused(404, OWNER.conn.head_object, name, "p")
    expect((conditional(**{"If-Match": md5(b"x")}), conditional(**{"If-None-Match": "*"})), (201, 412))


@case("COPY object", "a Range copies these bytes of the source, also of one large object in another")
def object_copy_ranges():
    name = container("cp-ranges", o="0123456789", s1="abcde", s2="fghij")
    segments = json.dumps([{"path": f"/{name}/s1"}, {"path": f"/{name}/s2"}])
    OWNER.conn.put_object(name, "static", segments, query_string="multipart-manifest=put")
    OWNER.conn.put_object(name, "dynamic", b"", headers={"X-Object-Manifest": f"{name}/s"})
    for source, part, copied in (
        ("o", "bytes=2-4", b"234"),
        ("o", "bytes=-3", b"789"),
        ("o", "bytes=8-", b"89"),
        ("o", "bytes=5-99", b"56789"),
        ("o", "lines=1-2", b"0123456789"),
        ("static", "bytes=3-6", b"defg"),
    ):
        status(OWNER.raw("COPY", f"/{name}/{source}", {"Destination": f"/{name}/part", "Range": part}), 201)
        expect(body(name, "part"), copied)
        expect(OWNER.conn.head_object(name, "part")["etag"], md5(copied))
    OWNER.conn.delete_object(name, "static")
    status(OWNER.raw("COPY", f"/{name}/dynamic", {"Destination": f"/{name}/part", "Range": "bytes=4-5"}), 201)
    expect(body(name, "part"), b"ef")
    status(OWNER.raw("PUT", f"/{name}/o", {"X-Copy-From": f"/{name}/o", "Range": "bytes=1-1"}), 201)
    expect(body(name, "o"), b"1")  # onto itself


@case("COPY object", "to and from another account, by its lists")
def object_copy_accounts():
    source = container("cq-from", {"X-Container-Read": STRANGER.number}, o="x")
    STRANGER.conn.put_container("cq-to")
    from_ = {"X-Copy-From": f"/{source}/o", "X-Copy-From-Account": OWNER.account, "Content-Length": "0"}
    answer = status(STRANGER.raw("PUT", "/cq-to/o", from_), 201)
    expect(answer["x-copied-from-account"], OWNER.account)
    expect(body("cq-to", "o", STRANGER), b"x")
    to = {"Destination": "cq-to/p", "Destination-Account": STRANGER.account}
    status(OWNER.raw("COPY", f"/{source}/o", to), 403)
    STRANGER.conn.post_container("cq-to", {"X-Container-Write": OWNER.number})
    status(OWNER.raw("COPY", f"/{source}/o", to), 201)
    OWNER.conn.post_container(source, {"X-Container-Read": ""})
    status(STRANGER.raw("PUT", "/cq-to/q", from_), 403)


@case("DELETE object", "204, then 404")
def object_delete():
    name = container("do-one", o="x", p="x")
    status(OWNER.raw("DELETE", f"/{name}/o"), 204)
    refused(404, OWNER.conn.delete_object, name, "o")
    refused(404, OWNER.conn.get_object, name, "o")
    refused(404, OWNER.conn.delete_object, "do-missing", "o")
    succeeded(OWNER.service().delete(container=name, objects=["p"]))
    expect(names(OWNER.conn.get_container(name)), [])


@case("OPTIONS", "methods of accounts, containers and objects, without a token")
def options():
    name = container("op-one", o="x")
    for path, methods in (
        ("", "GET HEAD POST"),
        (f"/{name}", "GET HEAD PUT POST DELETE"),
        (f"/{name}/o", "GET HEAD PUT POST DELETE COPY"),
    ):
        allow = status(raw("OPTIONS", OWNER.account_path(path)), 200)["allow"].split(", ")
        assert set(methods.split()) | {"OPTIONS"} <= set(allow), allow


@case("Common rules", "every answer has X-Trans-Id, X-Openstack-Request-Id, Date; entities have X-Timestamp")
def common_headers():
    name = container("cr-headers", o="x")
    for path, answered in (("", 204), (f"/{name}", 204), (f"/{name}/o", 200), ("/cr-missing", 404)):
        answer = status(OWNER.raw("HEAD", path), answered)
        assert re.match(r"^tx[0-9a-f]{16,}", answer["x-trans-id"]), answer
        assert answer["x-openstack-request-id"] == answer["x-trans-id"] and answer["date"], answer
        if answered != 404:
            assert TIMESTAMP.match(answer["x-timestamp"]), answer
    ids = {OWNER.raw("HEAD", "")["x-trans-id"] for _ in range(3)}
    expect(len(ids), 3)
    status(raw("HEAD", OWNER.account_path(), {"X-Storage-Token": OWNER.token}), 204)


@case("Common rules", "401 without a token, 403 without a right, 404, 405 with Allow, 412 for a bad path")
def common_errors():
    name = container("cr-errors", o="x")
    for path in ("", f"/{name}", f"/{name}/o"):
        unsigned = status(raw("GET", OWNER.account_path(path)), 401)
        assert unsigned["www-authenticate"].startswith("Swift realm="), unsigned
        status(raw("GET", OWNER.account_path(path), {"X-Auth-Token": "AUTH_tk0123456789"}), 401)
        status(raw("GET", OWNER.account_path(path), {"X-Auth-Token": STRANGER.token}), 403)
        assert "GET" in status(OWNER.raw("PATCH", path), 405)["allow"]
    status(OWNER.raw("GET", f"/{name}/missing"), 404)
    status(OWNER.raw("GET", f"/{name}/%FF"), 412)
    status(raw("GET", "/v1//container", {"X-Auth-Token": OWNER.token}), 404)
    status(raw("GET", "/elsewhere"), 412)
    status(OWNER.raw("GET", f"/{name}/o%00"), 412)
