/**
 * Random histories of remote buckets, compared with a model.
 *
 * Each object is a register: a read gets what a write, or removal, has left that was not certainly overwritten before the read began.
 * A write that fails has happened, until it failed, or it has not. In the end, with the remote up and nothing pending, reads and
 * listings get what the remote has.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { RemoteSetting } from "./contract.js"
import { REMOTE_LIMITS } from "./limits.js"
import { unavailable } from "./testing-origin.js"
import { ended, fromTo, RemoteScene } from "./testing-remotes.js"

/** Small objects have several blocks. */
const BLOCK_BYTES = 64

const KEYS = ["a", "b", "d/x"] as const
/** The runs of each property. */
const RUNS = runsOf(5)
type Key = (typeof KEYS)[number]
type Value = string | undefined

interface ReadOp {
  readonly kind: "read"
  readonly key: Key
  readonly range: { readonly first: number; readonly lengthBytes: number } | undefined
  readonly revalidates: boolean
  readonly headersOnly: boolean
}

type Op =
  | ReadOp
  | { readonly kind: "write"; readonly key: Key; readonly sizeBytes: number }
  | { readonly kind: "remove" | "evict"; readonly key: Key }
  /** Another client of the remote writes; the object is compared with the remote's afterwards. */
  | { readonly kind: "far"; readonly key: Key; readonly sizeBytes: number | undefined }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "list" | "sweep" | "round" | "down" | "up" | "restart" }

/** A change of an object. `end`: Infinity while it goes on. */
interface Change {
  readonly value: Value
  readonly start: number
  end: number
  isAcknowledged: boolean
}

interface Plan {
  readonly setting: Partial<RemoteSetting>
  readonly cacheBytesMax: number
  readonly seed: number
  /** The remote loses requests, and answers, now and then. */
  readonly hasFaults: boolean
  /** Operations of a track follow each other; tracks run at the same time. */
  readonly tracks: readonly (readonly Op[])[]
}

/** The failures that an operation may have, apart from those that say something about the object. */
const ALONE: readonly FailureKind[] = ["remoteUnavailable"]
const AMONG_OTHERS: readonly FailureKind[] = [...ALONE, "conflict", "preconditionFailed"]

class History {
  private tick = 0
  private written = 0
  private readonly changes = new Map<Key, Change[]>(KEYS.map(key => [key, [{ ...START, end: -1 }]]))
  private readonly tolerated: readonly FailureKind[]
  private readonly random: SimRandom
  private rounds: Promise<void> = Promise.resolve()
  /** Objects that another client has changed, and that were not compared since. */
  private readonly uncertain = new Set<Key>()

  constructor(
    private readonly scene: RemoteScene,
    private readonly plan: Plan,
  ) {
    this.tolerated = plan.tracks.length > 1 ? AMONG_OTHERS : ALONE
    this.random = new SimRandom(plan.seed)
    const { origin } = scene
    // Others come between decisions about one object, too.
    if (plan.tracks.length > 1) scene.world.tablet.before = () => this.pause(2)
    origin.before = () => this.meddle(10)
    origin.after = () => this.meddle(5)
  }

  /** Requests take a while, if there are others at the same time: some span whole operations. They get lost, one of `lost`. */
  private async meddle(lost: number): Promise<void> {
    if (this.plan.tracks.length > 1) await this.pause(this.random.below(4) === 0 ? 60 : 3)
    if (this.plan.hasFaults && this.random.below(lost) === 0) throw unavailable()
  }

  private pause(below: number): Promise<void> {
    return this.scene.world.clock.sleep(this.random.below(below), new AbortController().signal)
  }

  private changesOf(key: Key): Change[] {
    return this.changes.get(key) ?? []
  }

  /** Long, so that no slice of it is one of another value. */
  private newValue(sizeBytes: number): string {
    this.written += 1
    return `${this.written}|`.repeat(sizeBytes).slice(0, sizeBytes)
  }

  async run(ops: readonly Op[], isAlone: boolean): Promise<void> {
    for (const op of ops) {
      if (!isAlone) await this.pause(3)
      await this.runOne(op)
    }
  }

  private async runOne(op: Op): Promise<void> {
    const { scene } = this
    const { origin, remotes } = scene
    const signal = new AbortController().signal
    if (op.kind === "read") return this.read(op)
    if (op.kind === "write") {
      const value = this.newValue(op.sizeBytes)
      return this.change(op.key, value, () => scene.writing(op.key, value))
    }
    if (op.kind === "remove") return this.change(op.key, undefined, () => scene.removing(op.key))
    if (op.kind === "far") return this.changeFar(op.key, op.sizeBytes)
    if (op.kind === "evict") return remotes.evict(scene.bucket, scene.keyOf(op.key))
    if (op.kind === "wait") return scene.world.clock.sleep(op.ms, signal)
    if (op.kind === "list") return this.list()
    if (op.kind === "sweep") return scene.sweeping()
    if (op.kind === "round") return this.round()
    if (op.kind === "restart") return scene.restart()
    origin.isUnavailable = op.kind === "down"
  }

  /** One process sends pending writes, one round after the other. */
  private round(): Promise<void> {
    this.rounds = this.rounds.then(() => this.scene.rounding())
    return this.rounds
  }

  private async change(key: Key, value: Value, work: () => Promise<unknown>): Promise<void> {
    const change: Change = { value, start: (this.tick += 1), end: Infinity, isAcknowledged: false }
    this.changesOf(key).push(change)
    const end = await ended(work())
    if ("error" in end) this.checkTolerated(end.error)
    change.end = this.tick += 1
    change.isAcknowledged = "value" in end
  }

  private async changeFar(key: Key, sizeBytes: number | undefined): Promise<void> {
    const value = sizeBytes === undefined ? undefined : this.newValue(sizeBytes)
    const start = (this.tick += 1)
    if (value === undefined) this.scene.farRemove(key)
    else this.scene.far(key, value)
    // Only a reader that compares makes it certain.
    const change: Change = { value, start, end: this.tick, isAcknowledged: false }
    this.changesOf(key).push(change)
    this.uncertain.add(key)
    await this.read({ kind: "read", key, range: undefined, revalidates: true, headersOnly: false }, change)
  }

  private checkTolerated(error: unknown): void {
    const isTolerated = isFailure(error, ...this.tolerated)
    assert.ok(isTolerated && (this.plan.hasFaults || error.kind !== "remoteUnavailable"), String(error))
  }

  private async read(op: ReadOp, certain?: Change): Promise<void> {
    const { key, range, revalidates, headersOnly } = op
    const start = (this.tick += 1)
    const asked = range && fromTo(range.first, range.first + range.lengthBytes - 1)
    const end = await ended(this.scene.reading(key, { range: asked, revalidates, headersOnly }))
    const stop = (this.tick += 1)
    if ("error" in end && !isFailure(end.error, "noSuchKey", "invalidRange")) return this.checkTolerated(end.error)
    if (certain !== undefined) certain.isAcknowledged = true
    if (revalidates) this.uncertain.delete(key)
    const fits = (value: Value): boolean => {
      if ("error" in end) {
        if (isFailure(end.error, "noSuchKey")) return value === undefined
        return value !== undefined && value.length <= (range?.first ?? 0)
      }
      if (value === undefined) return false
      const { text, sizeBytes } = end.value
      if (headersOnly) return value.length === sizeBytes
      return text === (range === undefined ? value : value.slice(range.first, range.first + range.lengthBytes))
    }
    const got = "error" in end ? String(end.error) : `${end.value.text} (${end.value.outcome})`
    this.check(key, start, stop, fits, `${JSON.stringify(op)} got ${got}`)
  }

  private async list(): Promise<void> {
    const start = (this.tick += 1)
    const end = await ended(this.scene.listing())
    const stop = (this.tick += 1)
    if ("error" in end) return this.checkTolerated(end.error)
    const found: ReadonlySet<string> = new Set(
      end.value.entries.map(entry => (entry.kind === "object" ? String(entry.object.key) : "")),
    )
    for (const key of KEYS)
      this.check(
        key,
        start,
        stop,
        value => (value !== undefined) === found.has(key),
        `${key} listed: ${found.has(key)}`,
      )
  }

  private check(key: Key, start: number, stop: number, fits: (value: Value) => boolean, what: string): void {
    const changes = this.changesOf(key)
    const acknowledged = changes.filter(change => change.isAcknowledged && change.end < start)
    const possible = changes.filter(
      change => change.start < stop && !acknowledged.some(later => later.start > change.end),
    )
    const shown = possible.map(({ value }) => value ?? "(nothing)").join(", ")
    assert.ok(
      possible.some(({ value }) => fits(value)),
      `${what}; possible: ${shown}`,
    )
  }

  /** The remote is up, all operations have ended, and what was pending is sent. */
  async finish(): Promise<void> {
    const { scene } = this
    const { origin } = scene
    scene.world.tablet.before = () => undefined
    origin.before = origin.after = () => undefined
    origin.isUnavailable = false
    if (scene.setting.writes === "Back") {
      for (const key of KEYS) await scene.run(this.read(whole(key)))
      await scene.run(this.list())
      for (let rounds = 0; rounds < 2; rounds += 1) {
        await scene.advance(REMOTE_LIMITS.retryMostMs)
        await scene.round()
      }
    }
    assert.deepEqual([await scene.pending(), await scene.versions()], [[], 0])
    for (const key of KEYS) {
      await scene.run(this.read({ ...whole(key), revalidates: this.uncertain.has(key) }))
      const end = await scene.run(ended(scene.reading(key)))
      assert.equal("value" in end ? end.value.text : undefined, scene.farText(key), `${key} in the end`)
    }
    await scene.run(this.list())
  }
}

const START = { value: undefined, start: -1, isAcknowledged: true } as const
const whole = (key: Key): ReadOp => ({ kind: "read", key, range: undefined, revalidates: false, headersOnly: false })

async function runPlan(plan: Plan): Promise<void> {
  const scene = await RemoteScene.open(plan.setting, plan.cacheBytesMax, BLOCK_BYTES)
  const history = new History(scene, plan)
  const isAlone = plan.tracks.length === 1
  await scene.run(Promise.all(plan.tracks.map(ops => history.run(ops, isAlone))))
  await history.finish()
}

const key = fc.constantFrom(...KEYS)
/** The key of operations at the same time. */
const hotKey = fc.constantFrom<Key>("a", "a", "a", "a", "a", "b")
const size = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(0, 63, 64, 65, 128, 200))
const range = fc.option(
  fc.record({ first: fc.integer({ min: 0, max: 140 }), lengthBytes: fc.integer({ min: 1, max: 140 }) }),
  { nil: undefined },
)

const opsOf = (keys: fc.Arbitrary<Key>) => {
  const read = fc
    .record({
      key: keys,
      range,
      revalidates: fc.constantFrom(false, false, true),
      headersOnly: fc.constantFrom(false, false, false, true),
    })
    .map((asked): Op => ({ kind: "read", ...asked }))
  const write = fc.record({ key: keys, sizeBytes: size }).map((asked): Op => ({ kind: "write", ...asked }))
  const change = fc.tuple(fc.constantFrom("remove", "evict"), keys).map(([kind, of]): Op => ({ kind, key: of }))
  const rest = fc.constantFrom("list", "sweep", "round", "round", "restart").map((kind): Op => ({ kind }))
  const wait = fc.constantFrom(1, 10, 70_000, 2 * 3_600_000).map((ms): Op => ({ kind: "wait", ms }))
  const fault = fc.constantFrom("down", "up", "up").map((kind): Op => ({ kind }))
  const far = fc
    .record({ key: keys, sizeBytes: fc.option(size, { nil: undefined }) })
    .map((asked): Op => ({ kind: "far", ...asked }))
  return { read, write, change, rest, wait, fault, far }
}

const limits = fc.constantFrom(0, 24 * KIB, 1024 * KIB, 1024 * KIB)
const seed = fc.integer({ min: 0, max: 1_000_000 })
const freshness = fc.constantFrom<RemoteSetting["freshness"]>(
  { check: "Never" },
  { check: "Always" },
  { check: "Age", maxAgeSeconds: 60 },
)

function alone(writes: "Through" | "Back", hasFaults: boolean): fc.Arbitrary<Plan> {
  const { read, write, change, rest, wait, fault, far } = opsOf(key)
  const ops = [
    read,
    read,
    write,
    write,
    change,
    rest,
    wait,
    ...(hasFaults ? [fault] : []),
    ...(writes === "Through" ? [far] : []),
  ]
  return fc.record({
    setting: writes === "Through" ? fc.constant({ writes }) : fc.record({ writes: fc.constant(writes), freshness }),
    cacheBytesMax: limits,
    seed,
    hasFaults: fc.constant(hasFaults),
    tracks: fc.array(fc.oneof(...ops), { minLength: 1, maxLength: 30 }).map(track => [track]),
  })
}

function together(writes: "Through" | "Back", hasFaults: boolean): fc.Arbitrary<Plan> {
  const { read, write, change, rest, wait, fault } = opsOf(hotKey)
  const evict = hotKey.map((of): Op => ({ kind: "evict", key: of }))
  const send = fc.constantFrom("round", "list").map((kind): Op => ({ kind }))
  const single = fc.oneof(read, read, write, change, send, rest, wait, ...(hasFaults ? [fault] : [])).map(op => [op])
  // Operations that are likely to matter in a row.
  const rows = [fc.tuple(write, evict, read), fc.tuple(read, evict, read), fc.tuple(write, send, read)]
  const track = fc.array(fc.oneof(single, single, ...rows), { minLength: 1, maxLength: 4 }).map(ops => ops.flat())
  return fc.record({
    setting: fc.constant({ writes }),
    cacheBytesMax: limits,
    seed,
    hasFaults: fc.constant(hasFaults),
    tracks: fc.array(track, { minLength: 3, maxLength: 3 }),
  })
}

const check = (plans: fc.Arbitrary<Plan>, numRuns: number) =>
  fc.assert(fc.asyncProperty(plans, runPlan), { numRuns, includeErrorInReport: true })

for (const writes of ["Through", "Back"] as const)
  for (const hasFaults of [false, true]) {
    const faults = hasFaults ? ", with faults" : ""
    test(`${writes}: operations one after the other${faults}`, () => check(alone(writes, hasFaults), RUNS))
    test(`${writes}: three operations at the same time${faults}`, () => check(together(writes, hasFaults), 2 * RUNS))
  }
