/** Streams of MinIO's admin API: which requests `mc admin trace` is sent, and in which form. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { trace } from "./streams.js"

const REQUEST = {
  type: "request",
  atMs: 1_000,
  server: "s3",
  requestId: "1",
  method: "GET",
  operation: "GetObject",
  path: "/photos/a",
  status: 200,
  totalMs: 250,
  receivedBytes: 0,
  sentBytes: 7,
  remoteAddress: "192.0.2.1",
}
const LINES = [
  REQUEST,
  { ...REQUEST, path: "/quick", totalMs: 1.5 },
  { ...REQUEST, path: "/missing", status: 404, code: "NoSuchKey", reason: "it is gone" },
  { ...REQUEST, path: "/left", status: 0 },
  { type: "heartbeat", atMs: 1_000 },
]

/** The paths that a client is shown, which asks so. */
async function shown(query: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const call = {
    query: (name: string) => query[name] ?? "",
    call: async () => one(LINES.map(line => `${JSON.stringify(line)}\n`).join("")),
  }
  const texts: string[] = []
  for await (const piece of await trace(call)) texts.push(Buffer.from(piece).toString())
  assert.equal(texts.length, LINES.length, "a line that is not shown is white space, which keeps the stream open")
  return texts.flatMap(text => (text === "\n" ? [] : [String(Reflect.get(Object(JSON.parse(text)), "path"))]))
}

async function* one(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

const ALL = ["/photos/a", "/quick", "/missing", "/left"]
const CASES: readonly (readonly [query: Readonly<Record<string, string>>, paths: readonly string[]])[] = [
  [{}, ALL],
  [{ s3: "false" }, []],
  [{ s3: "false", all: "true" }, ALL],
  [{ err: "true" }, ["/missing", "/left"]],
  [{ threshold: "200ms" }, ["/photos/a", "/missing", "/left"]],
  [{ threshold: "0.25s" }, ["/photos/a", "/missing", "/left"]],
  [{ threshold: "250.001ms" }, []],
  [{ threshold: "1m" }, []],
  [{ threshold: "1h0m0s" }, []],
  [{ threshold: "0s" }, ALL],
  [{ threshold: "1ms499us" }, ALL],
  [{ threshold: "1ms501µs" }, ["/photos/a", "/missing", "/left"]],
  [{ threshold: "1500001ns" }, ["/photos/a", "/missing", "/left"]],
  [{ threshold: "soon" }, ALL],
]
for (const [query, paths] of CASES) {
  test(`a trace with ${JSON.stringify(query)} shows ${paths.length} requests`, async () => {
    assert.deepEqual(await shown(query), paths)
  })
}
