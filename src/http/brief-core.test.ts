/** Brief requests are read as Node's parser reads them, or not at all. */
import assert from "node:assert/strict"
import { createServer, type IncomingMessage } from "node:http"
import { Duplex } from "node:stream"
import { test } from "node:test"
import { SimRandom } from "../seams/random/sim.js"
import { BRIEF_BODY_BYTES_MAX, BriefReader, type BriefRequest } from "./brief-core.js"
import { HeaderShapes } from "../base/request-headers.js"

const HEAD_BYTES_MAX = 16_384
const reader = () => new BriefReader(new HeaderShapes(), HEAD_BYTES_MAX)
const read = (text: string, by = reader()) => by.read(Buffer.from(text, "latin1"))

interface Seen {
  readonly method: string
  readonly rawTarget: string
  readonly rawHeaders: readonly string[]
  readonly body: string
}

/** What Node's parser makes of the first request in these bytes; undefined where it finds none. */
function readByNode(bytes: Buffer): Promise<Seen | undefined> {
  return new Promise(resolve => {
    const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
    const server = createServer((request: IncomingMessage) => {
      const pieces: Buffer[] = []
      request.on("data", (piece: Buffer) => pieces.push(piece))
      request.on("end", () => {
        const { method = "", url: rawTarget = "", rawHeaders } = request
        resolve({ method, rawTarget, rawHeaders, body: Buffer.concat(pieces).toString("latin1") })
        socket.destroy()
      })
    })
    server.on("clientError", () => resolve(undefined))
    server.emit("connection", socket)
    socket.push(bytes)
    setImmediate(() => setImmediate(() => setImmediate(() => resolve(undefined))))
  })
}

const seenIn = ({ method, rawTarget, headers, body }: BriefRequest): Seen => ({
  method,
  rawTarget,
  rawHeaders: headers.flat(),
  body: Buffer.from(body).toString("latin1"),
})

const random = new SimRandom(7)
const oneOf = <T>(...choices: readonly [T, ...T[]]): T => choices[random.below(choices.length)] ?? choices[0]
const rarely = <T>(usual: T, ...odd: readonly [T, ...T[]]): T => (random.below(12) === 0 ? oneOf(...odd) : usual)

function anyHeader(): string {
  const name = oneOf(
    "Host",
    "x-amz-date",
    "Accept",
    "content-length",
    "Connection",
    "X-A",
    "Transfer-Encoding",
    "Expect",
  )
  const value = {
    Host: "h:1",
    "content-length": oneOf("0", "3", "03", "+3", "3, 3", "", "3x"),
    Connection: oneOf("keep-alive", "Keep-Alive", "close", "upgrade", "keep-alive, x"),
    "Transfer-Encoding": oneOf("chunked", "identity"),
    Expect: "100-continue",
  }[name as string]
  return (
    rarely("", " ", "\t") +
    name +
    rarely("", " ") +
    rarely(":", "", "::") +
    rarely(" ", "", "  ", "\t") +
    (value ?? oneOf("a", "a:b", " b ", "20261120T200000Z", "\u00e4", '"x" ; y')) +
    rarely("", " ", "\t", "\u0000")
  )
}

function anyRequest(): string {
  const lineEnd = () => rarely("\r\n", "\n", "\r", "\r\r\n")
  const method = rarely(oneOf("GET", "PUT", "HEAD", "DELETE", "POST"), "get", "PATCH", "GETX", "CONNECT", "")
  const target = rarely(
    oneOf("/", "/b/k", "/b/k?x=%20&y", "/b/a%2Fb"),
    "*",
    "http://h/x",
    "/a b",
    "/a#b",
    "/\u00e4",
    "",
  )
  const version = rarely("HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1", "HTTP/1.1 ")
  const length = rarely("content-length: 3", "Content-Length:3", "X-B: c")
  const headers = [rarely("Host: h", "Hos: h"), ...Array.from({ length: random.below(4) }, anyHeader), length]
  const head = [`${method}${rarely(" ", "  ")}${target}${rarely(" ", "  ")}${version}`, ...headers]
  return (
    rarely("", "\r\n", " ") +
    head.map(line => line + lineEnd()).join("") +
    lineEnd() +
    oneOf("abc", "abcGET / ", "ab", "")
  )
}

test("what is read as brief is what Node's parser reads", async () => {
  const [shared, counts] = [reader(), { brief: 0, left: 0 }]
  for (let i = 0; i < 6_000; i += 1) {
    const text = anyRequest()
    const bytes = Buffer.from(text, "latin1")
    const brief = read(text, shared)
    if (typeof brief === "string") {
      counts.left += 1
      continue
    }
    counts.brief += 1
    assert.deepEqual(seenIn(brief), await readByNode(bytes.subarray(0, brief.endAt)), JSON.stringify(text))
  }
  assert.ok(counts.brief > 300 && counts.left > 300, JSON.stringify(counts))
})

const GOOD = "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"

test("what may be a way to smuggle is left to Node's parser", () => {
  assert.notEqual(typeof read(GOOD), "string")
  const odd: readonly (readonly [string, string])[] = [
    ["Host: h", "Host: h\r\nTransfer-Encoding: chunked"],
    ["Host: h", "Host: h\r\nHost: i"],
    ["Host: h", "X: h"],
    ["Content-Length: 3", "Content-Length: 3\r\ncontent-length: 3"],
    ["Content-Length: 3", "Content-Length: +3"],
    ["Content-Length: 3", `Content-Length: ${BRIEF_BODY_BYTES_MAX + 1}`],
    ["Content-Length: 3", "Content-Length : 3"],
    ["Content-Length: 3", " Content-Length: 3"],
    ["Host: h", "Host: h\nX: y"],
    ["Host: h", "Host: h\rX: y"],
    ["Host: h", "Host: h\r\nExpect: 100-continue"],
    ["Host: h", "Host: h\r\nConnection: close"],
    ["Host: h", "Host: \u00e4"],
    ["/b/k", "/b k"],
    ["/b/k", "http://h/b/k"],
    ["HTTP/1.1", "HTTP/1.0"],
    ["PUT", "PATCH"],
  ]
  for (const [good, bad] of odd) assert.equal(read(GOOD.replace(good, bad)), "other", JSON.stringify(bad))
  assert.equal(read(GOOD.replace("Host: h", `Host: h\r\nX: ${"x".repeat(HEAD_BYTES_MAX)}`)), "other")
})

test("every beginning of a brief request may become one, and what follows it is left", () => {
  for (let length = 1; length < GOOD.length; length += 1) assert.equal(read(GOOD.slice(0, length)), "incomplete")
  const first = read(GOOD + GOOD)
  assert.ok(typeof first !== "string")
  assert.equal(first.endAt, GOOD.length)
})

test("a reader that expects other names reads the same", () => {
  const by = reader()
  for (const names of [["Host", "X-A"], ["host", "X-A"], ["X-A", "Host"], ["Host", "X-AB"], ["Host"]]) {
    const text = `GET / HTTP/1.1\r\n${names.map(name => `${name}: v\r\n`).join("")}\r\n`
    const request = read(text, by)
    assert.ok(typeof request !== "string")
    assert.deepEqual(
      request.headers.flat(),
      names.flatMap(name => [name, "v"]),
    )
  }
})
