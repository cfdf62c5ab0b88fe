/** The admin API over a store in memory, on a port of loopback, and `hayloft` as an operator types it against that. */
import assert from "node:assert/strict"
import http from "node:http"
import { after, before } from "node:test"
import { AdminApi } from "@hayloft/admin/index.js"
import { HEAD } from "@hayloft/admin/testing-api.js"
import { ROOT, TOKEN } from "@hayloft/admin/testing-store.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import type { CliIo } from "./io.js"
import { run } from "./program.js"
import { testIo } from "./testing-io.js"

type Answerer = Pick<AdminApi, "handle">
type Parts = ConstructorParameters<typeof AdminApi>[0]

interface Ended {
  readonly code: number
  readonly out: string
  readonly error: string
}

const CLOCK = new RealClock()

/** The API of a store with these parts, for one request. */
export const adminOver = (parts: Parts): AdminApi =>
  new AdminApi(parts, {
    version: "1.2.3",
    clock: CLOCK,
    hosts: [],
    onLoopback: true,
    rootAccount: ROOT,
    newBucketSettings: new Map(),
    metricsText: () => "",
  })

/** Answers requests while the tests of the file run. Returns a command line; `changed` is as in `testIo`. */
export function operatorOf(
  apiFor: (request: http.IncomingMessage) => Answerer | Promise<Answerer>,
): (args: readonly string[], changed?: Partial<CliIo>) => Promise<Ended> {
  let endpoint = ""
  const server = http.createServer((request, response) => {
    void answer(request, apiFor).then(({ status, headers, body }) =>
      response.writeHead(status, { ...headers }).end(body),
    )
  })
  // However long a busy machine takes between two requests of a command, its connection stays.
  server.keepAliveTimeout = 0
  before(async () => {
    await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    assert.ok(typeof address === "object" && address !== null)
    endpoint = `http://127.0.0.1:${address.port}`
  })
  after(() => {
    server.close()
    server.closeAllConnections()
  })
  return async (args, changed = {}) => {
    const environment = { HAYLOFT_ADMIN_ENDPOINT: endpoint, HAYLOFT_ADMIN_TOKEN: TOKEN }
    const { io, written } = testIo({ environment, clock: CLOCK, ...changed })
    return { code: await run(args, io, new AbortController().signal), ...written }
  }
}

async function answer(request: http.IncomingMessage, apiFor: Parameters<typeof operatorOf>[0]) {
  const { method = "", url: rawTarget = "", headers } = request
  const chunks: Uint8Array[] = []
  for await (const chunk of request) if (chunk instanceof Uint8Array) chunks.push(chunk)
  const header = (name: string) => (name === "authorization" ? headers.authorization : undefined)
  const api = await apiFor(request)
  return api.handle({ ...HEAD, method, rawTarget, header, body: async () => Buffer.concat(chunks) })
}
