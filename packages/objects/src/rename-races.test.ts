/**
 * Renames among other requests, and processes that end in the middle of one: at each moment an object has one name.
 *
 * Clients rename two keys to and fro while others put, delete, read and list them. A history is right if some order of its
 * requests, in which none comes before one that had ended when it began, explains every answer (Herlihy and Wing,
 * "Linearizability", 1990).
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { ALL_OBJECT_ROWS } from "./queries/extent-rows.js"
import { Lifecycle } from "@hayloft/features/lifecycle/lifecycle-job.js"
import { STORE_DAYS } from "./days.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"
import { isExplained, type Request } from "./testing-orders.js"
import { plainUpload, sourceOf } from "./bodies/testing-bodies.js"

const ROUNDS_MAX = 5
const CLIENTS = 8
const REQUESTS_OF_EACH = 5
type Key = "a" | "b"
const otherKey = (key: Key): Key => (key === "a" ? "b" : "a")

/** The values of the keys: a number that no other body has, and 0 where nothing is. */
type State = Readonly<Record<Key, number>>

/** A number is the length of its body: small ones are stored with the row, large ones in blocks. */
const lengthOf = (value: number): number => (value % 3 === 0 ? value : 70_000 + value)
const valueOf = (lengthBytes: number): number => lengthBytes % 70_000

class Clients {
  readonly history: Request<State>[] = []
  private moment = 0
  private value = 0

  constructor(
    private readonly world: World,
    private readonly random: Random,
  ) {}

  async run(): Promise<void> {
    for (let request = 0; request < REQUESTS_OF_EACH; request += 1) {
      await this.note(() => this.request())
      await this.world.clock.sleep(this.random.below(3), noSignal)
    }
  }

  /** Notes what is there in the end, with its bytes. */
  async look(): Promise<void> {
    await this.note(() => this.list())
    for (const key of ["a", "b"] as const) await this.note(() => this.read(key))
  }

  private async note(ask: () => Promise<Pick<Request<State>, "name" | "apply">>): Promise<void> {
    const began = (this.moment += 1)
    const { name, apply } = await ask()
    this.history.push({ name, apply, began, ended: (this.moment += 1) })
  }

  private async request(): Promise<Pick<Request<State>, "name" | "apply">> {
    const key = this.random.below(2) === 0 ? "a" : "b"
    const kind = this.random.below(8)
    if (kind < 2) return this.put(key)
    if (kind === 2) return this.remove(key)
    if (kind === 3) return this.read(key)
    return kind === 4 ? this.list() : this.rename(key)
  }

  private async put(key: Key): Promise<Pick<Request<State>, "name" | "apply">> {
    const value = (this.value += 1)
    const bytes = this.random.bytes(lengthOf(value))
    await this.world.services.objects.put(this.world.putting(key, sourceOf(bytes)))
    return { name: `put ${key} ${value}`, apply: state => ({ ...state, [key]: value }) }
  }

  private async remove(key: Key): Promise<Pick<Request<State>, "name" | "apply">> {
    await this.world.remove(key)
    return { name: `remove ${key}`, apply: state => ({ ...state, [key]: 0 }) }
  }

  private async read(key: Key): Promise<Pick<Request<State>, "name" | "apply">> {
    const value = await this.valueAt(key)
    return { name: `read ${key}: ${value}`, apply: state => (state[key] === value ? state : undefined) }
  }

  private async valueAt(key: Key): Promise<number> {
    try {
      const target = { bucket: this.world.home, key: objectKeyOfText(key), conditions: {} }
      const body = await this.world.services.objects.get(target)
      let lengthBytes = 0
      for await (const piece of body.read(noSignal)) lengthBytes += piece.length
      return valueOf(lengthBytes)
    } catch (error) {
      if (isFailure(error, "noSuchKey")) return 0
      throw error
    }
  }

  private async list(): Promise<Pick<Request<State>, "name" | "apply">> {
    const page = { prefix: "", delimiter: "", after: "", max: 10 }
    const { entries } = await this.world.services.objects.list({ bucket: this.world.home, ...page })
    const seen = { a: 0, b: 0 }
    for (const entry of entries) {
      assert.ok(entry.kind === "object")
      seen[textOfObjectKey(entry.object.key) === "a" ? "a" : "b"] = valueOf(entry.object.sizeBytes)
    }
    const fits = (state: State) => state.a === seen.a && state.b === seen.b
    return { name: `list ${seen.a} ${seen.b}`, apply: state => (fits(state) ? state : undefined) }
  }

  private async rename(from: Key): Promise<Pick<Request<State>, "name" | "apply">> {
    const to = otherKey(from)
    const name = `rename ${from} to ${to}`
    try {
      await this.world.services.renames.rename({
        bucket: this.world.home,
        from: objectKeyOfText(from),
        to: objectKeyOfText(to),
        signal: noSignal,
        conditions: {},
        sourceConditions: {},
        clientToken: undefined,
      })
      const moved = (state: State): State => (from === "a" ? { a: 0, b: state.a } : { a: state.b, b: 0 })
      return { name, apply: state => (state[from] === 0 ? undefined : moved(state)) }
    } catch (error) {
      if (isFailure(error, "conflict")) return { name: `${name}: conflict`, apply: state => state }
      if (!isFailure(error, "noSuchKey")) throw error
      return { name: `${name}: not there`, apply: state => (state[from] === 0 ? state : undefined) }
    }
  }
}

for (const seed of seedsOf(2)) {
  const isVersioned = seed % 2 === 1
  test(`clients that rename to and fro see one order of everything (seed ${seed})`, async () => {
    const world = await open("ec:2+1", undefined, 192 * KIB)
    if (isVersioned) await world.clock.runUntil(world.services.buckets.setVersioning(world.home, "enabled"))
    const random = new SimRandom(seed)
    const clients = new Clients(world, random.fork("clients"))
    const delays = random.fork("delays")
    // Answers and commands take their time, so that others come between.
    world.tablet.later = () => (delays.below(2) === 0 ? world.clock.sleep(delays.below(4), noSignal) : undefined)
    world.tablet.before = () => world.clock.sleep(delays.below(4), noSignal)
    const { history } = clients
    const isRenamed = (): boolean => history.some(({ name }) => /^rename \w to \w$/.test(name))
    // A few clients may happen to rename nothing that is there.
    for (let rounds = 0; rounds < ROUNDS_MAX && !isRenamed(); rounds += 1)
      await world.clock.runUntil(Promise.all(Array.from({ length: CLIENTS }, () => clients.run())))
    await world.clock.runUntil(clients.look())
    const text = history.map(({ name, began, ended }) => `${began}-${ended} ${name}`).join("\n")
    assert.ok(isRenamed(), text)
    assert.ok(isExplained(history, { a: 0, b: 0 }), text)
  })
}

async function putObject(world: World, kind: "payload" | "blocks" | "parts"): Promise<Buffer> {
  if (kind !== "parts") {
    const bytes = world.random.bytes(kind === "payload" ? 1_000 : 300_000)
    await world.put("from", bytes)
    return Buffer.from(bytes)
  }
  const { multipart } = world.services
  const target = { bucket: world.home, key: objectKeyOfText("from") }
  const { multipartId } = await world.clock.runUntil(multipart.create(plainUpload(target.bucket, target.key)))
  const bodies = [SMALL_PART_BYTES, 100_000].map(length => world.random.bytes(length))
  const parts = []
  for (const [at, bytes] of bodies.entries()) {
    const put = { ...target, multipartId, partNumber: at + 1, body: sourceOf(bytes), signal: noSignal }
    const { etag } = await world.clock.runUntil(multipart.putPart(put))
    parts.push({ partNumber: at + 1, etag, checksum: undefined })
  }
  const nothing = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
  await world.clock.runUntil(multipart.complete({ ...target, multipartId, parts, ...nothing, signal: noSignal }))
  return Buffer.concat(bodies)
}

/** The process ends when it would run this command of the rename, or once it has run it. Returns false if there are fewer. */
async function renameUntil(world: World, commands: number, isDone: boolean): Promise<boolean> {
  const run = world.tablet.run.bind(world.tablet)
  const never = new Promise<never>(() => undefined)
  let [count, hasEnded] = [0, false]
  world.tablet.run = async command => {
    count += 1
    if (count > commands) return never
    if (count < commands) return run(command)
    hasEnded = true
    if (isDone) await run(command)
    return never
  }
  const request = { bucket: world.home, from: objectKeyOfText("from"), to: objectKeyOfText("to"), signal: noSignal }
  const nothing = { conditions: {}, sourceConditions: {}, clientToken: undefined }
  let isOver = false
  void world.services.renames.rename({ ...request, ...nothing }).then(() => (isOver = true))
  while (!hasEnded && !isOver) await world.clock.advance(10)
  await world.clock.advance(1_000)
  world.tablet.run = run
  return hasEnded
}

async function namesOf(world: World): Promise<readonly string[]> {
  const page = { prefix: "", delimiter: "", after: "", max: 10 }
  const { entries } = await world.services.objects.list({ bucket: world.home, ...page })
  return entries.map(entry => (entry.kind === "object" ? textOfObjectKey(entry.object.key) : "?"))
}

/** A pass of lifecycle that takes no upload for abandoned. */
async function removeLeftUploads({ clock, tablet: metadata, random, telemetry: { log } }: World): Promise<void> {
  const storeClock = { shownMs: clock.wallMs(), isDoubtful: false }
  const classes = { policyOf: () => undefined, use: () => undefined }
  const seams = { clock, storeClock, random, metadata, log, classes }
  const job = new Lifecycle(seams, { ...STORE_DAYS, abandonedDays: 0 })
  while ((await clock.runUntil(job.step(noSignal))) === "busy");
}

async function assertNothingLeft(world: World, needles: number): Promise<void> {
  await removeLeftUploads(world)
  await world.removeAborted()
  await world.settle("collector")
  assert.deepEqual([...world.tablet.committed.range("uploads", ALL_OBJECT_ROWS)], [])
  assert.equal(world.needles, needles)
}

for (const kind of ["payload", "blocks", "parts"] as const) {
  test(`a process that ends during a rename leaves one of both names, and nothing else (${kind})`, async () => {
    let hasEnded = true
    for (let commands = 1; hasEnded; commands += 1) {
      for (const isDone of [false, true]) {
        const world = await open("ec:2+1", undefined, 192 * KIB)
        const bytes = await putObject(world, kind)
        const { needles } = world
        hasEnded = await renameUntil(world, commands, isDone)
        const next = world.restart(2)
        const names = await namesOf(next)
        assert.equal(names.length, 1, `after ${commands} commands: ${names.join(" ")}`)
        assert.ok((await next.get(names[0] ?? "")).equals(bytes))
        await assertNothingLeft(next, needles)
        assert.ok((await next.get(names[0] ?? "")).equals(bytes))
      }
    }
  })
}
