import { test } from "node:test"
import assert from "node:assert/strict"
import { fail } from "@hayloft/base/failures.js"
import { RemoteFailure, Unreachable } from "@hayloft/client/index.js"
import { contentTypeOf } from "@hayloft/base/http/content-types.js"
import { CliError, exitOf, messageOf } from "../exit-codes.js"
import { isNamedBy, parsePlace, safeRelativePath, targetKey, textOfPlace } from "../place.js"
import { progressText } from "../progress.js"
import { durationText, printable, shellWord, sizeText, tableText } from "../text.js"

test("places: files, streams, buckets, keys with any character", () => {
  assert.deepEqual(parsePlace("-"), { kind: "stream" })
  assert.deepEqual(parsePlace("./a b"), { kind: "local", path: "./a b" })
  assert.deepEqual(parsePlace("s3://b"), { kind: "remote", bucket: "b", key: "" })
  assert.deepEqual(parsePlace("s3://b//a/../ü +%\n"), { kind: "remote", bucket: "b", key: "/a/../ü +%\n" })
  assert.equal(textOfPlace(parsePlace("s3://b/k/")), "s3://b/k/")
  for (const bad of ["", "s3://", "s3:///k"]) assert.throws(() => parsePlace(bad), CliError, bad)
})

test("a place is recognised by each name that stores give it", () => {
  const place = parsePlace("s3://b/a b")
  for (const name of ["a b", "b/a b", "/b/a b", "/b/a%20b", "b/a%20b"]) assert.ok(isNamedBy(place, name), name)
  for (const name of ["b", "/c/a b", "a", "/b/a b/"]) assert.ok(!isNamedBy(place, name), name)
  for (const name of ["b", "/b"]) assert.ok(isNamedBy(parsePlace("s3://b"), name), name)
})

test("the key of a copy: in a target folder the source's name is used", () => {
  const local = parsePlace("dir/cat.jpg")
  assert.equal(targetKey({ bucket: "b", key: "" }, local), "cat.jpg")
  assert.equal(targetKey({ bucket: "b", key: "x/" }, local), "x/cat.jpg")
  assert.equal(targetKey({ bucket: "b", key: "x/dog.jpg" }, local), "x/dog.jpg")
  assert.equal(targetKey({ bucket: "b", key: "" }, parsePlace("s3://c/a/b.txt")), "b.txt")
  assert.throws(() => targetKey({ bucket: "b", key: "x/" }, parsePlace("-")), /name the key: s3:\/\/b\/x\/NAME/)
})

test("keys that point outside the folder are not file names", () => {
  assert.equal(safeRelativePath("a/b..c/ü"), "a/b..c/ü")
  for (const key of ["", "/a", "a//b", "a/", "../a", "a/../b", ".", "a/./b", "a\\..\\b", "a\0b"]) {
    assert.equal(safeRelativePath(key), undefined, JSON.stringify(key))
  }
})

test("exit codes follow the error, and messages are one line unless it is a bug", () => {
  const errno = (code: string, extra: object) => Object.assign(new Error("x"), { code, syscall: "open", ...extra })
  const cases: readonly (readonly [unknown, string, RegExp])[] = [
    [new CliError("usage", "say it"), "usage", /^say it$/],
    [new RemoteFailure(404, "NoSuchKey", "gone", undefined, "k"), "notFound", /^k: gone$/],
    [new RemoteFailure(403, "AccessDenied", "no", undefined), "denied", /^no$/],
    [new RemoteFailure(409, "BucketNotEmpty", "full", undefined), "conflict", /^full$/],
    [new RemoteFailure(503, "SlowDown", "slow", undefined), "failed", /^slow$/],
    [
      new Unreachable("http://x", "nothing listens there"),
      "unreachable",
      /cannot reach http:\/\/x \(nothing listens there\)/,
    ],
    [fail("invalidConfig", { message: "bad" }), "usage", /^bad$/],
    [fail("folderInUse"), "conflict", /in use/],
    [fail("noSuchBucket"), "notFound", /does not exist/],
    [fail("wrongMasterKey"), "denied", /master key/],
    [fail("devicesMissing"), "failed", /missing/],
    [errno("ENOENT", { path: "/f" }), "notFound", /^\/f does not exist$/],
    [
      fail(
        "invalidConfig",
        { message: "cannot listen" },
        errno("EADDRINUSE", { syscall: "listen", address: "::1", port: 1 }),
      ),
      "conflict",
      /^cannot listen$/,
    ],
    [new Error("our bug"), "failed", /our bug\n +at /],
  ]
  for (const [error, exit, pattern] of cases) {
    assert.equal(exitOf(error), exit, messageOf(error))
    assert.match(messageOf(error), pattern)
  }
})

test("text for people", () => {
  assert.deepEqual([0, 98.8, 1023, 1024, 4.2 * 2 ** 20, 2 ** 60].map(sizeText), [
    "0 B",
    "99 B",
    "1023 B",
    "1.0 KiB",
    "4.2 MiB",
    "1024.0 PiB",
  ])
  assert.deepEqual([5, 65, 3700, 90_000].map(durationText), ["5 s", "1 min", "1 h 1 min", "1 d 1 h"])
  assert.equal(tableText(["A", "B"], [["long", "x"]]), "A     B\nlong  x\n")
  assert.equal(shellWord("it's"), `'it'\\''s'`)
  assert.equal(printable("a\x1b[31mé\n"), "a\\x1b[31mé\\x0a")
  assert.equal(contentTypeOf("a/b.HTML"), "text/html; charset=utf-8")
  assert.equal(contentTypeOf("html"), "application/octet-stream")
  assert.equal(
    progressText("f", 512 * 1024, 2 ** 20, 1),
    "f  [############............] 50%  512.0 KiB of 1.0 MiB  512.0 KiB/s  1 s left",
  )
  assert.equal(progressText("f", 1024, undefined, 0), "f  1.0 KiB  0 B/s")
})

test("a permission error contains the path, the user and the remedy; a lost log the rescue command", () => {
  const denied = fail("deviceFailed", { path: "/mnt/a/superblock", code: "EACCES" })
  assert.match(
    messageOf(denied),
    /^user \S+ may not access \/mnt\/a\/superblock \(EACCES\); change its owner to that user \(chown\)/,
  )
  const readOnly = fail("deviceFailed", { path: "/mnt/a", code: "EROFS" })
  assert.match(messageOf(readOnly), /^\/mnt\/a is on a file system that is mounted read-only/)
  const lost = fail("corruptLog", { message: "the log ends before its durable end", folder: "/mnt/a" })
  assert.match(messageOf(lost), /the log ends before its durable end.*hayloft rescue --from FOLDER/)
})
