/**
 * A model of a busy server, in virtual time: one thread that runs an event loop (timers, arrivals, ends of turns), the
 * real admission, and clients that send their next request when the last one was answered. Costs are those of the
 * real server's thread on a machine with two cores, rounded.
 */
import { must } from "@hayloft/base/assert.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { Admission } from "./admission.js"
import { HTTP_LIMITS } from "./limits.js"

/** The cost of a kind of request to the thread, and what the request waits for. */
interface Kind {
  readonly method: string
  readonly receivedBytes: number
  readonly sentBytes: number
  /** The part that runs when the request begins. */
  readonly beginMs: number
  /** It then asks for a turn, to occupy the thread for so long. */
  readonly turnMs?: number
  /** Each piece of the body that arrives. */
  readonly pieces: number
  readonly pieceMs: number
  /** After its beginning it waits for so long until its account is proved, as with a database. */
  readonly provedAfterMs: number | undefined
  /** It waits for a commit, after which it costs this. */
  readonly afterCommitMs: number | undefined
}

const KIB = 1024
const SMALL = {
  receivedBytes: 0,
  sentBytes: 0,
  pieces: 0,
  pieceMs: 0,
  provedAfterMs: undefined,
  afterCommitMs: undefined,
}
export const KINDS = {
  smallGet: { ...SMALL, method: "GET", sentBytes: 4 * KIB, beginMs: 0.06 },
  smallPut: { ...SMALL, method: "PUT", receivedBytes: 4 * KIB, beginMs: 0.1, afterCommitMs: 0.05 },
  largePut: {
    method: "PUT",
    receivedBytes: 1024 * KIB,
    sentBytes: 0,
    beginMs: 0.1,
    pieces: 16,
    pieceMs: 0.06,
    provedAfterMs: undefined,
    afterCommitMs: 0.2,
  },
  listing: { ...SMALL, method: "GET", sentBytes: 100 * KIB, beginMs: 0.1, turnMs: 1.4 },
  /** A listing by prefixes: many keys are read, few are shown. */
  scan: { ...SMALL, method: "GET", sentBytes: 2 * KIB, beginMs: 0.1, turnMs: 2 },
  provedLate: { ...SMALL, method: "GET", sentBytes: 4 * KIB, beginMs: 0.3, provedAfterMs: 1 },
} as const satisfies Record<string, Kind>

const HEAD_MS = 0.012
const TURN_MS = 0.01
const CLIENT_MS = 0.08
const COMMIT_MS = 1.5

/** The clock of the model: time passes while the thread works, or until the next event if it has nothing to do. */
class LoopClock implements Clock {
  nowMs = 0
  private number = 0
  private events: { readonly atMs: number; readonly number: number; readonly call: () => void }[] = []
  private ends: (() => void)[] = []

  wallMs(): number {
    return this.nowMs
  }

  monotonicMs(): number {
    return this.nowMs
  }

  sleep(): Promise<void> {
    throw new Error("nothing sleeps in this model")
  }

  alarm(durationMs: number, ring: () => void): () => void {
    const event = { atMs: this.nowMs + durationMs, number: (this.number += 1), call: ring }
    const at = this.events.findLastIndex(({ atMs }) => atMs <= event.atMs)
    this.events.splice(at + 1, 0, event)
    return () => void (this.events = this.events.filter(each => each !== event))
  }

  atEndOfTurn(call: () => void): void {
    this.ends.push(call)
  }

  work(durationMs: number): void {
    this.nowMs += durationMs
  }

  /** One turn: all that has arrived by its beginning, then the calls for its end. */
  turn(): void {
    const [first] = this.events
    if (this.ends.length === 0) this.nowMs = Math.max(this.nowMs, must(first, "something will happen").atMs)
    this.work(TURN_MS)
    const untilMs = this.nowMs
    for (let next = this.events[0]; next !== undefined && next.atMs <= untilMs; next = this.events[0]) {
      this.events.shift()
      next.call()
    }
    for (const call of this.ends.splice(0)) call()
  }
}

type Entry = Parameters<Admission["wait"]>[0]

export interface Load {
  readonly account: string | undefined
  /** Default: one for each account. */
  readonly address?: string
  readonly connections: number
  readonly kinds: readonly Kind[]
  /** Its signatures are wrong, and its claims false. */
  readonly isFalse?: boolean
}

export interface Served {
  readonly perSecond: number
  readonly p99Ms: number
}

export type Admit = (clock: Clock) => Admission

/** The number of places has adapted by then. */
const WARM_MS = 3_000

/** Serves the loads together; the results of each, without those of the first seconds. */
export function serveLoads(
  loads: readonly Load[],
  seconds: number,
  admit: Admit = clock => new Admission(clock, HTTP_LIMITS),
): readonly Served[] {
  const clock = new LoopClock()
  const admission = admit(clock)
  const latencies = loads.map((): number[] => [])
  let committing: (() => void)[] | undefined
  const commit = (then: () => void): void => {
    if (committing !== undefined) return void committing.push(then)
    committing = [then]
    // The callers that come before the commit begins share it.
    clock.atEndOfTurn(() => {
      const members = must(committing, "a commit begins")
      committing = undefined
      clock.alarm(COMMIT_MS, () => {
        for (const member of members) member()
      })
    })
  }
  for (const [i, load] of loads.entries()) {
    for (let connection = 0; connection < load.connections; connection += 1) {
      const send = (count: number): void => {
        const kind = must(load.kinds[(count + connection) % load.kinds.length], "a load has kinds")
        const sentMs = clock.nowMs
        const again = (): void => {
          if (sentMs > WARM_MS) latencies[i]?.push(clock.nowMs - sentMs)
          clock.alarm(CLIENT_MS, () => send(count + 1))
        }
        arrive(clock, admission, load, kind, commit, again)
      }
      clock.alarm(connection * 0.01, () => send(0))
    }
  }
  while (clock.nowMs < seconds * 1_000) clock.turn()
  return latencies.map(each => ({ perSecond: each.length / (seconds - WARM_MS / 1_000), p99Ms: p99Of(each) }))
}

function arrive(
  clock: LoopClock,
  admission: Admission,
  { account, address = account ?? "", isFalse = false }: Load,
  kind: Kind,
  commit: (then: () => void) => void,
  done: () => void,
): void {
  const entry: Entry & { isProved: boolean; isDenied: boolean } = {
    hasPlace: false,
    party: undefined,
    isParked: false,
    isProved: false,
    isDenied: false,
    method: kind.method,
    receivedBytes: kind.receivedBytes,
    sentBytes: kind.sentBytes,
    owedMs: 0,
  }
  const end = (): void => {
    admission.leave(entry)
    done()
  }
  const pieces = (left: number): void => {
    if (left > 0) {
      clock.alarm(CLIENT_MS, () => {
        clock.work(kind.pieceMs)
        pieces(left - 1)
      })
    } else if (kind.afterCommitMs === undefined) end()
    else {
      const afterMs = kind.afterCommitMs
      commit(() => {
        clock.work(afterMs)
        end()
      })
    }
  }
  const begin = (): void => {
    clock.work(kind.beginMs)
    if (isFalse) {
      entry.isDenied = true
      return end()
    }
    const occupy = (): void => {
      clock.work(kind.turnMs ?? 0)
      pieces(kind.pieces)
    }
    const proved = (): void => {
      entry.isProved = true
      if (kind.turnMs === undefined) pieces(kind.pieces)
      else if (admission.tryTurn(entry, () => ({ account, address }), occupy)) occupy()
    }
    if (kind.provedAfterMs === undefined) proved()
    else clock.alarm(kind.provedAfterMs, proved)
  }
  clock.work(HEAD_MS)
  if (admission.tryEnter(entry, () => ({ account, address }))) begin()
  else admission.wait(entry, refusal => (refusal === undefined ? begin() : done()))
}

function p99Of(latencies: readonly number[]): number {
  const sorted = [...latencies].sort((a, b) => a - b)
  return sorted[Math.floor(0.99 * (sorted.length - 1))] ?? Infinity
}
