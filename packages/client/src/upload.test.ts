/** A failed upload leaves nothing behind at the store. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { MIB } from "@hayloft/base/limits.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RemoteFailure } from "./remote.js"
import { S3Client } from "./s3-client.js"
import { upload } from "./upload.js"

const COMPLETED = "<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>"
const CHUNK = Buffer.alloc(MIB, "x")

/** The response for a part; undefined: no response, ever. */
type PartAnswer = (partNumber: number) => number | undefined

/** A store with multipart uploads only, and the requests that it received, in order. */
async function withStore<T>(
  partAnswer: PartAnswer,
  work: (client: S3Client, sent: readonly string[], stop: AbortController) => Promise<T>,
  onBegun: (stop: AbortController) => void = () => undefined,
): Promise<T> {
  const stop = new AbortController()
  const sent: string[] = []
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const query = new URL(request.url ?? "/", "http://store").searchParams
    const partNumber = Number(query.get("partNumber") ?? 0)
    sent.push(`${request.method}${partNumber === 0 ? "" : ` part ${partNumber}`}`)
    if (query.has("uploads")) {
      onBegun(stop)
      setImmediate(() => response.end("<R><UploadId>one</UploadId></R>"))
    } else if (request.method === "POST") response.end(COMPLETED)
    else if (request.method === "DELETE") response.writeHead(204).end()
    else {
      const status = partAnswer(partNumber)
      if (status === undefined) return
      response.writeHead(status, { etag: `"${partNumber}"` })
      response.end(status === 200 ? "" : "<Error><Code>InvalidPart</Code><Message>no such part</Message></Error>")
    }
  }
  const server = createServer((request, response) => {
    request.on("error", () => undefined)
    request.resume().on("end", () => answer(request, response))
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const access = { endpoint: `http://127.0.0.1:${port}`, region: "r", accessKeyId: "a", secretAccessKey: "s" }
  const client = new S3Client(access, new RealClock(), stop.signal)
  try {
    return await work(client, sent, stop)
  } finally {
    client.close()
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
}

/** Counts the bytes that were consumed. */
async function* source(taken: { bytes: number }, chunks = 100): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < chunks; i += 1) {
    taken.bytes += CHUNK.length
    yield CHUNK
  }
}

const requestOf = (taken: { bytes: number }) => ({
  bucket: "b",
  key: "k",
  sizeBytes: undefined,
  source: source(taken),
  onProgress: () => undefined,
})

test("parts in order, completed once", () =>
  withStore(
    () => 200,
    async (client, sent) => {
      assert.deepEqual(await upload(client, requestOf({ bytes: 0 })), { etag: "whole", sizeBytes: 100 * MIB })
      const parts = sent.filter(line => line.startsWith("PUT")).sort()
      assert.equal(parts.length, 13)
      assert.deepEqual([sent[0], sent.at(-1), sent.length], ["POST", "POST", 15])
    },
  ))

test("a refused part: the upload is aborted, nothing is completed, the rest of the source is not read", () =>
  withStore(
    partNumber => (partNumber === 3 ? 400 : 200),
    async (client, sent) => {
      const taken = { bytes: 0 }
      // The other parts continue until the refusal arrives.
      const chunks = 3_000
      await assert.rejects(
        upload(client, { ...requestOf(taken), source: source(taken, chunks) }),
        (error: unknown) => error instanceof RemoteFailure && error.code === "InvalidPart",
      )
      assert.equal(sent.filter(line => line === "DELETE").length, 1)
      assert.equal(sent.at(-1), "DELETE", "once no part is under way any more")
      assert.equal(sent.filter(line => line === "POST").length, 1, "begun, never completed")
      assert.ok(taken.bytes < chunks * MIB)
    },
  ))

test("a source that breaks: the upload is aborted", () =>
  withStore(
    () => 200,
    async (client, sent) => {
      async function* breaking(): AsyncGenerator<Uint8Array> {
        yield* Array.from({ length: 20 }, () => CHUNK)
        throw new Error("the disk is gone")
      }
      await assert.rejects(upload(client, { ...requestOf({ bytes: 0 }), source: breaking() }), /the disk is gone/)
      assert.equal(sent.at(-1), "DELETE")
    },
  ))

test("an interrupted upload is aborted, too", () =>
  withStore(
    partNumber => (partNumber === 2 ? undefined : 200),
    async (client, sent, stop) => {
      const uploading = upload(client, requestOf({ bytes: 0 }))
      await until("the second part is sent", () => sent.includes("PUT part 2"), 5)
      stop.abort()
      await assert.rejects(uploading, { name: "AbortError" })
      // The server may notice an aborted part after the DELETE.
      assert.equal(sent.filter(line => line === "DELETE").length, 1)
      assert.equal(sent.filter(line => line === "POST").length, 1, "begun, never completed")
    },
  ))

test("an upload that is interrupted before its id has arrived is aborted as well", () =>
  withStore(
    () => 200,
    async (client, sent) => {
      await assert.rejects(upload(client, requestOf({ bytes: 0 })), { name: "AbortError" })
      assert.deepEqual(sent, ["POST", "DELETE"])
    },
    stop => stop.abort(),
  ))
