/**
 * A real server with front threads, for tests that must know which of them serves a connection, and that end one of them: a
 * filter names the thread in each answer, and does what the header `x-die` of a request says.
 */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Call, Client } from "../../conformance/client.js"
import { encodeHead, exchangeOn, RawConnection, type RawResponse } from "../../conformance/raw-client.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { NODE_24 } from "../harness/new-node.js"
import { HURRIED_JOBS, withServer, type ServerOptions, type ServerProcess } from "../harness/server.js"
import { until, UNTIL_MS_MAX } from "@hayloft/base/seams/clock/testing-until.js"

/** The kernel spreads connections by a hash of their ports. */
const CONNECTIONS_MAX = 300

/**
 * `hang` and `busy` wait without using the processor, `busy` for longer than the time between two looks at a thread. A thread
 * with a timer does not end by itself.
 */
export const FILTER = `
const { isMainThread, threadId } = require("node:worker_threads")
if (process.env.FILTER_TIMER === "1" && !isMainThread) setInterval(() => undefined, 1000)
const deaths = {
  exit: () => process.exit(1),
  throw: () => void setImmediate(() => { throw new Error("planted") }),
  memory: () => { for (const all = []; ; ) all.push(new Array(10_000).fill(0)) },
  hang: () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  busy: () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6_000),
}
module.exports = ({ withHeaders }) => ({
  name: "deaths",
  handle(exchange, next) {
    const die = deaths[exchange.header("x-die")]
    if (die !== undefined) die()
    return next(withHeaders(exchange, ["x-front", String(threadId)]))
  },
})
`

export type Death = "exit" | "throw" | "memory" | "hang"

/** A connection, and the thread that serves it. */
export interface Pinned {
  readonly front: string
  readonly connection: RawConnection
}

interface FrontedOptions {
  readonly threads: number
  readonly folders?: number
  readonly args?: readonly string[]
  readonly env?: ServerOptions["env"]
  readonly tls?: ServerOptions["tls"]
}

/** The parts of a server that tests of its threads use. */
type FrontedServer = Pick<ServerProcess, "client" | "metrics">

export class FrontedStore<Server extends FrontedServer = ServerProcess> {
  constructor(
    readonly server: Server,
    readonly folders: readonly string[],
    /** The test may put files there. */
    readonly folder: string,
  ) {}

  get client(): Client {
    return this.server.client()
  }

  async open(): Promise<Pinned> {
    const connection = await RawConnection.open(this.client.endpoint)
    const { front } = frontOf(await this.on(connection, "GET", {}))
    return { front, connection }
  }

  /** Connections to this many threads, one to each. */
  async toEach(threads: number): Promise<readonly Pinned[]> {
    const found = new Map<string, Pinned>()
    for (let tried = 0; found.size < threads; tried += 1) {
      assert.ok(tried < CONNECTIONS_MAX, `${found.size} of ${threads} threads serve connections`)
      const each = await this.open()
      if (found.has(each.front)) each.connection.destroy()
      else found.set(each.front, each)
    }
    return [...found.values()]
  }

  /** The same once so many serve. Threads that start need the processor, so it tries one connection at a time. */
  async untilEach(threads: number, isWanted = (_front: string): boolean => true): Promise<readonly Pinned[]> {
    const found = new Map<string, Pinned>()
    await until(`${threads} threads serve`, async () => {
      const each = await this.open().catch(() => undefined)
      if (each === undefined) return false
      if (found.has(each.front) || !isWanted(each.front)) each.connection.destroy()
      else found.set(each.front, each)
      return found.size === threads
    })
    return [...found.values()]
  }

  /** Another connection to the thread. */
  async to(front: string): Promise<RawConnection> {
    for (let tried = 0; tried < CONNECTIONS_MAX; tried += 1) {
      const each = await this.open()
      if (each.front === front) return each.connection
      each.connection.destroy()
    }
    throw new Error(`no connection came to thread ${front}`)
  }

  on(connection: RawConnection, method: string, call: Call): Promise<RawResponse> {
    return exchangeOn(connection, this.client.prepare(method, call).request)
  }

  /** Sends the head of a request, and these first bytes of its body. */
  async begin(connection: RawConnection, method: string, call: Call, sentBytes: number): Promise<void> {
    const { request } = this.client.prepare(method, call)
    await connection.write(encodeHead(request))
    const [body = Buffer.of()] = request.body ?? []
    await connection.write(body.subarray(0, sentBytes))
  }

  /** Ends the thread of the connection. Resolves once the connection is closed. */
  async end(connection: RawConnection, how: Death): Promise<void> {
    await connection.write(encodeHead(this.client.prepare("GET", { headers: { "x-die": how } }).request))
    assert.ok(await connection.waitClosed(UNTIL_MS_MAX), `the thread did not end by ${how}`)
  }

  /** The value of a metric, over all its series whose labels contain the text. */
  async metric(name: string, labels = ""): Promise<number> {
    const lines = (await this.server.metrics()).split("\n")
    const own = lines.filter(line => new RegExp(`^${name}(?:\\{|\\s)`).test(line) && line.includes(labels))
    return own.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0)
  }

  async inFlight(count: number): Promise<void> {
    await until(`${count} requests are in flight`, async () => {
      return (await this.metric("hayloft_http_in_flight", 'server="s3"')) === count
    })
  }
}

export const frontOf = (answer: RawResponse): { readonly front: string } => {
  const front = answer.header("x-front")
  assert.ok(front !== undefined, `${answer.status} ${answer.text}`)
  return { front }
}

/** Runs the work with a store with front threads, whose timers are hurried, and ends it. */
export async function withFronts(
  { threads, folders = 1, args = [], env = {}, tls }: FrontedOptions,
  work: (store: FrontedStore) => Promise<void>,
): Promise<void> {
  await withFolder(async folder => {
    const filter = join(folder, "filter.cjs")
    writeFileSync(filter, FILTER)
    const options = {
      folders: dataFolders(folder, folders),
      args: ["--threads", String(threads), "--filter", filter, ...args],
      env: { ...HURRIED_JOBS, ...env },
      node: NODE_24,
      ...(tls && { tls }),
    }
    await withServer(options, async server => {
      try {
        await work(new FrontedStore(server, options.folders, folder))
      } catch (error) {
        throw new Error(`${String(error)}; log of the server:\n${server.log}`, { cause: error })
      }
    })
  })
}
