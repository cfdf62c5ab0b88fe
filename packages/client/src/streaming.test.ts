/** Bodies that stream to a store, conditions, and signals for one request. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import type { IncomingMessage, RequestListener } from "node:http"
import { createServer as createTcpServer } from "node:net"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { BrokenAnswer, RemoteFailure, Unreachable } from "./remote.js"
import { S3Client } from "./s3-client.js"
import type { StreamedBody } from "./streamed-body.js"
import { withPeer } from "./testing-peer.js"

const PIECE_BYTES = 64 * 1024
const COMPLETED = "<CompleteMultipartUploadResult><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>"
const OBJECT = { bucket: "b", key: "k" }

/** Pieces in memory that each piece reuses, as those of the object services may be. */
class Source implements StreamedBody {
  opened = 0
  /** Sources that are not closed. */
  unclosed = 0
  pieces = 0
  readonly #ended: (() => void)[] = []

  constructor(
    readonly lengthBytes: number,
    private readonly givenBytes = lengthBytes,
    private readonly atEnd: () => void = () => undefined,
  ) {}

  readonly open = (): AsyncIterable<Uint8Array> => this.#read()

  /** Resolves once all opened ones are closed. */
  async closed(): Promise<void> {
    while (this.unclosed > 0) await new Promise<void>(resolve => this.#ended.push(resolve))
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    this.opened += 1
    this.unclosed += 1
    const memory = new Uint8Array(PIECE_BYTES)
    try {
      for (let at = 0; at < this.givenBytes; at += PIECE_BYTES) {
        const piece = memory.subarray(0, Math.min(PIECE_BYTES, this.givenBytes - at))
        piece.fill(at / PIECE_BYTES)
        this.pieces += 1
        yield piece
        memory.fill(0xee)
        await Promise.resolve()
      }
      this.atEnd()
    } finally {
      memory.fill(0xdd)
      this.unclosed -= 1
      for (const resolve of this.#ended.splice(0)) resolve()
    }
  }
}

async function received(request: IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const arriving: AsyncIterable<Uint8Array> = request
  for await (const chunk of arriving) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const taking =
  (then: (body: Buffer, request: IncomingMessage) => void): RequestListener =>
  (request, response) =>
    void received(request).then(
      body => {
        then(body, request)
        response.writeHead(200, { etag: '"e"' }).end()
      },
      () => undefined,
    )

const neverTaking = taking(() => assert.fail("a body that must not arrive whole"))

test("a streamed body arrives byte for byte, with its MD5, though its memory is reused", async () => {
  for (const lengthBytes of [0, 1, PIECE_BYTES, 100 * PIECE_BYTES + 7]) {
    const expected = Buffer.alloc(lengthBytes)
    for (let at = 0; at < lengthBytes; at += PIECE_BYTES)
      expected.fill(at / PIECE_BYTES, at, Math.min(lengthBytes, at + PIECE_BYTES))
    const md5 = createHash("md5").update(expected).digest()
    const sent: { body: Buffer; request: IncomingMessage }[] = []
    await withPeer(
      taking((body, request) => sent.push({ body, request })),
      {},
      async ({ client }) => {
        const body = new Source(lengthBytes)
        assert.deepEqual(await client.put({ ...OBJECT, body: { ...body, md5 } }), { etag: "e" })
        assert.equal(await client.putPart({ ...OBJECT, uploadId: "u", partNumber: 2, body }), "e")
        assert.deepEqual([body.opened, body.unclosed], [2, 0])
      },
    )
    assert.deepEqual(
      sent.map(({ request: { headers } }) => [headers["content-length"], headers["content-md5"]]),
      [
        [String(lengthBytes), md5.toString("base64")],
        [String(lengthBytes), undefined],
      ],
    )
    for (const { body } of sent) assert.ok(body.equals(expected), `${lengthBytes} bytes`)
    assert.equal(sent[1]?.request.url, "/b/k?partNumber=2&uploadId=u")
    assert.equal(sent[0]?.request.socket, sent[1]?.request.socket, "one connection")
  }
})

test("a body that is refused early: the source ends, the refusal is returned, the connection is not used again", async () => {
  const sockets = new Set<unknown>()
  await withPeer(
    (request, response) => {
      sockets.add(request.socket)
      // The server does not read the body.
      response.writeHead(412).end("<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>")
    },
    { connectionsMax: 1 },
    async ({ client }) => {
      const refused = (error: unknown) => error instanceof RemoteFailure && error.code === "PreconditionFailed"
      for (let i = 0; i < 3; i += 1) {
        const body = new Source(10_000 * PIECE_BYTES)
        await assert.rejects(client.put({ ...OBJECT, body }), refused)
        await body.closed()
        assert.equal(body.opened, 1)
        assert.ok(body.pieces < 10_000)
      }
      assert.equal(sockets.size, 3)
    },
  )
})

test("a source that waits while the body is refused is ended without its next piece", async () => {
  await withPeer(
    (_, response) => response.writeHead(403).end(),
    {},
    async ({ client }) => {
      let ended = 0
      let given = 0
      const open = (): AsyncIterable<Uint8Array> => ({
        [Symbol.asyncIterator]: () => ({
          next: () => (given++ === 0 ? Promise.resolve({ value: Buffer.from("a") }) : new Promise(() => undefined)),
          return: () => {
            ended += 1
            return Promise.reject(new Error("matters to no one"))
          },
        }),
      })
      await assert.rejects(client.put({ ...OBJECT, body: { lengthBytes: 9, open } }), { name: "RemoteFailure" })
      assert.deepEqual([given, ended], [2, 1])
    },
  )
})

test("a store that confirms a body before it has all of it is not believed", async () => {
  await withPeer(
    (_, response) => response.writeHead(200, { etag: '"e"' }).end(),
    {},
    async ({ client }) => {
      const body = new Source(10_000 * PIECE_BYTES)
      await assert.rejects(client.put({ ...OBJECT, body }), BrokenAnswer)
      await body.closed()
      assert.equal(body.opened, 1)
    },
  )
})

test("a source that fails, even at its very end, rejects with its own error: nothing is stored or sent again", async () => {
  // This one would be retried if the store had sent it.
  const failure = new RemoteFailure(503, "SlowDown", "the source's own", undefined)
  const fails = (): never => {
    throw failure
  }
  await withPeer(neverTaking, {}, async ({ client }) => {
    for (const pieces of [0, 1, 50]) {
      const body = new Source(pieces * PIECE_BYTES, pieces * PIECE_BYTES, fails)
      await assert.rejects(client.put({ ...OBJECT, body }), error => error === failure)
      assert.deepEqual([body.opened, body.unclosed], [1, 0])
    }
    await assert.rejects(client.put({ ...OBJECT, body: { lengthBytes: 1, open: fails } }), error => error === failure)
  })
})

test("a source that is shorter or longer than declared: nothing is stored", async () => {
  await withPeer(neverTaking, {}, async ({ client }) => {
    for (const [declared, given] of [
      [10, 9],
      [10, 11],
      [0, 1],
      [20 * PIECE_BYTES, 19 * PIECE_BYTES],
      [20 * PIECE_BYTES, 21 * PIECE_BYTES],
    ] as const) {
      const body = new Source(declared, given)
      await assert.rejects(client.put({ ...OBJECT, body }), { name: "BrokenSource" }, `${given} of ${declared}`)
      await body.closed()
      assert.equal(body.opened, 1)
    }
  })
})

test("a repetition opens the body again", async () => {
  let requests = 0
  const sent: number[] = []
  await withPeer(
    (request, response) => {
      requests += 1
      if (requests === 1) response.writeHead(503).end()
      else if (requests === 2) request.socket.destroy()
      else taking(body => sent.push(body.length))(request, response)
    },
    {},
    async ({ client }) => {
      const body = new Source(30 * PIECE_BYTES)
      assert.deepEqual(await client.put({ ...OBJECT, body }), { etag: "e" })
      await body.closed()
      assert.equal(body.opened, 3)
      assert.deepEqual(sent, [30 * PIECE_BYTES])
    },
  )
})

test("a signal ends its own request only: before the response, within a body, and in the queue for a connection", async () => {
  const arrived: (() => void)[] = []
  await withPeer(
    (request, response) => {
      if (request.url === "/b/quick") return void response.end("quick")
      if (request.url === "/b/slow") response.writeHead(200, { "content-length": 10 }).write("half")
      arrived.shift()?.()
    },
    { connectionsMax: 1 },
    async ({ client, server }) => {
      const interrupted = { name: "AbortError" }
      const ask = async (work: (signal: AbortSignal) => Promise<unknown>): Promise<void> => {
        const one = new AbortController()
        const waiting = new Promise<void>(resolve => arrived.push(resolve))
        const asked = work(one.signal)
        await waiting
        const queued = new AbortController()
        const inQueue = client.head("b", "k", { signal: queued.signal })
        queued.abort()
        await assert.rejects(inQueue, interrupted)
        one.abort()
        await assert.rejects(asked, interrupted)
        await assert.rejects(work(one.signal), interrupted, "has fired before")
      }
      await ask(signal => client.head("b", "k", { signal }))
      await ask(signal => client.get("b", "k", { signal }))
      await ask(signal => client.list("b", { prefix: "", delimiter: "", signal }))
      await ask(signal => client.remove("b", "k", { signal }))
      await ask(signal => client.createMultipart(OBJECT, [], signal))
      await ask(signal => client.complete({ ...OBJECT, uploadId: "u", etags: ["e"], signal }))
      await ask(signal => client.putPart({ ...OBJECT, uploadId: "u", partNumber: 1, body: Buffer.from("a"), signal }))
      const body = new Source(10_000 * PIECE_BYTES)
      await ask(signal => client.put({ ...OBJECT, body, signal }))
      await body.closed()

      const reading = new AbortController()
      const answer = await client.get("b", "slow", { signal: reading.signal })
      const read = async (): Promise<void> => {
        for await (const chunk of answer.body) if (chunk.length > 0) reading.abort()
      }
      await assert.rejects(read(), interrupted)
      const { body: quick } = await client.get("b", "quick")
      for await (const chunk of quick) assert.equal(Buffer.from(chunk).toString(), "quick")
      assert.ok(server.listening)
    },
  )
})

test("the client's own signal ends requests that have one, too", async () => {
  const own = new AbortController()
  let stop: AbortController | undefined
  await withPeer(
    () => stop?.abort(),
    {},
    async peer => {
      stop = peer.stop
      const body = new Source(10_000 * PIECE_BYTES)
      await assert.rejects(peer.client.put({ ...OBJECT, body, signal: own.signal }), { name: "AbortError" })
      await body.closed()
    },
  )
})

test("ranges: the offset and the total of the object; conditions are sent", async () => {
  const headers: Record<string, string | undefined>[] = []
  const ranges: Record<string, string> = { known: "bytes 5-9/100", unknown: "bytes 5-9/*" }
  await withPeer(
    (request, response) => {
      const { range, "if-match": ifMatch, "if-none-match": ifNoneMatch } = request.headers
      headers.push({ range, ifMatch, ifNoneMatch })
      const contentRange = ranges[(request.url ?? "").slice("/b/".length)]
      if (request.method === "POST") response.end(COMPLETED)
      else if (contentRange === undefined) response.end("12345")
      else response.writeHead(206, { "content-range": contentRange }).end("12345")
    },
    {},
    async ({ client }) => {
      const shown = async (key: string, options: { range?: string; ifMatch?: string }): Promise<unknown[]> => {
        const { head, body } = await client.get("b", key, options)
        for await (const chunk of body) assert.equal(chunk.length, 5)
        return [head.isRange, head.rangeFirst, head.totalBytes]
      }
      assert.deepEqual(await shown("known", { range: "5-9", ifMatch: "e" }), [true, 5, 100])
      assert.deepEqual(await shown("unknown", {}), [true, 5, undefined])
      assert.deepEqual(await shown("whole", {}), [false, undefined, undefined])
      const upload = { ...OBJECT, uploadId: "u", etags: ["1"], headers: [["if-none-match", "*"]] as const }
      assert.deepEqual(await client.complete(upload), { etag: "e" })
      assert.deepEqual(
        [headers[0], headers[3]],
        [
          { range: "bytes=5-9", ifMatch: '"e"', ifNoneMatch: undefined },
          { range: undefined, ifMatch: undefined, ifNoneMatch: "*" },
        ],
      )
    },
  )
})

test("redirects are failures with the store's code", async () => {
  await withPeer(
    (_, response) => response.writeHead(301).end("<Error><Code>PermanentRedirect</Code></Error>"),
    {},
    async ({ client }) => {
      const isRedirect = (error: unknown): boolean =>
        error instanceof RemoteFailure && error.status === 301 && error.code === "PermanentRedirect"
      await assert.rejects(client.get("b", "k"), isRedirect)
    },
  )
})

test("silence ends a request without a repetition, and a body within it", async () => {
  let requests = 0
  await withPeer(
    (request, response) => {
      requests += 1
      if (request.url === "/b/half") response.writeHead(200, { "content-length": 10 }).write("half")
    },
    { silenceMs: 400 },
    async ({ client }) => {
      await assert.rejects(client.head("b", "k"), (error: unknown) => {
        assert.ok(error instanceof Unreachable)
        assert.equal(error.reason, "no data for 0.4 s")
        return true
      })
      assert.equal(requests, 1)
      const { body } = await client.get("b", "half")
      const read = async (): Promise<void> => {
        for await (const chunk of body) assert.equal(chunk.length, 4)
      }
      await assert.rejects(read(), {
        name: "BrokenAnswer",
        message: "the response was interrupted (no data for 0.4 s)",
      })
    },
  )
})

test("a connection that is not established in time fails; one that is, may take longer to respond", async () => {
  /** Accepts connections, but never answers the first message of TLS. */
  const silent = createTcpServer(socket => socket.on("error", () => undefined).resume())
  await new Promise<void>(resolve => silent.listen(0, "127.0.0.1", resolve))
  const address = silent.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const access = { endpoint: `https://127.0.0.1:${port}`, region: "r", accessKeyId: "a", secretAccessKey: "s" }
  const alarms: (() => void)[] = []
  class RungClock extends RealClock {
    override alarm(durationMs: number, ring: () => void): () => void {
      assert.equal(durationMs, 5_000)
      setImmediate(ring)
      alarms.push(ring)
      return () => undefined
    }
  }
  const client = new S3Client(access, new RungClock(), new AbortController().signal, { connectMs: 5_000 })
  await assert.rejects(client.headBucket("b"), (error: unknown) => {
    assert.ok(error instanceof Unreachable)
    assert.equal(error.reason, "no connection within 5 s")
    return true
  })
  assert.equal(alarms.length, 1)
  client.close()
  await new Promise(resolve => silent.close(resolve))
})

test("headers that come a byte at a time end the call once their time is over", async () => {
  const server = createTcpServer(socket => {
    const text = Buffer.from(`HTTP/1.1 200 OK\r\nX-Long: ${"x".repeat(10_000)}`)
    let at = 0
    const drip = setInterval(() => socket.write(text.subarray(at, (at += 1))), 5)
    socket.on("error", () => undefined)
    socket.on("close", () => clearInterval(drip))
    socket.resume()
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const access = { endpoint: `http://127.0.0.1:${port}`, region: "r", accessKeyId: "a", secretAccessKey: "s" }
  const client = new S3Client(access, new RealClock(), new AbortController().signal, { headMs: 100 })
  try {
    await assert.rejects(
      client.head("b", "k"),
      error => error instanceof Unreachable && /no response/.test(error.reason),
    )
  } finally {
    client.close()
    await new Promise(resolve => server.close(resolve))
  }
})
