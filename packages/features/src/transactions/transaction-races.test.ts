/**
 * Transactions among other requests, over two buckets: clients put, delete, rename, check and read four keys, one by one, together
 * and as lists of a bucket, and some order of all of them explains every answer.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { query, type MetadataRow } from "@hayloft/engine/metadata/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { noSignal } from "@hayloft/upkeep/repair/testing-repair.js"
import type { Bucket, Conditions } from "@hayloft/objects/contract.js"
import type { TransactionOperation } from "./contract.js"
import { isExplained, type Request } from "@hayloft/objects/testing-orders.js"
import { check, remove, rename, TwoBuckets } from "./testing-transactions.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"

const SEEDS = 15
/** So many of these runs have a transaction of several operations that is done. */
const WITH_SEVERAL_MIN = 9
const CLIENTS = 6
const REQUESTS_OF_EACH = 5
const KEYS = ["one/a", "one/b", "two/a", "two/b"] as const
type Key = (typeof KEYS)[number]

/** The number of each key's body, which no other body has, or 0 if there is no object. */
type State = Readonly<Record<Key, number>>
type Answer = Pick<Request<State>, "name" | "apply">
const EMPTY: State = { "one/a": 0, "one/b": 0, "two/a": 0, "two/b": 0 }

/** A number is the length of its body: small ones are stored with the row, large ones in blocks. */
const lengthOf = (value: number): number => (value % 3 === 0 ? value : 70_000 + value)
const valueOf = (row: MetadataRow | undefined): number =>
  row === undefined ? 0 : decodeVersionHead(row.value).sizeBytes % 70_000

/** The values of all keys at one moment. */
const valuesNow = query("ValuesNow", (view, rows: readonly (readonly [Key, ReturnType<typeof objectRowKey>])[]) =>
  rows.map(([key, row]) => [key, valueOf(view.get("current", row))] as const),
)

const [ANY, NONE]: readonly [Conditions, Conditions] = [{ ifMatch: ["*"] }, { ifNoneMatch: ["*"] }]
/** Returns true if the conditions hold for a value. */
const holds = (conditions: Conditions, value: number): boolean =>
  (conditions.ifMatch === undefined || value !== 0) && (conditions.ifNoneMatch === undefined || value === 0)

/** An operation, and its effect on the state that all of them find. */
interface Step {
  readonly name: string
  readonly operation: TransactionOperation
  readonly isAllowed: (before: State) => boolean
  readonly change: (before: State) => Partial<State>
}

class Clients {
  readonly history: Request<State>[] = []
  private moment = 0
  private value = 0

  constructor(
    private readonly scene: TwoBuckets,
    private readonly random: Random,
  ) {}

  async run(): Promise<void> {
    for (let request = 0; request < REQUESTS_OF_EACH; request += 1) {
      await this.note(() => this.request())
      await this.scene.world.clock.sleep(this.random.below(3), noSignal)
    }
  }

  async note(ask: () => Promise<Answer>): Promise<void> {
    const began = (this.moment += 1)
    const { name, apply } = await ask()
    this.history.push({ name, apply, began, ended: (this.moment += 1) })
  }

  private pick<T>(items: readonly T[]): T {
    const [item] = items.slice(this.random.below(items.length))
    assert.ok(item !== undefined)
    return item
  }

  private place(key: Key): { readonly bucket: Bucket; readonly key: string } {
    const [bucket, name = ""] = key.split("/")
    return { bucket: bucket === "one" ? this.scene.one : this.scene.two, key: name }
  }

  private request(): Promise<Answer> {
    const kind = this.random.below(8)
    const key = this.pick(KEYS)
    if (kind === 0) return this.put(key)
    if (kind === 1) return this.removeOne(key)
    if (kind === 2) return this.look()
    if (kind === 3) return this.list(this.pick(["one", "two"]))
    return this.transaction()
  }

  private async put(key: Key): Promise<Answer> {
    const value = (this.value += 1)
    const { bucket, key: name } = this.place(key)
    const body = sourceOf(this.random.bytes(lengthOf(value)))
    await this.scene.world.services.objects.put({ ...this.scene.world.putting(name, body), bucket })
    return { name: `put ${key} ${value}`, apply: state => ({ ...state, [key]: value }) }
  }

  private async removeOne(key: Key): Promise<Answer> {
    const { bucket, key: name } = this.place(key)
    await this.scene.world.services.objects.remove({ bucket, key: objectKeyOfText(name), conditions: {} })
    return { name: `remove ${key}`, apply: state => ({ ...state, [key]: 0 }) }
  }

  /** All four keys. */
  async look(): Promise<Answer> {
    const rows = KEYS.map(key => {
      const { bucket, key: name } = this.place(key)
      return [key, objectRowKey(bucket.id, objectKeyOfText(name))] as const
    })
    const seen = await this.scene.world.tablet.ask(valuesNow(rows))
    const fits = (state: State) => seen.every(([key, value]) => state[key] === value)
    return { name: `look ${seen.join(" ")}`, apply: state => (fits(state) ? state : undefined) }
  }

  private async list(which: "one" | "two"): Promise<Answer> {
    const page = { prefix: "", delimiter: "", after: "", max: 10 }
    const { entries } = await this.scene.world.services.objects.list({ bucket: this.scene[which], ...page })
    const seen = new Map(
      entries.map(entry => {
        assert.ok(entry.kind === "object")
        return [`${which}/${textOfObjectKey(entry.object.key)}`, entry.object.sizeBytes % 70_000]
      }),
    )
    const fits = (state: State) =>
      KEYS.filter(key => key.startsWith(which)).every(key => (seen.get(key) ?? 0) === state[key])
    return { name: `list ${which} ${JSON.stringify([...seen])}`, apply: state => (fits(state) ? state : undefined) }
  }

  private async transaction(): Promise<Answer> {
    const keys = [...KEYS].sort(() => this.random.below(3) - 1)
    const steps: Step[] = []
    while (keys.length > 0 && (steps.length === 0 || this.random.below(3) > 0)) steps.push(await this.step(keys))
    const name = `[${steps.map(each => each.name).join(", ")}]`
    try {
      const operations = steps.map(({ operation }) => operation)
      await this.scene.world.services.transactions.run({ operations, token: undefined })
      const change = (state: State): State =>
        Object.assign({}, state, ...steps.map(each => each.change(state))) as State
      return { name, apply: state => (steps.every(each => each.isAllowed(state)) ? change(state) : undefined) }
    } catch (error) {
      if (isFailure(error, "conflict")) return { name: `${name}: conflict`, apply: state => state }
      if (!isFailure(error, "preconditionFailed", "noSuchKey")) throw error
      const refused = Number(error.details["operation"])
      const apply = (state: State) => (steps[refused]?.isAllowed(state) === false ? state : undefined)
      return { name: `${name}: ${refused} refused`, apply }
    }
  }

  private async step(keys: Key[]): Promise<Step> {
    const key = keys.pop() ?? "one/a"
    const { bucket, key: name } = this.place(key)
    const conditions = this.pick([{}, {}, ANY, NONE])
    const shown = `${key}${JSON.stringify(conditions)}`
    const isAllowed = (state: State): boolean => holds(conditions, state[key])
    const kind = this.random.below(4)
    const to = kind === 3 ? keys.pop() : undefined
    if (to !== undefined) {
      const operation = rename({ bucket, key: name }, this.place(to), { conditions })
      return {
        name: `rename ${key} to ${to}${JSON.stringify(conditions)}`,
        operation,
        isAllowed: state => state[key] !== 0 && holds(conditions, state[to]),
        change: state => ({ [key]: 0, [to]: state[key] }),
      }
    }
    if (kind === 1)
      return {
        name: `delete ${shown}`,
        operation: remove(bucket, name, conditions),
        isAllowed,
        change: () => ({ [key]: 0 }),
      }
    if (kind === 2)
      return { name: `check ${shown}`, operation: check(bucket, name, conditions), isAllowed, change: () => ({}) }
    const value = (this.value += 1)
    const operation = await this.scene.uploading(bucket, name, [this.random.bytes(lengthOf(value))], conditions)
    return { name: `put ${shown} ${value}`, operation, isAllowed, change: () => ({ [key]: value }) }
  }
}

/** The runs in which a transaction of several operations is done. */
let withSeveral = 0

for (let seed = TEST_SEED; seed < TEST_SEED + SEEDS; seed += 1)
  test(`transactions among other requests have one order (seed ${seed})`, async () => {
    const scene = await TwoBuckets.open(([[], ["two"], ["one", "two"]] as const)[seed % 3])
    const { world } = scene
    const random = new SimRandom(seed)
    const clients = new Clients(scene, random.fork("clients"))
    const delays = random.fork("delays")
    // Answers and commands take their time, so that others come between.
    world.tablet.later = () => (delays.below(2) === 0 ? world.clock.sleep(delays.below(4), noSignal) : undefined)
    world.tablet.before = () => world.clock.sleep(delays.below(4), noSignal)
    await scene.run(Promise.all(Array.from({ length: CLIENTS }, () => clients.run())))
    await scene.run(clients.note(() => clients.look()))
    const { history } = clients
    const text = history.map(({ name, began, ended }) => `${began}-${ended} ${name}`).join("\n")
    if (history.some(({ name }) => /^\[.*, .*\]$/.test(name))) withSeveral += 1
    assert.ok(isExplained(history, EMPTY), text)
    for (const bucket of [scene.one, scene.two]) {
      const keys = await scene.keys(bucket)
      const { objects, uploads } = scene.counters(bucket)
      assert.equal(objects, keys.length)
      const page = { prefix: "", delimiter: "", keyMarker: "", uploadIdMarker: undefined, max: 100 }
      const open = await scene.run(world.services.multipart.listUploads({ bucket, ...page }))
      assert.equal(uploads, open.entries.length)
    }
  })

test("in enough runs, a transaction of several operations is done", () => {
  assert.ok(withSeveral >= WITH_SEVERAL_MIN, `${withSeveral} of ${SEEDS}`)
})
