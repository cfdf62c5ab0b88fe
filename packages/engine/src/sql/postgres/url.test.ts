import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { hostsOf, maskedUrl, withoutPasswords } from "./url.js"

test("each host of a URL has a URL of its own", () => {
  assert.deepEqual(hostsOf("postgres://ann:word@a:5432,b/store?sslmode=disable"), [
    { name: "a:5432", url: "postgres://ann:word@a:5432/store?sslmode=disable" },
    { name: "b", url: "postgres://ann:word@b/store?sslmode=disable" },
  ])
  assert.deepEqual(hostsOf("postgresql:///store"), [{ name: "localhost", url: "postgresql:///store" }])
  for (const text of ["", "http://a/b", "host=a password=word", "mysql://ann:word@a/b"])
    assert.throws(
      () => hostsOf(text),
      error => isFailure(error, "invalidArgument") && !error.message.includes("word"),
    )
})

const SHOWN: readonly (readonly [url: string, shown: string])[] = [
  ["postgres://ann:word@a:5432,b/store?sslmode=disable", "postgres://ann:***@a:5432,b/store"],
  ["postgres://ann@a/store", "postgres://ann@a/store"],
  ["postgres://a/store?user=ann&password=word", "postgres://a/store"],
  ["postgres://ann:wo@rd@a/store", "postgres://ann:***@a/store"],
  ["postgres://ann:wo/rd@a/store", "postgres://ann:***@a/store"],
  ["postgres://ann:wo?rd#@a/store", "postgres://ann:***@a/store"],
  ["postgresql:///store", "postgresql:///store"],
  ["mysql://ann:word@a/b", "***"],
  ["ann:word@a", "***"],
]
for (const [url, shown] of SHOWN) test(`${url} is shown as ${shown}`, () => assert.equal(maskedUrl(url), shown))

test("a text is shown without the passwords of the URL, however they are written", () => {
  const url = "postgres://ann:w%C3%B6rd@a/store?sslpassword=key&password=pass%20word"
  assert.equal(withoutPasswords(url, "w%C3%B6rd wörd key pass%20word pass word"), "*** *** *** *** ***")
  assert.equal(withoutPasswords("postgres://ann@a/store", "nothing to hide"), "nothing to hide")
  assert.equal(withoutPasswords("postgres://ann:100%@a/store", "it is 100%"), "it is ***")
})
