/** Every limit of the HTTP server, in one place; tests shrink them. */
import { KIB, MIB } from "@hayloft/base/limits.js"
import { partOf } from "@hayloft/base/text/round.js"

export interface HttpLimits {
  /** Request line and headers; larger ones are answered 431. */
  readonly headerBytesMax: number
  /** From the start of a connection or request until its headers are complete. */
  readonly headersTimeoutMs: number
  /** Longer than the 60 s after which most clients and proxies drop an idle connection themselves. */
  readonly keepAliveMs: number
  /** Slowest rate at which a client may send or receive a body while the server waits for it. */
  readonly bytesPerSecondMin: number
  /** The rate of a sender is checked after the server has waited this long for it in total. */
  readonly sendWindowMs: number
  /** A receiver may pause longer, as media players do. */
  readonly receiveWindowMs: number
  /** After an early refusal, how much more the server reads, so that the client gets to read the response. */
  readonly drainBytesMax: number
  readonly drainMs: number
  /** After a client has ended its side, until its response begins; then it counts as gone, as most that do so are. */
  readonly halfClosedMs: number
  readonly streamBufferBytes: number
  /** Over this limit a connection's first request is answered 503. */
  readonly connectionsMax: number
  /** Further connections, accepted only to be answered 503; beyond them connections are dropped. */
  readonly connectionsReserve: number
  /**
   * Connections that the system queues until they are accepted, within its own limit (`net.core.somaxconn`). Further
   * ones are not answered, and their clients retry after 1, 3, 7 and 15 seconds.
   */
  readonly acceptsWaitingMax: number
  /** Requests served concurrently; more wait for a place. */
  readonly inFlightMax: number
  /** Further places, for accounts and addresses with fewer than `reserveOfEach`: no single client can fill them. */
  readonly inFlightReserve: number
  readonly reserveOfEach: number
  /**
   * While others wait for a place, a request whose client neither sends nor receives its next bytes within this time
   * gives its place back, and takes it again when it does. The limit on connections bounds the number of such requests.
   */
  readonly parkAfterMs: number
  /**
   * Requests that wait for a place; more are refused immediately, first those of the account that has most of them, and
   * of its address that has most.
   * Each may hold up to 128 KiB of its body.
   */
  readonly waitingMax: number
  /** A request that has waited this long is refused. */
  readonly admissionWaitMs: number
  /** A request that waits for what does not answer (`HttpServerSettings.stalled`) is refused after this time. */
  readonly stalledAnswerMs: number
  /** An answer that has begun, and whose next bytes wait for that, is broken off after this time. */
  readonly stalledBodyMs: number
  /** Such requests whose work has not ended; while there are so many, further ones are refused when they arrive. */
  readonly stalledMax: number
  /** Interval of checks for slow bodies, drains and changed certificates. */
  readonly sweepMs: number
  /** Time for requests in flight to finish when the server stops. */
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
  halfClosedMs: 10_000,
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
  stalledAnswerMs: 5_000,
  stalledBodyMs: 60_000,
  stalledMax: 256,
  sweepMs: 1_000,
  stopMs: 30_000,
}

/** The least places of an account, and of those in reserve, in one of several threads. */
const RESERVE_MIN = 8

/**
 * The limits of each port of a process. The connections of all ports take at most half of the open files, so that clients
 * leave the store those that it needs. `openFilesMax`: the limit of open files and sockets; undefined if the system does not tell.
 */
export function limitsOfFiles(limits: HttpLimits, openFilesMax: number | undefined, ports: number): HttpLimits {
  if (openFilesMax === undefined) return limits
  const each = Math.max(2, Math.floor(openFilesMax / 2 / ports))
  const connectionsReserve = Math.min(limits.connectionsReserve, Math.ceil(each / 8))
  return { ...limits, connectionsReserve, connectionsMax: Math.min(limits.connectionsMax, each - connectionsReserve) }
}

/** The limit of open files from which on `limitsOfFiles` lowers nothing. */
export const openFilesFor = ({ connectionsMax, connectionsReserve }: HttpLimits, ports: number): number =>
  2 * ports * (connectionsMax + connectionsReserve)

/** The limits of one of so many threads that share the ports: those of counts are divided, those of one request are not. */
export function limitsOfThread(limits: HttpLimits, threads: number): HttpLimits {
  const part = (max: number, least?: number): number => partOf(max, 1 / threads, least)
  return {
    ...limits,
    connectionsMax: part(limits.connectionsMax),
    connectionsReserve: part(limits.connectionsReserve),
    inFlightMax: part(limits.inFlightMax),
    inFlightReserve: part(limits.inFlightReserve, RESERVE_MIN),
    reserveOfEach: part(limits.reserveOfEach),
    waitingMax: part(limits.waitingMax),
    stalledMax: part(limits.stalledMax),
  }
}
