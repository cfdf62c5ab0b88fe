/** Every limit of the HTTP server, in one place; tests shrink them. */
import { KIB, MIB } from "../base/limits.js"

export interface HttpLimits {
  /** Request line and headers; over it 431. */
  readonly headerBytesMax: number
  /** From the first moment of a connection or request until its headers are there. */
  readonly headersTimeoutMs: number
  /** Longer than the 60 s after which clients and proxies usually drop an idle connection themselves. */
  readonly keepAliveMs: number
  /** Slowest rate that a client may send or take a body with, while we wait for it. */
  readonly bytesPerSecondMin: number
  /** A sender is judged after waiting this long for it in all. */
  readonly sendWindowMs: number
  /** A receiver may pause longer: players of media do. */
  readonly receiveWindowMs: number
  /** After an early refusal, what is still taken from the client so that it reads our answer. */
  readonly drainBytesMax: number
  readonly drainMs: number
  readonly streamBufferBytes: number
  /** Over it a connection's first request is answered 503. */
  readonly connectionsMax: number
  /** Above `connectionsMax`: as many more are accepted, to be told so; beyond them connections are dropped. */
  readonly connectionsReserve: number
  /**
   * Connections that the system keeps until they are accepted; it has a limit of its own (`net.core.somaxconn`). Those
   * beyond are not answered, and their clients try again after 1, 3, 7 and 15 seconds.
   */
  readonly acceptsWaitingMax: number
  /** Requests served at once; more wait for a place. */
  readonly inFlightMax: number
  /** Places besides those, for accounts and addresses that have fewer than `reserveOfEach`: nobody's requests fill them. */
  readonly inFlightReserve: number
  readonly reserveOfEach: number
  /**
   * While others wait for a place, a request gives its own back when the next bytes of its body have not come for so
   * long, and takes it again when they do. Such requests are bounded by the connections.
   */
  readonly parkAfterMs: number
  /** Requests that wait for a place; more are refused at once, first those of whoever has the most. Each may hold what has come of its body, 128 KiB at most. */
  readonly waitingMax: number
  /** Whoever has waited for so long is refused. */
  readonly admissionWaitMs: number
  /** How often slow bodies, drains and certificates are looked at. */
  readonly sweepMs: number
  /** On stopping: time for requests in flight. */
  readonly stopMs: number
}

export const HTTP_LIMITS: HttpLimits = {
  headerBytesMax: 16 * KIB,
  headersTimeoutMs: 10_000,
  keepAliveMs: 75_000,
  bytesPerSecondMin: 1 * KIB,
  sendWindowMs: 20_000,
  receiveWindowMs: 60_000,
  drainBytesMax: 16 * MIB,
  drainMs: 3_000,
  streamBufferBytes: 128 * KIB,
  connectionsMax: 10_000,
  connectionsReserve: 256,
  acceptsWaitingMax: 4_096,
  inFlightMax: 1_024,
  inFlightReserve: 256,
  reserveOfEach: 8,
  parkAfterMs: 200,
  waitingMax: 4_096,
  admissionWaitMs: 1_000,
  sweepMs: 1_000,
  stopMs: 30_000,
}
