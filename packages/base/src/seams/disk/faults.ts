/**
 * Faults, as interceptors: which call is affected, and how. The same ones work with the simulated
 * disk (`SimDisk.intercept`) and any other (`interceptedDisk`).
 *
 * An effect (`fails`, `tears`, `hangs`, …) applies to every call that it receives; `nthOf` and `byChance`
 * select calls, `inTurn` passes each call to several interceptors, and `CallList` records the calls, so that a run can
 * be repeated with any one call failing.
 */
import type { Clock } from "../clock/contract.js"
import type { Random } from "../random/contract.js"
import type { Bend, DiskCall, Intercept } from "./calls.js"
import { failureOfCode } from "./codes.js"
import type { Space } from "./contract.js"
import type { NameChange } from "./medium.js"

/** Kinds of calls; calls that change a name are distinguished by the change. */
export type CallKind = DiskCall["kind"] | NameChange["kind"]

const noSignal = new AbortController().signal

export const kindOfCall = (call: DiskCall): CallKind => (call.kind === "name" ? call.change.kind : call.kind)

export const fails =
  (code: string): Intercept =>
  call => {
    throw failureOfCode(code, call.path)
  }

/** A write leaves its first bytes, then fails; all other calls fail. */
export const tears =
  (keptBytes: number, code: string): Intercept =>
  call => {
    const failure = failureOfCode(code, call.path)
    if (call.kind !== "write") throw failure
    return { torn: { keptBytes: Math.min(keptBytes, lengthOf(call)), failure } }
  }

/** Nothing happens until `healed` resolves, then the call continues; it fails if `healed` rejects. */
export const hangs =
  (healed: Promise<void>): Intercept =>
  () =>
    healed

/** The call takes effect, but returns only once `healed` resolves. */
export const answersLate =
  (healed: Promise<void>): Intercept =>
  () => ({ answered: healed })

export const slowedBy =
  (clock: Clock, durationMs: number): Intercept =>
  () =>
    clock.sleep(durationMs, noSignal)

export const tellsSpace =
  (space: Partial<Space>): Intercept =>
  () => ({ space })

/** Changes the bytes that a read returns; the offset is that in the file. */
export const rots =
  (rot: (bytes: Uint8Array, offsetBytes: number) => void): Intercept =>
  () => ({ rot })

/** A read returns the bytes at an offset this many bytes away. */
export const misdirects =
  (byBytes: number): Intercept =>
  call =>
    call.kind === "read" || call.kind === "readSync"
      ? { offsetBytes: Math.max(0, call.offsetBytes + byBytes) }
      : undefined

interface Which {
  /** One kind or several; every call if absent. */
  readonly kind?: CallKind | readonly CallKind[]
  /** Only paths that contain this. */
  readonly pathPart?: string
}

function isHit({ kind, pathPart = "" }: Which, call: DiskCall): boolean {
  if (!call.path.includes(pathPart)) return false
  if (kind === undefined) return true
  const kinds: readonly CallKind[] = typeof kind === "string" ? [kind] : kind
  return kinds.includes(call.kind) || kinds.includes(kindOfCall(call))
}

interface Nth extends Which {
  /** Counts such calls from 1. */
  readonly nth: number
  /** Every such call from the nth on, not only that one. */
  readonly forEver?: boolean
}

export function nthOf(which: Nth, effect: Intercept): Intercept {
  let seen = 0
  return call => {
    if (!isHit(which, call)) return
    seen += 1
    if (seen === which.nth || (which.forEver === true && seen > which.nth)) return effect(call)
  }
}

interface FaultPlan extends Nth {
  readonly kind: CallKind | readonly CallKind[]
  /** "EIO", "ENOSPC" …: fails as the real disk does for it. */
  readonly code: string
}

/** An interceptor that makes the planned call fail. */
export const failing = (plan: FaultPlan): Intercept => nthOf(plan, fails(plan.code))

interface Chance extends Which {
  /** Affects one such call in this many, at random. */
  readonly oneIn: number
  readonly effect: Intercept
}

/** Random faults from a seed: the same calls in the same order get the same faults. */
export function byChance(random: Random, chances: readonly Chance[]): Intercept {
  return call => {
    for (const chance of chances) {
      if (isHit(chance, call) && random.below(chance.oneIn) === 0) return chance.effect(call)
    }
  }
}

/** All interceptors see each call in order; the first failure wins, and of two changed outcomes the later. */
export function inTurn(...intercepts: readonly Intercept[]): Intercept {
  const rest = async (call: DiskCall, from: number, bend: Bend, waitFor: Promise<Bend | void>): Promise<Bend> => {
    let bent: Bend = { ...bend, ...(await waitFor) }
    for (const intercept of intercepts.slice(from)) bent = { ...bent, ...(await intercept(call)) }
    return bent
  }
  return call => {
    let bent: Bend | undefined
    for (const [at, intercept] of intercepts.entries()) {
      const verdict = intercept(call)
      if (verdict instanceof Promise) return rest(call, at + 1, bent ?? {}, verdict)
      if (verdict) bent = { ...bent, ...verdict }
    }
    return bent
  }
}

/** The calls, in order. */
export class CallList {
  readonly calls: { readonly kind: CallKind; readonly path: string }[] = []

  constructor(private readonly which: Which = {}) {}

  readonly intercept: Intercept = call => {
    if (isHit(this.which, call)) this.calls.push({ kind: kindOfCall(call), path: call.path })
  }
}

function lengthOf(call: DiskCall & { readonly kind: "write" }): number {
  return call.change.kind === "write" ? call.change.bytes.length : 0
}
