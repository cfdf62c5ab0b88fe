/** Forms of Swift: the vector of its documentation, limits, and answers. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import {
  admitFormPost,
  answerOfForm,
  checkFileCount,
  headersOfFile,
  objectOfFile,
  readFormPost,
} from "./form-post-core.js"
import { urlKeysIn } from "./url-signatures-core.js"

const EXPIRES = 1503124957
const PATH = "/v1/AUTH_account/container/object_prefix"
const KEYS = urlKeysIn("account", [["temp-url-key", "mykey"]])
const SIGNATURE = "2a614fda88b16c62839bbba24cfc8caf296b1b4e"
const FIELDS: readonly (readonly [string, string])[] = [
  ["redirect", "https://myserver.com/some-page"],
  ["max_file_size", "104857600"],
  ["max_file_count", "10"],
  ["expires", String(EXPIRES)],
  ["signature", SIGNATURE],
]
const fieldsWith = (...changed: readonly (readonly [string, string])[]) => new Map([...FIELDS, ...changed])
const BEFORE_MS = (EXPIRES - 5) * 1000

test("the form that was signed is admitted, and no other", () => {
  const scopeOf = (fields: Map<string, string>, path = PATH, nowMs = BEFORE_MS): string => {
    try {
      return admitFormPost(readFormPost(fields), path, KEYS, nowMs).scope
    } catch (error) {
      if (isFailure(error, "signatureMismatch")) return error.message
      throw error
    }
  }
  assert.equal(scopeOf(fieldsWith()), "account")
  assert.equal(scopeOf(fieldsWith(), PATH, (EXPIRES + 1) * 1000), "FormPost: Form Expired")
  const bad = "FormPost: Invalid Signature"
  assert.equal(scopeOf(fieldsWith(), `${PATH}/`), bad)
  assert.equal(scopeOf(fieldsWith(["signature", ""])), bad)
  for (const [name, value] of [
    ["redirect", "https://elsewhere.com/"],
    ["max_file_size", "104857601"],
    ["max_file_count", "11"],
    ["expires", String(EXPIRES + 1)],
  ] as const)
    assert.equal(scopeOf(fieldsWith([name, value])), bad, name)
  assert.throws(() => admitFormPost(readFormPost(fieldsWith()), PATH, [], BEFORE_MS), { message: bad })
})

test("absent limits are signed as 0, and allow no file", () => {
  const signature = createHmac("sha256", "mykey").update(`${PATH}\n\n0\n0\n${EXPIRES}`).digest("hex")
  const form = readFormPost(
    new Map([
      ["expires", String(EXPIRES)],
      ["signature", signature],
    ]),
  )
  assert.equal(admitFormPost(form, PATH, KEYS, BEFORE_MS).scope, "account")
  assert.throws(() => checkFileCount(form, 1), { message: "FormPost: Max File Count Exceeded" })
  assert.equal(form.fileBytesMax, 0)
})

test("fields that are no numbers, and texts that would break a header, are refused by name", () => {
  for (const name of ["max_file_size", "max_file_count", "expires", "x_delete_at", "x_delete_after"]) {
    for (const value of ["x", "-1", "1.5", "9".repeat(16)])
      assert.throws(
        () => readFormPost(fieldsWith([name, value])),
        new RegExp(`${name} not an integer`),
        `${name} ${value}`,
      )
  }
  for (const name of ["redirect", "content-type", "content-encoding"])
    assert.throws(() => readFormPost(fieldsWith([name, "a\r\nSet-Cookie: b"])), /control characters/, name)
})

test("files get the headers of the form first, then those of their parts", () => {
  const file = { fileName: "a.txt", contentType: "text/plain", contentEncoding: "gzip" }
  assert.deepEqual(
    [...headersOfFile(readFormPost(fieldsWith()), file)],
    [
      ["content-type", "text/plain"],
      ["content-encoding", "gzip"],
    ],
  )
  const form = readFormPost(fieldsWith(["content-type", "a/b"], ["x_delete_after", "60"]))
  assert.deepEqual(
    [...headersOfFile(form, { ...file, contentEncoding: undefined })],
    [
      ["x-delete-after", "60"],
      ["content-type", "a/b"],
    ],
  )
  assert.equal(objectOfFile("pre", file), "prea.txt")
  assert.equal(objectOfFile("", file), "a.txt")
})

test("a browser is sent back with status and message; other clients get them as a text", () => {
  const form = readFormPost(fieldsWith())
  const sent = answerOfForm(form, 201, "Created", "")
  assert.equal(sent.status, 303)
  assert.deepEqual(sent.fields, [["Location", "https://myserver.com/some-page?status=201&message="]])
  const query = readFormPost(fieldsWith(["redirect", 'https://a/?b=1&c="<']))
  const failed = answerOfForm(query, 400, "Bad Request", "max file count exceeded")
  assert.equal(failed.fields[0]?.[1], 'https://a/?b=1&c="<&status=400&message=max%20file%20count%20exceeded')
  assert.ok(failed.text.includes('href="https://a/?b=1&amp;c=&quot;&lt;&amp;status=400'))
  const plain = readFormPost(fieldsWith(["redirect", ""]))
  assert.equal(answerOfForm(plain, 201, "Created", "").text, "201 Created")
  const refused = answerOfForm(plain, 400, "Bad Request", "No Files To Process")
  assert.deepEqual([refused.status, refused.text], [400, "400 Bad Request\r\nFormPost: No Files To Process"])
})
