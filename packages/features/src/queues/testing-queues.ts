/** Queues over metadata in memory, for tests. */
import { parseAccountId, type MessageId } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Delivery, MessageInput } from "./contract.js"
import { QueueExpiry } from "./expiry.js"
import { Queues } from "./queues.js"

export const ACCOUNT = parseAccountId("main")
export const named = (name: string) => ({ account: ACCOUNT, name })

export type Options = Omit<MessageInput, "content" | "sender">

export const bodyOf = ({ content }: Delivery): string => Buffer.from(content.body).toString()

export class QueueWorld {
  readonly clock = new SimClock()
  readonly metadata = new MemoryMetadata()
  readonly expiry: QueueExpiry
  /** It follows the wall clock unless a test sets how far that is ahead. */
  readonly storeClock: { readonly shownMs: number; readonly isDoubtful: boolean }
  wallAheadMs = 0
  readonly queues: Queues

  constructor(seed = TEST_SEED, isShared = false) {
    const { clock, metadata } = this
    const prepare = async () => undefined
    const shownMs = () => clock.wallMs() - this.wallAheadMs
    this.storeClock = {
      isDoubtful: false,
      get shownMs() {
        return shownMs()
      },
    }
    const random = new SimRandom(seed)
    const { storeClock } = this
    this.queues = new Queues({ clock, storeClock, random, metadata, prepare, isShared, node: "0123abcd" })
    this.expiry = new QueueExpiry({ clock, metadata, storeClock: this.storeClock })
    // Decisions are made at the time of the clock.
    metadata.before = () => {
      metadata.aheadMs = clock.wallMs() - 1_700_000_000_000 - metadata.position
    }
  }

  /** The same rows, as another process of the store sees them. */
  beside(node: string): Queues {
    const { clock, metadata, storeClock } = this
    const random = new SimRandom(TEST_SEED).fork(node)
    return new Queues({ clock, storeClock, random, metadata, prepare: async () => undefined, isShared: true, node })
  }

  async add(name: string, body: string, options: Options = {}): Promise<MessageId> {
    const content = { body: Buffer.from(body), attributes: [], trace: undefined }
    const [id] = await this.queues.add(named(name), [{ content, sender: "arn", ...options }], { copiesNow: 1 })
    if (id === undefined) throw new Error("a message has an id")
    return id
  }

  /** Bodies of the messages that are delivered now. */
  async receive(name: string, count = 1): Promise<readonly Delivery[]> {
    return (await this.queues.receive({ account: ACCOUNT, queues: [name], count })) ?? []
  }

  async bodies(name: string, count = 100): Promise<readonly string[]> {
    return (await this.receive(name, count)).map(bodyOf)
  }

  /** Counts the messages of a queue: due, in flight, delayed, all. */
  async lengths(name: string): Promise<readonly number[]> {
    const found = await this.queues.find(named(name))
    if (found === undefined) return []
    const { due, inFlight, delayed } = await this.queues.lengths(found)
    return [due, inFlight, delayed, found.messages]
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms)
  }

  /** One pass, as a process does that has just started. */
  async expire(): Promise<void> {
    const pass = new QueueExpiry({ clock: this.clock, metadata: this.metadata, storeClock: this.storeClock })
    while ((await pass.step()) === "busy");
  }

  rows(): Readonly<Record<string, number>> {
    const { metadata } = this
    return Object.fromEntries(
      (["queues", "queueMessages", "queueContents", "queueOrder"] as const).map(family => [
        family,
        metadata.rows(family),
      ]),
    )
  }
}

/** Returns a world with these queues. */
export async function opened(...names: readonly string[]): Promise<QueueWorld> {
  const world = new QueueWorld()
  for (const name of names) await world.queues.create(named(name))
  return world
}
