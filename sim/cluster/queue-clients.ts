/**
 * Clients of a storm that add messages to a queue, receive them, acknowledge them or put them back. Every request goes through
 * any node, and may go without an answer.
 *
 * Promises  A message that was added is there until it is acknowledged; one that was acknowledged is not delivered any more,
 *           and one that is delivered at most once has one consumer. The counts of the queue are exact.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccountId, type MessageId } from "@hayloft/base/ids.js"
import type { Server } from "../world/bodies.js"
import { DEFAULT_SETTINGS, Queues, type Delivery } from "@hayloft/features/queues/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { check } from "../world/checks.js"
import type { WanderingHost } from "./wandering-upload.js"

type QueueHost = Pick<WanderingHost, "through" | "mayFail" | "isRefusal" | "nextName" | "onError">

const QUEUE = { account: parseAccountId("queues"), name: "work" }
const RETRY_SECONDS = 20
/** Some contents have rows of their own. */
const SIZES = [10, 10, 3_000]
const LISTED_PER_PAGE = 100

/** The clients' knowledge of a message. */
interface Known {
  added: "unknown" | "yes" | "refused"
  /** The tick at which its acknowledgement was answered; "unknown": one was sent. */
  acknowledged: number | "unknown" | undefined
  readonly isOnce: boolean
  deliveries: number
}

const nameOf = ({ content }: Delivery): string => Buffer.from(content.body).toString().replaceAll(".", "")

export class QueueClients {
  count = 0
  private messages = new Map<string, Known>()
  private tick = 0

  constructor(
    private readonly host: QueueHost,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  private queuesOf({ services: { tablet: metadata, storeClock, refuseEarlier: prepare } }: Server): Queues {
    const { clock, random } = this
    return new Queues({ clock, storeClock, random, metadata, prepare, isShared: true, node: "0000002a" })
  }

  async create(engine: Server): Promise<void> {
    await this.queuesOf(engine).create(QUEUE, { ...DEFAULT_SETTINGS, retentionSeconds: 20 * 86_400 })
  }

  send(): void {
    this.count += 1
    const chosen = this.random.below(10)
    const sent = chosen < 5 ? this.add() : this.receive(chosen)
    void sent.catch((error: unknown) => this.host.onError(error))
  }

  /** The database has lost commits: what is there now was added. Nothing is left that is delivered at most once. */
  async forget(engine: Server): Promise<void> {
    this.messages = new Map()
    for (const { name, isOnce } of await this.listed(engine)) {
      check("acknowledgedStays", !isOnce, () => `the message ${name} may have been delivered before the rollback`)
      this.messages.set(name, { added: "yes", acknowledged: undefined, isOnce, deliveries: 0 })
    }
  }

  async check(engine: Server): Promise<void> {
    const listed = await this.listed(engine)
    const names = new Set(listed.map(({ name }) => name))
    for (const [name, { added, acknowledged }] of this.messages) {
      const mustBe = added === "yes" && acknowledged === undefined
      const mayBe = added !== "refused" && typeof acknowledged !== "number"
      check("acknowledgedStays", !mustBe || names.has(name), () => `the message ${name} is lost`)
      check("acknowledgedStays", mayBe || !names.has(name), () => `the message ${name} was refused or acknowledged`)
    }
    const found = await this.queuesOf(engine).find(QUEUE)
    const held = found?.messages ?? 0
    check("countersAgree", held === listed.length, () => `the queue counts ${held} messages, and has ${listed.length}`)
  }

  private async listed(engine: Server): Promise<readonly { readonly name: string; readonly isOnce: boolean }[]> {
    const queues = this.queuesOf(engine)
    const listed: { name: string; isOnce: boolean }[] = []
    let after: MessageId | undefined
    do {
      const page = await queues.scan(QUEUE.account, after, LISTED_PER_PAGE)
      for (const { id, message } of page.found) {
        const shown = await queues.show(QUEUE.account, id)
        check("acknowledgedStays", shown !== undefined, () => `the message ${id} has no content`)
        if (shown !== undefined) listed.push({ name: nameOf(shown), isOnce: message.retrySeconds === 0 })
      }
      after = page.found.at(-1)?.id
      if (page.after === undefined) after = undefined
    } while (after !== undefined)
    return listed
  }

  private async add(): Promise<void> {
    const { host, random, messages } = this
    const name = host.nextName()
    const isOnce = random.below(3) === 0
    const known: Known = { added: "unknown", acknowledged: undefined, isOnce, deliveries: 0 }
    messages.set(name, known)
    const body = Buffer.from(name.padEnd(SIZES[random.below(SIZES.length)] ?? 0, "."))
    const content = { body, attributes: [], trace: undefined }
    const message = { content, sender: "arn", retrySeconds: isOnce ? 0 : RETRY_SECONDS }
    const sent = host.through(async engine => this.queuesOf(engine).add(QUEUE, [message], { copiesNow: 1 }))
    if (sent === undefined) {
      known.added = "refused"
      return
    }
    try {
      await sent
      known.added = "yes"
    } catch (error) {
      if (host.isRefusal(error)) known.added = "refused"
      else if (!host.mayFail(error)) throw error
    }
  }

  private async receive(chosen: number): Promise<void> {
    const { messages } = this
    const began = (this.tick += 1)
    const reception = { account: QUEUE.account, queues: [QUEUE.name], count: 3 }
    const found = await this.tolerant(async engine => this.queuesOf(engine).receive(reception))
    // The database has lost commits meanwhile.
    if (messages !== this.messages) return
    for (const delivery of found ?? []) this.noteDelivery(delivery, began)
    for (const delivery of found ?? []) await (chosen < 8 ? this.acknowledge(delivery) : this.putBack(delivery))
  }

  private noteDelivery(delivery: Delivery, began: number): void {
    const name = nameOf(delivery)
    const known = this.messages.get(name)
    const { added, acknowledged } = known ?? { added: "refused", acknowledged: undefined }
    check("acknowledgedStays", added !== "refused", () => `the message ${name} was delivered, and never added`)
    const isGone = typeof acknowledged === "number" && acknowledged < began
    check("acknowledgedStays", !isGone, () => `the message ${name} was delivered after its acknowledgement`)
    if (known === undefined) return
    known.deliveries += 1
    const isTwice = known.isOnce && known.deliveries > 1
    check("acknowledgedStays", !isTwice, () => `the message ${name} was delivered twice`)
  }

  private async acknowledge(delivery: Delivery): Promise<void> {
    const known = this.messages.get(nameOf(delivery))
    if (known === undefined) return
    if (known.acknowledged === undefined) known.acknowledged = "unknown"
    const done = await this.tolerant(async engine => this.queuesOf(engine).acknowledge(QUEUE.account, [delivery.id]))
    // An earlier one may have been done without an answer.
    if (done !== undefined) known.acknowledged = this.tick += 1
  }

  private async putBack({ id }: Delivery): Promise<void> {
    await this.tolerant(async engine =>
      this.queuesOf(engine).reschedule(QUEUE.account, [{ id, change: { kind: "nack" } }]),
    )
  }

  /** Returns undefined if the request failed, as it may, or no node serves. */
  private async tolerant<T>(send: (engine: Server) => Promise<T>): Promise<T | undefined> {
    try {
      return await this.host.through(send)
    } catch (error) {
      if (isFailure(error, "indeterminate") || this.host.isRefusal(error) || this.host.mayFail(error)) return undefined
      throw error
    }
  }
}
