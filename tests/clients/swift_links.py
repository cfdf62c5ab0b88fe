"""Large objects by prefix, and symbolic links of Swift."""

from swift_large import large_by_service, names_in
from swift_store import OWNER, STRANGER, body, case, container, expect, md5, refused, status

# Dynamic large objects


@case("DLO", "the objects with a prefix are one object: whole, in ranges, under conditions, as they come")
def dlo():
    container("dlh-segments", **{"o/1": "first ", "o/2": "second", "other": "x"})
    name = container("dlh-one")
    OWNER.conn.put_object(
        name, "o", "", content_type="a/b", headers={"X-Object-Manifest": "dlh-segments/o/", "X-Object-Meta-A": "1"}
    )
    found, content = OWNER.conn.get_object(name, "o")
    expect(
        (content, found["content-length"], found["content-type"], found["x-object-meta-a"]),
        (b"first second", "12", "a/b", "1"),
    )
    expect(found["x-object-manifest"], "dlh-segments/o/")
    etag = md5((md5(b"first ") + md5(b"second")).encode())
    expect(found["etag"], f'"{etag}"')
    expect(OWNER.raw("GET", f"/{name}/o", {"Range": "bytes=4-8"}).text, "t sec")
    expect(OWNER.raw("GET", f"/{name}/o", {"If-None-Match": f'"{etag}"'}).status, 304)
    expect(OWNER.conn.head_object(name, "o")["content-length"], "12")
    expect(OWNER.raw("GET", f"/{name}/o?multipart-manifest=get").body, b"")
    OWNER.conn.put_object("dlh-segments", "o/3", " third")
    expect(body(name, "o"), b"first second third")


@case("DLO", "a copy has the bytes; a POST without the header makes it a plain object; a deletion keeps the segments")
def dlo_changes():
    container("dli-segments", **{"o/1": "one", "o/2": "two"})
    name = container("dli-one")
    OWNER.conn.put_object(name, "o", "own", headers={"X-Object-Manifest": "dli-segments/o/"})
    OWNER.conn.copy_object(name, "o", f"/{name}/copy")
    found, content = OWNER.conn.get_object(name, "copy")
    expect((content, found.get("x-object-manifest")), (b"onetwo", None))
    status(OWNER.raw("COPY", f"/{name}/o?multipart-manifest=get", {"Destination": f"{name}/manifest"}), 201)
    expect(OWNER.conn.head_object(name, "manifest")["x-object-manifest"], "dli-segments/o/")
    OWNER.conn.post_object(name, "o", {"X-Object-Manifest": "dli-segments/o/", "X-Object-Meta-A": "1"})
    expect(body(name, "o"), b"onetwo")
    OWNER.conn.post_object(name, "o", {"X-Object-Meta-A": "1"})
    expect(body(name, "o"), b"own")
    OWNER.conn.delete_object(name, "manifest")
    expect(names_in("dli-segments"), ["o/1", "o/2"])
    refused(400, OWNER.conn.put_object, name, "bad", "", headers={"X-Object-Manifest": "only-container"})


@case("DLO", "swift upload -S, download, upload again and delete")
def dlo_by_service():
    large_by_service("dlj-dlo", False)


# Symbolic links


@case("Symlink", "GET and HEAD follow it, with Content-Location; symlink=get shows it; DELETE takes the link alone")
def symlink():
    name = container("dlk-one")
    target = container("dlk-two")
    OWNER.conn.put_object(target, "o", "content", headers={"X-Object-Meta-A": "1"})
    OWNER.conn.put_object(name, "link", "", headers={"X-Symlink-Target": f"{target}/o"})
    found, content = OWNER.conn.get_object(name, "link")
    expect(
        (content, found["x-object-meta-a"], found["content-location"]),
        (b"content", "1", OWNER.account_path(f"/{target}/o")),
    )
    expect(OWNER.conn.head_object(name, "link")["content-length"], "7")
    expect(OWNER.raw("GET", f"/{name}/link", {"Range": "bytes=0-1"}).text, "co")
    shown = status(OWNER.raw("GET", f"/{name}/link?symlink=get"), 200)
    expect(
        (shown.body, shown["x-symlink-target"], shown["content-type"].split(";")[0]),
        (b"", f"{target}/o", "application/symlink"),
    )
    [entry] = OWNER.conn.get_container(name)[1]
    expect(entry["symlink_path"], OWNER.account_path(f"/{target}/o"))
    posted = status(OWNER.raw("POST", f"/{name}/link", {"X-Object-Meta-B": "2"}), 307)
    assert posted["location"].endswith(f"/{target}/o"), posted
    OWNER.conn.delete_object(name, "link")
    expect((names_in(name), names_in(target)), ([], ["o"]))


@case("Symlink", "what cannot be one is 400; to nothing 404; more than two links, and loops, 409")
def symlink_refusals():
    name = container("dll-one", o="x")
    link = lambda key, to, content=b"", **headers: OWNER.raw(
        "PUT", f"/{name}/{key}", {"X-Symlink-Target": to, **headers}, content
    ).status
    expect((link("l", f"{name}/o", b"content"), link("l", f"{name}/l"), link("l", "only-container")), (400, 400, 412))
    expect(
        (
            link("one", f"{name}/o"),
            link("two", f"{name}/one"),
            link("three", f"{name}/two"),
            link("none", f"{name}/missing"),
        ),
        (201, 201, 201, 201),
    )
    read = lambda key: OWNER.raw("GET", f"/{name}/{key}").status
    expect((read("one"), read("two"), read("three"), read("none")), (200, 200, 409, 404))
    expect((link("x", f"{name}/y"), link("y", f"{name}/x"), read("x")), (201, 201, 409))
    status(OWNER.raw("POST", f"/{name}/o", {"X-Symlink-Target": f"{name}/one"}), 400)


@case("Symlink", "a static one is for an ETag: another object is 409, when it is made and when it is read")
def symlink_static():
    name = container("dlm-one", o="content")
    link = lambda etag: OWNER.raw(
        "PUT", f"/{name}/link", {"X-Symlink-Target": f"{name}/o", "X-Symlink-Target-Etag": etag, "Content-Length": "0"}
    ).status
    expect((link(md5(b"other")), link(md5(b"content"))), (409, 201))
    expect(body(name, "link"), b"content")
    OWNER.conn.put_object(name, "o", "changed")
    refused(409, OWNER.conn.get_object, name, "link")


@case("Symlink", "to another account, by its lists; copies of the target and of the link")
def symlink_accounts():
    STRANGER.conn.put_container("dln-theirs")
    STRANGER.conn.put_object("dln-theirs", "o", "theirs")
    name = container("dln-one")
    OWNER.conn.put_object(
        name, "link", "", headers={"X-Symlink-Target": "dln-theirs/o", "X-Symlink-Target-Account": STRANGER.account}
    )
    refused(403, OWNER.conn.get_object, name, "link")
    STRANGER.conn.post_container("dln-theirs", {"X-Container-Read": OWNER.number})
    expect(body(name, "link"), b"theirs")
    OWNER.conn.copy_object(name, "link", f"/{name}/copy")
    status(OWNER.raw("COPY", f"/{name}/link?symlink=get", {"Destination": f"{name}/link-too"}), 201)
    expect(OWNER.raw("HEAD", f"/{name}/copy?symlink=get")["x-symlink-target"], None)
    expect(OWNER.raw("HEAD", f"/{name}/link-too?symlink=get")["x-symlink-target"], "dln-theirs/o")
