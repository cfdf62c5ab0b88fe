/** Heads that Node's parser reads, in pieces of any size; the parser gets no byte after them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { UnusualHeads, type UnusualHeadReading } from "./unusual-head.js"

const HEAD_BYTES_MAX = 16_384
const heads = new UnusualHeads(new HeaderShapes(), HEAD_BYTES_MAX)

function read(
  text: string,
  pieceBytes = text.length,
): { readonly outcome: UnusualHeadReading | undefined; readonly rest: string } {
  const head = heads.begin()
  const bytes = Buffer.from(text, "latin1")
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const { usedBytes, outcome } = head.read(bytes.subarray(at, at + pieceBytes))
    if (outcome !== undefined) return { outcome, rest: bytes.toString("latin1", at + usedBytes) }
  }
  head.abandon()
  return { outcome: undefined, rest: "" }
}

const outcomeOf = (text: string, pieceBytes?: number): string => {
  const { outcome } = read(text, pieceBytes)
  if (outcome === undefined) return "incomplete"
  return "code" in outcome ? outcome.code : (outcome.fault?.kind ?? "good")
}

const GOOD = "PATCH /a HTTP/1.1\r\nHost: h\r\nX: \u00e4\r\nContent-Length: 12\r\n\r\n"
const BEHIND = "\r\n\r\nGET / HTTP/1.1\r\nHost: i\r\n\r\n"

test("a head is read however it is split, and the bytes after it are not consumed", () => {
  for (let pieceBytes = 1; pieceBytes <= GOOD.length + BEHIND.length; pieceBytes += 1) {
    const { outcome, rest } = read(GOOD + BEHIND, pieceBytes)
    assert.ok(outcome !== undefined && !("code" in outcome))
    assert.deepEqual(
      [outcome.method, outcome.rawTarget, outcome.headers.flat(), outcome.contentLength, outcome.isLast],
      ["PATCH", "/a", ["Host", "h", "X", "\u00e4", "Content-Length", "12"], 12, false],
    )
    assert.equal(rest, BEHIND)
  }
  for (let length = 1; length < GOOD.length; length += 1) assert.equal(outcomeOf(GOOD.slice(0, length)), "incomplete")
})

test("version and headers decide whether a connection stays open", () => {
  const isLast = (version: string, connection: string): boolean => {
    const { outcome } = read(`GET / HTTP/${version}\r\nHost: h\r\n${connection}X: \u00e4\r\n\r\n`)
    assert.ok(outcome !== undefined && !("code" in outcome))
    assert.equal(outcome.isOldVersion, version === "1.0")
    return outcome.isLast
  }
  assert.deepEqual([isLast("1.1", ""), isLast("1.1", "Connection: x, close\r\n")], [false, true])
  assert.deepEqual([isLast("1.0", ""), isLast("1.0", "Connection: keep-alive\r\n")], [true, false])
  assert.equal(isLast("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"), false)
})

test("a head with an ambiguous end, an invalid one or one too large is refused, however it is split", () => {
  const bad: readonly (readonly [text: string, outcome: string | RegExp])[] = [
    ["GET / HTTP/1.1\nHost: h\n\n\r\n\r\n", /^HPE_|doubtful/],
    ["GET / HTTP/1.1\r\nHost: h\n\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n", /^HPE_|doubtful/],
    ["hello\r\n\r\n", /^HPE_/],
    ["CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n", "no request"],
    [GOOD.replace("Host: h", "Host: h\r\nHost: h"), "invalidRequest"],
    [GOOD.replace("Content-Length: 12", "Transfer-Encoding: gzip, chunked"), "invalidRequest"],
    [GOOD.replace("12", "12\r\nContent-Length: 13"), /^HPE_/],
    [`GET / HTTP/1.1\r\nX: ${"x".repeat(HEAD_BYTES_MAX)}`, "HPE_HEADER_OVERFLOW"],
    [`GET / HTTP/1.1\r\nX: ${" ".repeat(5 * HEAD_BYTES_MAX)}`, "HPE_HEADER_OVERFLOW"],
  ]
  for (const [text, expected] of bad) {
    for (const pieceBytes of [1, 7, text.length]) {
      const outcome = outcomeOf(text, pieceBytes)
      const isSo = typeof expected === "string" ? outcome === expected : expected.test(outcome)
      assert.ok(isSo, `${JSON.stringify([text.slice(0, 60), pieceBytes])}: ${outcome}`)
    }
  }
})

test("a request with a fault has no body to read", () => {
  const { outcome } = read("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")
  assert.ok(outcome !== undefined && !("code" in outcome))
  assert.deepEqual([outcome.fault?.kind, outcome.isChunked, outcome.isLast], ["invalidRequest", false, true])
})
