"""Who may do what in Swift: signing in, access lists, temporary URLs and forms of the checklist (section 2)."""

import hmac
import json
import time

from swiftclient import client as swift
from swiftclient.utils import generate_temp_url

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
)

# Signing in


@case("Auth v1", "a token by access key and secret, alone or with the account, the same one again")
def auth():
    key = STORE["owner"]
    for _ in range(2):
        first = raw("GET", "/auth/v1.0", {"X-Auth-User": key["id"], "X-Auth-Key": key["secret"]})
        url, token = swift.get_auth(AUTH, f"{OWNER.number}:{key['id']}", key["secret"], auth_version="1")
        again = raw(
            "GET", "/auth/v1.0", {"X-Storage-User": f"{OWNER.number}:{key['id']}", "X-Storage-Pass": key["secret"]}
        )
        status(first, 200)
        # Each hour has its own token. If one began between the answers, the second round is within it.
        if int(again["x-auth-token-expires"]) <= int(first["x-auth-token-expires"]):
            break
    expect(first["x-auth-token"], first["x-storage-token"])
    expect(first["x-storage-url"], OWNER.url)
    assert 86_400 <= int(first["x-auth-token-expires"]) <= 90_000, first
    expect(again["x-auth-token"], first["x-auth-token"])
    expect((url, token), (OWNER.url, first["x-auth-token"]))
    path = f"/auth/v1/{OWNER.account}/auth"
    expect(
        status(raw("GET", path, {"X-Auth-User": key["id"], "X-Auth-Key": key["secret"]}), 200)["x-storage-url"],
        OWNER.url,
    )


@case("Auth v1", "a wrong secret, an unknown user, another account and a forged token are 401")
def auth_refusals():
    key = STORE["owner"]
    for user, secret in (
        (key["id"], "wrong"),
        ("UNKNOWN", key["secret"]),
        (f"{STRANGER.number}:{key['id']}", key["secret"]),
        (key["id"], ""),
    ):
        refused(401, swift.get_auth, AUTH, user, secret, auth_version="1")
    for token in (OWNER.token[:-1] + ("0" if OWNER.token[-1] != "0" else "1"), "", "x"):
        status(raw("HEAD", OWNER.account_path(), {"X-Auth-Token": token}), 401)


@case("Keystone", "roles of a project: an operator, a reader, and who has no role")
def keystone():
    url = f"{OWNER.url.rsplit('/', 1)[0]}/AUTH_{STORE['project']}"
    operator, reader, other = (
        User({"id": role, "secret": ""}, url, f"token-of-{role}") for role in ("admin", "reader", "other")
    )
    operator.conn.put_container("ks-project")
    operator.conn.put_object("ks-project", "o", "x")
    expect(body("ks-project", "o", reader), b"x")
    refused(403, reader.conn.put_object, "ks-project", "p", "x")
    refused(403, other.conn.get_object, "ks-project", "o")
    operator.conn.post_container("ks-project", {"X-Container-Read": f"{STORE['project']}:name-of-other"})
    expect(body("ks-project", "o", other), b"x")
    unknown = User({"id": "unknown", "secret": ""}, url, "token-of-unknown")
    refused(401, unknown.conn.get_object, "ks-project", "o")
    refused(403, operator.at(OWNER).get_account)


# Access lists


@case("Groups", "the account's root user does everything in it, others what lists give them")
def groups():
    name = container("gr-one", o="x")
    other = STRANGER.at(OWNER)
    for call, arguments in (
        (other.get_account, ()),
        (other.put_container, ("gr-two",)),
        (other.get_container, (name,)),
        (other.get_object, (name, "o")),
        (other.put_object, (name, "p", "x")),
        (other.delete_object, (name, "o")),
        (other.post_container, (name, {"X-Container-Read": ".r:*"})),
        (other.delete_container, (name,)),
    ):
        refused(403, call, *arguments)
    expect(body(name, "o"), b"x")


@case(
    "Groups",
    "the store's root user is a reseller admin: it acts in every account, and what it makes is of that account",
)
def resellers():
    reseller = RESELLER.at(OWNER)
    reseller.put_container("rs-one")
    reseller.put_object("rs-one", "o", "x")
    expect(body("rs-one", "o"), b"x")
    assert "rs-one" in names(OWNER.conn.get_account()), "it is of the account"
    assert "rs-one" not in names(RESELLER.conn.get_account()), "it is not of the reseller"
    reseller.delete_object("rs-one", "o")
    reseller.delete_container("rs-one")
    refused(403, OWNER.at(RESELLER).get_account)


@case("Container ACL", "accounts and users read, list and write by lists, which owners alone see")
def container_lists():
    name = container("ca-one", o="x")
    other = STRANGER.at(OWNER)
    for list_ in (
        STRANGER.number,
        STRANGER.account,
        f"{STRANGER.number}:{STRANGER.name}",
        "*:*",
        f"someone, {STRANGER.number}",
    ):
        OWNER.conn.post_container(name, {"X-Container-Read": list_})
        expect(other.get_object(name, "o")[1], b"x")
        expect(names(other.get_container(name)), ["o"])
        refused(403, other.put_object, name, "p", "x")
    head = other.head_container(name)
    assert "x-container-read" not in head, head
    for list_ in ("someone", f"{STRANGER.number}:someone", ""):
        OWNER.conn.post_container(name, {"X-Container-Read": list_})
        refused(403, other.get_object, name, "o")
    OWNER.conn.post_container(name, {"X-Container-Write": STRANGER.number})
    other.put_object(name, "p", "y")
    other.post_object(name, "p", {"X-Object-Meta-A": "1"})
    refused(403, other.get_object, name, "p")
    other.delete_object(name, "p")
    refused(403, other.post_container, name, {"X-Container-Meta-A": "1"})


@case("Container ACL", "referrers: the later item wins, listings need .rlistings, none in a list for writes")
def referrers():
    name = container("cb-one", o="x")
    read = lambda path="/o", **headers: raw("GET", OWNER.account_path(f"/{name}{path}"), headers).status
    expect(read(), 401)
    OWNER.conn.post_container(name, {"X-Container-Read": ".r:*"})
    expect((read(), read("")), (200, 401))
    OWNER.conn.post_container(name, {"X-Container-Read": ".r:*,.rlistings"})
    expect(read(""), 200)
    OWNER.conn.post_container(name, {"X-Container-Read": ".r:.example.com, .r:-bad.example.com"})
    from_ = lambda host: read(Referer=f"http://{host}/page")
    expect([from_(host) for host in ("a.example.com", "bad.example.com", "example.org")], [200, 401, 401])
    OWNER.conn.post_container(name, {"X-Container-Read": ".r:example.org"})
    expect([from_(host) for host in ("example.org", "a.example.org")], [200, 401])
    refused(400, OWNER.conn.post_container, name, {"X-Container-Write": ".r:*"})
    refused(400, OWNER.conn.post_container, name, {"X-Container-Read": ".unknown"})
    refused(400, OWNER.conn.post_container, name, {"X-Container-Read": ".r:"})


@case("Account ACL", "read-only, read-write and admin, and malformed JSON")
def account_list():
    name = container("aa-one", o="x")
    other = STRANGER.at(OWNER)
    give = lambda access: OWNER.conn.post_account({"X-Account-Access-Control": json.dumps(access)})
    refused(403, other.get_object, name, "o")
    give({"read-only": [STRANGER.number]})
    expect(other.get_object(name, "o")[1], b"x")
    refused(403, other.put_object, name, "p", "x")
    give({"read-write": [f"{STRANGER.number}:{STRANGER.name}"]})
    other.put_object(name, "p", "x")
    other.put_container("aa-two")
    other.post_container(name, {"X-Container-Meta-A": "1"})
    refused(403, other.post_container, name, {"X-Container-Read": ".r:*"})
    refused(403, other.post_account, {"X-Account-Meta-A": "1"})
    give({"admin": [STRANGER.number]})
    other.post_container(name, {"X-Container-Read": ".r:*"})
    other.post_account({"X-Account-Meta-A": "1"})
    assert {"aa-one", "aa-two"} <= set(names(other.get_account())), other.get_account()
    expect(json.loads(OWNER.conn.head_account()["x-account-access-control"]), {"admin": [STRANGER.number]})
    for text in ("{", "[]", '{"other": []}', '{"admin": "x"}', '{"admin": [1]}'):
        refused(400, OWNER.conn.post_account, {"X-Account-Access-Control": text})
    give({})
    OWNER.conn.post_container(name, {"X-Container-Read": ""})
    refused(403, other.get_object, name, "o")
    assert "x-account-access-control" not in OWNER.conn.head_account()


# Temporary URLs and forms


def temp_url(path, key="container-key", method="GET", seconds=3600, **options):
    return generate_temp_url(OWNER.account_path(path), seconds, key, method, **options)


def with_keys(name):
    container(name, {"X-Container-Meta-Temp-URL-Key": "container-key", "X-Container-Meta-Temp-URL-Key-2": "second-key"})
    OWNER.conn.put_object(
        name, "o", "temporary", headers={"X-Object-Meta-Hidden": "1", "X-Object-Meta-Public-Shown": "2"}
    )
    return name


@case("TempURL", "SHA-256 and SHA-512, times in both forms, both keys of a container and of an account")
def temp_urls():
    name = with_keys("ta-one")
    other = container("ta-two", o="x")
    OWNER.conn.post_account(
        {"X-Account-Meta-Temp-URL-Key": "account-key", "X-Account-Meta-Temp-URL-Key-2": "other-key"}
    )
    for options in (
        {},
        {"digest": "sha512"},
        {"iso8601": True},
        {"key": "second-key"},
        {"key": "account-key"},
        {"key": "other-key"},
        {"digest": "sha512", "iso8601": True, "key": "account-key"},
    ):
        answer = status(raw("GET", temp_url(f"/{name}/o", **options)), 200)
        expect(answer.text, "temporary")
    expect((answer["x-object-meta-hidden"], answer["x-object-meta-public-shown"]), (None, "2"))
    assert answer["content-disposition"].startswith('attachment; filename="o"'), answer
    status(raw("GET", temp_url(f"/{other}/o")), 401)  # the key of another container
    status(raw("GET", temp_url(f"/{other}/o", key="account-key")), 200)
    OWNER.conn.post_account({"X-Remove-Account-Meta-Temp-URL-Key": "x", "X-Remove-Account-Meta-Temp-URL-Key-2": "x"})
    status(raw("GET", temp_url(f"/{other}/o", key="account-key")), 401)


@case("TempURL", "methods, prefixes and addresses: what was not signed is 401; HEAD goes with GET, PUT, POST")
def temp_url_limits():
    name = with_keys("tb-one")
    for method, of, answered in (
        ("HEAD", "GET", 200),
        ("HEAD", "PUT", 200),
        ("HEAD", "POST", 200),
        ("PUT", "GET", 401),
        ("GET", "PUT", 401),
        ("DELETE", "PUT", 401),
        ("POST", "GET", 401),
        ("GET", "HEAD", 401),
    ):
        status(raw(method, temp_url(f"/{name}/o", method=of)), answered)
    status(raw("GET", temp_url(f"/{name}/o").replace("/o?", "/p?")), 401)
    past = generate_temp_url(OWNER.account_path(f"/{name}/o"), 1_000_000_000, "container-key", "GET", absolute=True)
    status(raw("GET", past), 401)
    status(raw("GET", temp_url(f"/{name}/o", digest="sha1")), 401)
    status(raw("GET", temp_url(f"/{name}/o", key="wrong")), 401)
    for key in ("pre/a", "pre/b", "other"):
        OWNER.conn.put_object(name, key, key)
    query = temp_url(f"/{name}/pre/", prefix=True).split("?")[1]
    at = lambda key: raw("GET", OWNER.account_path(f"/{name}/{key}?{query}")).status
    expect((at("pre/a"), at("pre/b"), at("other")), (200, 200, 401))
    expect(raw("GET", temp_url(f"/{name}/o", ip_range="127.0.0.0/8")).status, 200)
    expect(raw("GET", temp_url(f"/{name}/o", ip_range="127.0.0.1")).status, 200)
    expect(raw("GET", temp_url(f"/{name}/o", ip_range="10.0.0.0/8")).status, 401)


@case("TempURL", "uploads and deletions; pointers to other objects are 400; names under which browsers save")
def temp_url_writes():
    name = with_keys("tc-one")
    status(raw("PUT", temp_url(f"/{name}/new", method="PUT"), {}, b"uploaded"), 201)
    expect(body(name, "new"), b"uploaded")
    path, query = temp_url(f"/{name}/by-client", method="PUT").split("?")
    swift.put_object(AUTH.split("/auth")[0] + path, contents="by client", query_string=query)
    expect(body(name, "by-client"), b"by client")
    for header in ("X-Object-Manifest", "X-Symlink-Target"):
        pointer = raw("PUT", temp_url(f"/{name}/new", method="PUT"), {header: f"{name}/o"}, b"")
        assert pointer.status in (400, 501), pointer
    status(
        raw("PUT", temp_url(f"/{name}/new", method="PUT"), {"X-Copy-From": f"/{name}/o", "Content-Length": "0"}), 401
    )
    expect(body(name, "new"), b"uploaded")
    status(raw("DELETE", temp_url(f"/{name}/new", method="DELETE")), 204)
    shown = lambda more: raw("GET", f"{temp_url(f'/{name}/o')}&{more}")["content-disposition"]
    assert shown("filename=a%20b").startswith('attachment; filename="a b"'), shown("filename=a%20b")
    expect(shown("inline"), "inline")
    assert shown("inline&filename=c").startswith('inline; filename="c"')


def form(
    path,
    files,
    key="container-key",
    max_size=100,
    max_count=2,
    redirect="",
    expires=LATER,
    signed=None,
    digest="sha256",
    **more,
):
    lines = "\n".join([OWNER.account_path(signed or path), redirect, str(max_size), str(max_count), str(expires)])
    signature = hmac.new(key.encode(), lines.encode(), digest).hexdigest()
    fields = {
        "redirect": redirect,
        "max_file_size": max_size,
        "max_file_count": max_count,
        "expires": expires,
        "signature": signature,
        **more,
    }
    part = lambda about, content: f"--b\r\nContent-Disposition: form-data; {about}\r\n\r\n{content}\r\n"
    parts = [part(f'name="{name}"', value) for name, value in fields.items()]
    parts += [part(f'name="file{number}"; filename="{name}"', content) for number, (name, content) in enumerate(files)]
    return raw(
        "POST",
        OWNER.account_path(path),
        {"Content-Type": "multipart/form-data; boundary=b"},
        ("".join(parts) + "--b--\r\n").encode(),
    )


@case("FormPost", "files below a prefix, redirects, times to live, SHA-512")
def forms():
    name = with_keys("fa-one")
    status(form(f"/{name}/in/", [("a", "first"), ("b", "second")]), 201)
    expect((body(name, "in/a"), body(name, "in/b")), (b"first", b"second"))
    status(form(f"/{name}/pre", [("fix", "x")], digest="sha512"), 201)
    expect(body(name, "prefix"), b"x")
    answer = status(form(f"/{name}/in/", [("c", "x")], redirect="https://example.com/done"), 303)
    expect(answer["location"], "https://example.com/done?status=201&message=")
    status(form(f"/{name}/in/", [("d", "x")], x_delete_at=LATER), 201)
    expect(OWNER.conn.head_object(name, "in/d")["x-delete-at"], str(LATER))
    status(form(f"/{name}/in/", [("e", "x")], x_delete_after=1000), 201)
    assert int(OWNER.conn.head_object(name, "in/e")["x-delete-at"]) > time.time()


@case("FormPost", "beyond its limits, too late, or signed for something else: nothing is stored")
def form_refusals():
    name = with_keys("fb-one")
    status(form(f"/{name}/", [("large", "x" * 101)]), 413)
    status(form(f"/{name}/", [("1", "x"), ("2", "x"), ("3", "x")]), 400)
    for options in ({"signed": f"/{name}/other"}, {"expires": 1_000_000_000}, {"key": "wrong"}, {"digest": "sha1"}):
        status(form(f"/{name}/", [("no", "x")], **options), 401)
    status(form(f"/{name}/", [("no", "x")], max_size="many"), 400)
    expect(names(OWNER.conn.get_container(name)), ["1", "2", "o"])
    failed = status(form(f"/{name}/", [("large", "x" * 101)], redirect="https://example.com/"), 303)
    assert "status=413" in failed["location"], failed
