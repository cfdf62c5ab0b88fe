/**
 * Clients of K2V in a storm: each has read items at some moments, and writes with the tokens of those reads, or with none.
 * Every request goes through any node.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketName, parseItemKey, type ItemKey } from "@hayloft/base/ids.js"
import type { CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import type { Server } from "../world/bodies.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { check } from "../world/checks.js"
import { ItemHistory } from "../world/item-history.js"
import type { WanderingHost } from "./wandering-upload.js"

export type ItemHost = Pick<WanderingHost, "through" | "mayFail" | "isRefusal" | "nextName" | "onError">

/** The state of an item that a client has read last. */
interface Known {
  readonly token: CausalContext
  readonly names: ReadonlySet<string>
}

const CLIENTS = 3
/**
 * The bucket of these clients alone: values count towards the bytes of their bucket, which audits compare with its
 * objects.
 */
export const ITEM_BUCKET = parseBucketName("items")
const PARTITION = parseItemKey("items")
const KEYS = ["a", "b", "c"]
const NOTHING: Known = { token: new Map(), names: new Set() }
/** Some values have rows of their own. */
const SIZES = [10, 10, 10, 3_000]
/** Beyond so many values clients write only with tokens: an item has a limit. */
const VALUES_MAX = 40

/** A value is its name, and the same byte up to its size. */
const bytesOf = (name: string, size: number): Uint8Array => Buffer.from(name.padEnd(size, "."))
const nameOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString().replaceAll(".", "")

export class ItemClients {
  history = new ItemHistory()
  private known = Array.from({ length: CLIENTS }, () => new Map<string, Known>())
  /** How many values a read has found last. */
  private readonly found = new Map<string, number>()

  constructor(
    private readonly host: ItemHost,
    private readonly random: Random,
  ) {}

  /** One request of one client. */
  send(): void {
    const { random } = this
    const key = KEYS[random.below(KEYS.length)] ?? ""
    const client = this.known[random.below(CLIENTS)]
    const chosen = random.below(10)
    const sent = chosen < 4 ? this.read(key, client) : this.write(key, client?.get(key), chosen)
    void sent.catch((error: unknown) => this.host.onError(error))
  }

  /** The database has lost commits: what clients know of before means nothing. What is there now counts as written. */
  async forget(engine: Server): Promise<void> {
    this.history = new ItemHistory()
    for (const client of this.known) client.clear()
    for (const key of KEYS) {
      const { names } = await valuesOf(engine, parseItemKey(key))
      for (const name of names) this.history.end(this.history.begin(key, name, new Set()), "done")
    }
  }

  /** Every node shows the same, and the counts of the partition agree with it. */
  async check(engine: Server): Promise<void> {
    for (const key of KEYS) {
      const beginTick = this.history.now()
      this.history.read(key, (await valuesOf(engine, parseItemKey(key))).names, beginTick)
    }
    const { items, buckets } = engine.services
    const bucket = await buckets.open(ITEM_BUCKET)
    const { found } = await items.search(bucket, PARTITION, {}, { conflictsOnly: false, tombstones: true })
    const values = found.map(item => item.values)
    const present = values.flat().filter(value => value !== undefined)
    const counted = {
      entries: values.filter(each => each.some(value => value !== undefined)).length,
      conflicts: values.filter(each => each.length > 1).length,
      values: present.length,
      bytes: present.reduce((sum, value) => sum + value.length, 0),
    }
    const [partition] = (await items.partitions(bucket, {})).found
    const { entries, conflicts, values: count, bytes } = partition ?? { ...counted, entries: 0 }
    const shown = { entries, conflicts, values: count, bytes }
    const [a, b] = [JSON.stringify(shown), JSON.stringify(counted)]
    check("countersAgree", a === b, () => `the partition counts ${a}, and has ${b}`)
  }

  private async read(key: string, client: Map<string, Known> | undefined): Promise<void> {
    const beginTick = this.history.now()
    const { history } = this
    try {
      const found = await this.host.through(engine => valuesOf(engine, parseItemKey(key)))
      // The database has lost commits meanwhile.
      if (found === undefined || history !== this.history) return
      history.read(key, found.names, beginTick)
      this.found.set(key, found.names.length)
      client?.set(key, { token: found.token, names: new Set(found.names) })
    } catch (error) {
      if (!this.host.mayFail(error) && !this.host.isRefusal(error)) throw error
    }
  }

  private async write(key: string, known: Known = NOTHING, chosen: number): Promise<void> {
    const { host, random, history } = this
    const isFull = (this.found.get(key) ?? 0) >= VALUES_MAX
    if (isFull && known === NOTHING) return
    const { token, names } = chosen === 4 && !isFull ? NOTHING : known
    const name = chosen === 5 ? undefined : host.nextName()
    const bytes = name === undefined ? undefined : bytesOf(name, SIZES[random.below(SIZES.length)] ?? 0)
    const value = { partition: PARTITION, sortKey: parseItemKey(key), seen: token, bytes }
    const write = history.begin(key, name, names)
    try {
      const sent = host.through(async ({ services: { items, buckets } }) =>
        items.write(await buckets.open(ITEM_BUCKET), [value]),
      )
      if (sent === undefined) return history.end(write, "refused")
      await sent
      history.end(write, "done")
    } catch (error) {
      if (isFailure(error, "indeterminate")) return
      if (host.isRefusal(error) || isFailure(error, "limitExceeded")) history.end(write, "refused")
      else if (!host.mayFail(error)) throw error
    }
  }
}

async function valuesOf({ services: { items, buckets } }: Server, sortKey: ItemKey) {
  const item = await items.read(await buckets.open(ITEM_BUCKET), PARTITION, sortKey)
  const names = (item?.values ?? []).flatMap(value => (value === undefined ? [] : [nameOf(value)]))
  return { token: item?.context ?? NOTHING.token, names }
}
