/** Plain heads are read exactly as Node's parser reads them, or not at all. */
import assert from "node:assert/strict"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Duplex } from "node:stream"
import { test } from "node:test"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { ChunkDecoder } from "./chunk-decoder.js"
import { HeadReader, type RequestHead } from "./head.js"

const HEAD_BYTES_MAX = 16_384
const reader = () => new HeadReader(new HeaderShapes(), HEAD_BYTES_MAX)
const read = (text: string, by = reader()) => by.read(Buffer.from(text, "latin1"))

interface Seen {
  readonly method: string
  readonly rawTarget: string
  readonly rawHeaders: readonly string[]
  readonly awaitsContinue: boolean
  readonly isLast: boolean
  readonly body: string
}

/** The first request in these bytes as Node's parser sees it; undefined if it finds none, or not all of it. */
function readByNode(bytes: Buffer): Promise<Seen | undefined> {
  return new Promise(resolve => {
    const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
    const server = createServer()
    const hear = (awaitsContinue: boolean) => (request: IncomingMessage, response: ServerResponse) => {
      const pieces: Buffer[] = []
      request.on("data", (piece: Buffer) => pieces.push(piece))
      request.on("end", () => {
        const { method = "", url: rawTarget = "", rawHeaders } = request
        const body = Buffer.concat(pieces).toString("latin1")
        resolve({ method, rawTarget, rawHeaders, awaitsContinue, isLast: !response.shouldKeepAlive, body })
        socket.destroy()
      })
    }
    server.on("request", hear(false))
    server.on("checkExpectation", hear(false))
    server.on("checkContinue", hear(true))
    server.on("clientError", () => resolve(undefined))
    server.emit("connection", socket)
    socket.push(bytes)
    setImmediate(() => setImmediate(() => setImmediate(() => resolve(undefined))))
  })
}

/** The same by what is tested, and where the request ends; undefined if the body is broken, or not all there. */
function seenIn(head: RequestHead, bytes: Buffer): { readonly seen: Seen; readonly endAt: number } | undefined {
  const rest = bytes.subarray(head.headBytes)
  let [body, bodyBytes] = ["", head.contentLength ?? 0]
  if (head.isChunked) {
    const decoder = new ChunkDecoder()
    bodyBytes = decoder.read(rest, data => (body += data.toString("latin1")))
    if (!decoder.isEnd) return undefined
  } else if (rest.length < bodyBytes) return undefined
  else body = rest.toString("latin1", 0, bodyBytes)
  const { method, rawTarget, headers, awaitsContinue, isLast } = head
  const seen = { method, rawTarget, rawHeaders: headers.flat(), awaitsContinue, isLast, body }
  return { seen, endAt: head.headBytes + bodyBytes }
}

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
    "Transfer-Encoding": oneOf("chunked", "Chunked", "identity", "chunked, chunked", "x"),
    Expect: oneOf("100-continue", "100-Continue", "x, 100-continue", "200", ""),
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
  const length = oneOf("content-length: 3", "Content-Length:3", "X-B: c", "Transfer-Encoding: chunked")
  const headers = [rarely("Host: h", "Hos: h"), ...Array.from({ length: random.below(4) }, anyHeader), length]
  const head = [`${method}${rarely(" ", "  ")}${target}${rarely(" ", "  ")}${version}`, ...headers]
  return (
    rarely("", "\r\n", " ") +
    head.map(line => line + lineEnd()).join("") +
    lineEnd() +
    oneOf(
      "abc",
      "abcGET / ",
      "ab",
      "",
      "1\r\na\r\n0\r\n\r\n",
      "01;x=y\r\na\r\n0\r\nX: y\r\n\r\nGET",
      "3\r\nabc\r\n",
      "1\na\n0\n\n",
    )
  )
}

test("a request with a plain head reads the same as with Node's parser", async () => {
  const [shared, counts] = [reader(), { plain: 0, whole: 0, left: 0 }]
  for (let i = 0; i < 12_000; i += 1) {
    const text = anyRequest()
    const bytes = Buffer.from(text, "latin1")
    const head = shared.read(bytes)
    if (typeof head === "string") {
      counts.left += 1
      continue
    }
    counts.plain += 1
    const request = seenIn(head, bytes)
    if (request === undefined) continue
    counts.whole += 1
    assert.deepEqual(request.seen, await readByNode(bytes.subarray(0, request.endAt)), JSON.stringify(text))
  }
  assert.ok(counts.whole > 600 && counts.plain > counts.whole && counts.left > 600, JSON.stringify(counts))
})

const GOOD = "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"

test("a head that may smuggle a request is left to Node's parser", () => {
  assert.notEqual(typeof read(GOOD), "string")
  const odd: readonly (readonly [string, string])[] = [
    ["Host: h", "Host: h\r\nTransfer-Encoding: chunked"],
    ["Host: h", "Host: h\r\nHost: i"],
    ["Host: h", "X: h"],
    ["Content-Length: 3", "Content-Length: 3\r\ncontent-length: 3"],
    ["Content-Length: 3", "Content-Length: +3"],
    ["Content-Length: 3", "Content-Length: 3, 3"],
    ["Content-Length: 3", "Transfer-Encoding: gzip, chunked"],
    ["Content-Length: 3", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"],
    ["Content-Length: 3", "Content-Length : 3"],
    ["Content-Length: 3", " Content-Length: 3"],
    ["Host: h", "Host: h\nX: y"],
    ["Host: h", "Host: h\rX: y"],
    ["Host: h", "Host: h\r\nConnection: close, x"],
    ["Host: h", "Host: h\r\nUpgrade: x"],
    ["Host: h", "Host: \u00e4"],
    ["/b/k", "/b k"],
    ["/b/k", "http://h/b/k"],
    ["HTTP/1.1", "HTTP/1.0"],
    ["PUT", "PATCH"],
  ]
  for (const [good, bad] of odd) assert.equal(read(GOOD.replace(good, bad)), "other", JSON.stringify(bad))
  assert.equal(read(GOOD.replace("Host: h", `Host: h\r\nX: ${"x".repeat(HEAD_BYTES_MAX)}`)), "other")
})

const GOOD_HEAD = GOOD.slice(0, -3)

test("every prefix of a plain head is incomplete, and the bytes after a head are not consumed", () => {
  for (let length = 1; length < GOOD_HEAD.length; length += 1) assert.equal(read(GOOD.slice(0, length)), "incomplete")
  const first = read(GOOD + GOOD)
  assert.ok(typeof first !== "string")
  assert.deepEqual([first.headBytes, first.contentLength], [GOOD_HEAD.length, 3])
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
