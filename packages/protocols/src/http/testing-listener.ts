/** A server for tests of this module, and clients that send arbitrary bytes to it. */
import { Socket } from "node:net"
import { assert } from "@hayloft/base/assert.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { until as untilSo } from "@hayloft/base/seams/clock/testing-until.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { fail } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import type { Admission } from "./admission.js"
import type { Exchange, Protocol, Refusal } from "./contract.js"
import { HTTP_LIMITS } from "./limits.js"
import type { HttpLimits } from "./limits.js"
import { RawClient } from "./testing-raw-client.js"
import { HttpServer, type HttpServerSettings } from "./listener.js"

const text = (bytes: string) => new TextEncoder().encode(bytes)
const clock = new RealClock()
const never = new AbortController().signal
export const pause = (durationMs: number) => clock.sleep(durationMs, never)

const LOOK_MS = 2

/** Some of these conditions hold for a moment only. */
export const until = (what: string, isSo: () => boolean | Promise<boolean>): Promise<void> =>
  untilSo(what, isSo, LOOK_MS)

const STILL_LOOKS = 10
const STILL_LOOK_MS = 20

/** Waits until a number no longer changes, and returns it. */
export async function still(valueOf: () => number): Promise<number> {
  let [value, checks] = [valueOf(), 0]
  for (; checks < STILL_LOOKS; await pause(STILL_LOOK_MS)) {
    const now = valueOf()
    checks = now === value ? checks + 1 : 0
    value = now
  }
  return value
}

const STATUS: Partial<Record<FailureKind, number>> = {
  tooManyInFlight: 503,
  stopping: 503,
  internal: 500,
  accessDenied: 403,
}

/** The socket in a message on `net.server.socket`. */
export function socketOf(message: unknown): Socket {
  assert(typeof message === "object" && message !== null && "socket" in message, "an accepted connection is told")
  assert(message.socket instanceof Socket, "with its socket")
  return message.socket
}

interface World {
  readonly port: number
  readonly telemetry: SimTelemetry
  readonly open: () => Promise<RawClient>
  readonly stop: () => Promise<void>
  /** Requests that are still in flight while it stops are cut. */
  readonly cut: () => void
}

const worlds: World[] = []

/** After the tests of a file. */
export async function stopAll(): Promise<void> {
  for (const world of worlds) await world.stop()
}

/** A server with this handler, on its own port. On a simulated clock, time passes until it has stopped. */
export async function serve(
  handle: Protocol["handle"],
  limits: Partial<HttpLimits> = {},
  by: Clock = clock,
  {
    stalled,
    yieldMs = 0,
    ...more
  }: Pick<Protocol, "accountOf" | "stop"> & Pick<HttpServerSettings, "stalled" | "yieldMs"> = {},
  admission?: Admission,
): Promise<World> {
  const telemetry = new SimTelemetry()
  const protocol = {
    handle,
    ...more,
    refuse: ({ failure, status, requestId }: Refusal) => ({
      status: status ?? STATUS[failure.kind] ?? 400,
      headers: ["X-Id", requestId],
      body: text(failure.kind),
    }),
  }
  const cut = new AbortController()
  const settings = {
    cut: cut.signal,
    ...(stalled && { stalled }),
    yieldMs,
    name: "test",
    host: "127.0.0.1",
    port: 0,
    serverHeader: "Hayloft",
    // These limits exceed the deadline of the test clients: only the tested limit ends a connection.
    limits: {
      ...HTTP_LIMITS,
      sweepMs: 20,
      stopMs: 2000,
      inFlightReserve: 0,
      headersTimeoutMs: 60_000,
      sendWindowMs: 60_000,
      ...limits,
    },
  }
  const seams = { clock: by, random: new RealRandom(), telemetry }
  const server = new HttpServer(seams, protocol, settings, undefined, admission)
  const { port } = await server.listen()
  const stopping = new AbortController()
  const running = server.run(stopping.signal)
  const clients: RawClient[] = []
  const world = {
    port,
    telemetry,
    open: async () => {
      const client = await RawClient.open(port)
      clients.push(client)
      return client
    },
    cut: () => cut.abort(),
    stop: async () => {
      for (const client of clients) client.close()
      stopping.abort()
      await (by instanceof SimClock ? by.runUntil(running) : running)
    },
  }
  worlds.push(world)
  return world
}

async function readAll(exchange: Exchange): Promise<number> {
  let bytes = 0
  for await (const piece of exchange.body()) bytes += piece.length
  return bytes
}

/** Refuses with 403 for `/refuse`, otherwise reads the body and returns its length. */
export async function echoLength(exchange: Exchange): Promise<void> {
  if (exchange.rawTarget.startsWith("/refuse")) throw fail("accessDenied")
  const bytes = await readAll(exchange)
  await exchange.respond({ status: 200, headers: ["X-Id", exchange.requestId], body: text(`read ${bytes}`) })
}
