/**
 * Queues of accounts: messages that are delivered until they are acknowledged. See decision 83.
 *
 * Promises  A message is as durable as an object before `add` resolves, unless its producer does not wait. It is delivered at
 *           least once while its queue exists and its time is not over; if its `retrySeconds` are 0, at most once. The order
 *           is that in which messages become due.
 * Refuses   `noSuchQueue`, `queueExists`, `queuePaused`, `queueFull`, `tooFewCopies`, `entityTooLarge`, `limitExceeded`,
 *           `invalidArgument`; `tooManyInFlight` for more waiting than QUEUE_LIMITS allows.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseMessageId, type AccountId, type MessageId, type RowKey } from "@hayloft/base/ids.js"
import {
  encodeContent,
  queueRowKey,
  type MessageContent,
  type QueueRecord,
  type QueueSettings,
} from "@hayloft/engine/format/queue-rows.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import { shownDueTimeMs, type Core } from "@hayloft/objects/door/index.js"
import type { Delivery, MessageInput, Reception } from "./contract.js"
import { QUEUE_LIMITS } from "./limits.js"
import {
  addMessages,
  claimMessages,
  removeMessages,
  rescheduleMessages,
  type Claimed,
  type NewMessage,
  type RescheduledMessage,
  type RescheduleOutcome,
} from "./message-commands-core.js"
import {
  changeQueue,
  createQueue,
  emptyQueue,
  removeQueue,
  type QueueChange,
  type QueueName,
} from "./queue-commands-core.js"
import {
  countLater,
  countQueues,
  listMessages,
  listQueues,
  peekMessages,
  readContents,
  readMessages,
  readQueue,
  type NamedQueue,
  type Page,
  type QueueLengths,
  type ShownMessage,
} from "./queue-queries-core.js"
import { orderTimeMs } from "./message-rows-core.js"
import { QueueWatch, type QueueWaiter } from "./queue-watch.js"

const DAY_SECONDS = 86_400

export const DEFAULT_SETTINGS: QueueSettings = {
  delaySeconds: 0,
  visibilitySeconds: 30,
  retentionSeconds: 4 * DAY_SECONDS,
  messageBytesMax: QUEUE_LIMITS.contentBytesMax,
  waitSeconds: 0,
  bytesMax: QUEUE_LIMITS.bytesMaxDefault,
  redrive: undefined,
  tags: [],
}

interface QueueSeams {
  readonly clock: Clock
  readonly storeClock: Pick<Core["storeClock"], "shownMs" | "isDoubtful">
  readonly random: Random
  readonly metadata: Pick<Metadata, "run" | "ask">
  /** Resolves once earlier releases refuse the devices. */
  readonly prepare: () => Promise<void>
  /** Other processes write too. */
  readonly isShared: boolean
  /** This node, in the ids of the messages that it adds: 8 hex digits. */
  readonly node: string
}

/** How a producer waits. */
interface AddOptions {
  /** The queue may have so many messages afterwards. */
  readonly messagesMax?: number | undefined
  /** After this time the messages are removed again, if that is possible; undefined: as long as it takes. */
  readonly timeoutMs?: number | undefined
  /** The copies of metadata that a commit makes durable. */
  readonly copiesNow: number
}

/** Counts of what this process has done with a queue. */
interface QueueTraffic {
  added: number
  delivered: number
  acknowledged: number
}

const RANDOM_BYTES_OF_ID = 18

/** Bytes of the body and attributes of a message, as limits count them. */
export const contentBytesOf = ({ body, attributes }: MessageContent): number =>
  attributes.reduce((sum, { name, type, value }) => sum + name.length + type.length + value.length, body.length)

export class Queues {
  private readonly watch: QueueWatch
  private readonly random: Random
  private readonly unawaited = new Set<Promise<unknown>>()
  /** The queues that were used last. */
  private readonly trafficOf = new Map<string, QueueTraffic>()
  /** The place where the next claim of a queue begins, and until when that holds (monotonic clock). */
  private readonly reached = new Map<string, { readonly fromMs: number; readonly untilMs: number }>()

  constructor(private readonly seams: QueueSeams) {
    this.random = seams.random.fork("queues")
    this.watch = new QueueWatch({ ...seams, dueNowMs: () => this.dueNowMs() })
  }

  /** Requests that wait for messages. */
  get waiting(): number {
    return this.watch.waiting
  }

  waitingFor({ account, name }: QueueName): number {
    return this.watch.waitingFor(queueRowKey(account, name))
  }

  /** Since this process began, or the queue was forgotten among others. */
  traffic(name: QueueName): QueueTraffic {
    return this.trafficOf.get(keyOf(name)) ?? { added: 0, delivered: 0, acknowledged: 0 }
  }

  /** Returns the queue that is there, which may have other settings. Throws `limitExceeded`. */
  async create(
    name: QueueName,
    settings: QueueSettings = DEFAULT_SETTINGS,
  ): Promise<{ queue: QueueRecord; isNew: boolean }> {
    const there = await this.seams.metadata.ask(readQueue(name))
    if (there !== undefined) return { queue: there.queue, isNew: false }
    if ((await this.seams.metadata.ask(countQueues(name.account))) >= QUEUE_LIMITS.queuesMax)
      throw fail("limitExceeded", { message: `An account may have ${QUEUE_LIMITS.queuesMax} queues.` })
    await this.seams.prepare()
    return this.seams.metadata.run(createQueue(name, settings))
  }

  async change(name: QueueName, change: QueueChange): Promise<QueueRecord> {
    const queue = await this.seams.metadata.run(changeQueue(name, change))
    this.watch.changed(queueRowKey(name.account, name.name), QUEUE_LIMITS.receivedMax)
    return queue
  }

  /** Removes all messages, also those on the way to a consumer, unless that was done in the last `restMs`; returns whether it did. */
  async empty(name: QueueName, restMs = 0): Promise<boolean> {
    return this.seams.metadata.run(emptyQueue(name, restMs))
  }

  async remove(name: QueueName): Promise<void> {
    await this.seams.metadata.run(removeQueue(name))
    this.trafficOf.delete(keyOf(name))
  }

  async find(name: QueueName): Promise<NamedQueue | undefined> {
    return this.seams.metadata.ask(readQueue(name))
  }

  async list(account: AccountId, prefix = "", after?: string, max: number = QUEUE_LIMITS.rowsPerPage) {
    return this.seams.metadata.ask(listQueues(account, prefix, after, max))
  }

  /** Exact while nothing changes: it reads the places of all messages that are not due. */
  async lengths({ queue, messages }: NamedQueue): Promise<QueueLengths> {
    let [inFlight, delayed] = [0, 0]
    const { metadata } = this.seams
    const first = { fromMs: this.dueNowMs() + 1 }
    for await (const page of walkPages(first, ({ fromMs }) => metadata.ask(countLater(queue.id, fromMs)))) {
      inFlight += page.inFlight
      delayed += page.delayed
    }
    return { due: Math.max(0, messages - inFlight - delayed), inFlight, delayed }
  }

  /** Adds messages to a queue; returns their ids once they are durable. */
  async add(name: QueueName, inputs: readonly MessageInput[], options: AddOptions): Promise<readonly MessageId[]> {
    const messages = inputs.map(input => this.newMessage(input, options))
    const request = this.additionOf(name, messages, options)
    const adding = this.seams.metadata.run(addMessages(request)).then(() => this.noteAdded(name, messages.length))
    const ids = messages.map(({ id }) => id)
    if (options.timeoutMs === undefined) await adding
    else await this.inTime(adding, options.timeoutMs, { account: name.account, ids })
    return ids
  }

  /** The same without waiting: whether it succeeds remains unknown. */
  addUnawaited(name: QueueName, inputs: readonly MessageInput[], options: AddOptions): readonly MessageId[] {
    const messages = inputs.map(input => this.newMessage(input, options))
    const request = this.additionOf(name, messages, options)
    this.unawait(() => this.seams.metadata.run(addMessages(request)).then(() => this.noteAdded(name, messages.length)))
    return messages.map(({ id }) => id)
  }

  private additionOf(name: QueueName, messages: readonly NewMessage[], { messagesMax }: AddOptions) {
    return { ...name, messages, messagesMax, storeMs: this.seams.storeClock.shownMs }
  }

  /** Waits for messages of some queues. */
  watchFor(account: AccountId, queues: readonly string[]): QueueWaiter {
    return this.watch.begin(queues.map(name => queueRowKey(account, name)))
  }

  /** Messages that are due, and belong to the caller until they are due again; undefined: there are none. */
  async receive(reception: Reception, waiter?: QueueWaiter): Promise<readonly Delivery[] | undefined> {
    const claim = () => this.claim(reception)
    const { messages, nextDue } = await (waiter === undefined ? claim() : waiter.look(claim))
    for (const { queue, dueMs } of nextDue) this.watch.noteDue(queueRowKey(reception.account, queue), dueMs)
    if (messages.length === 0) return undefined
    const contents = await this.seams.metadata.ask(readContents(reception.account, messages))
    const deliveries = messages.flatMap(({ id, message }, index): Delivery[] => {
      const content = contents[index]
      // It was acknowledged or removed since.
      return content === undefined ? [] : [{ id, message, content }]
    })
    return deliveries.length === 0 ? undefined : deliveries
  }

  private async claim({ account, queues: named, count, visibilitySeconds }: Reception): Promise<Claimed> {
    const queues = [...new Set(named)]
    const limits = { count, bytesMax: QUEUE_LIMITS.receivedBytesMax, visibilitySeconds }
    const refusedQueues: string[] = []
    let fromMs = queues.map(name => this.beginOf({ account, name }))
    let isWhole = fromMs.every(ms => ms === 0)
    for (;;) {
      const overMs = shownDueTimeMs(this.seams) ?? 0
      const storeMs = this.seams.storeClock.shownMs
      const claim = { account, queues, fromMs, storeMs, overMs, ...limits, refusedQueues }
      const claimed = await this.seams.metadata.run(claimMessages(claim))
      for (const [at, name] of queues.entries()) this.noteReached({ account, name }, fromMs[at], claimed.reachedMs[at])
      for (const name of claimed.movedTo) this.watch.changed(queueRowKey(account, name))
      for (const name of claimed.heldBackIn) this.lookAgain(queueRowKey(account, name))
      for (const { message } of claimed.messages) this.note({ account, name: message.queueName }, "delivered", 1)
      const isClaimed = claimed.messages.length > 0
      for (const name of claimed.lackingQueues) {
        // The consumer has what was claimed, whatever becomes of dead queues: a later claim tries again.
        const isRefusal = (error: unknown) => (isClaimed ? isFailure(error) : isFailure(error, "limitExceeded"))
        if (!(await this.tryCreate({ account, name }, isRefusal))) refusedQueues.push(name)
      }
      if (isClaimed) return claimed
      if (claimed.isMore || claimed.lackingQueues.length > 0) {
        fromMs = fromMs.map((beganMs, at) => claimed.reachedMs[at] ?? beganMs)
        continue
      }
      // Looks again before it waits if a message is due: clocks may differ by more than a claim allows for.
      if (isWhole) return claimed
      fromMs = queues.map(() => 0)
      isWhole = true
    }
  }

  /** While messages that are held back come first in a queue, the watch does not notice what other nodes add. */
  private lookAgain(row: RowKey): void {
    this.watch.noteDue(row, this.dueNowMs() + QUEUE_LIMITS.lookAgainMs)
  }

  /** Returns false for a refusal; throws other errors. */
  private async tryCreate(name: QueueName, isRefusal: (error: unknown) => boolean): Promise<boolean> {
    try {
      await this.create(name)
      return true
    } catch (error) {
      if (isRefusal(error)) return false
      throw error
    }
  }

  private beginOf(name: QueueName): number {
    const reached = this.reached.get(keyOf(name))
    return reached !== undefined && this.seams.clock.monotonicMs() < reached.untilMs ? reached.fromMs : 0
  }

  /** Only a claim that began at the beginning says for how long others need not. */
  private noteReached(name: QueueName, beganMs: number | undefined, reachedMs: number | undefined): void {
    const key = keyOf(name)
    const nowMs = this.seams.clock.monotonicMs()
    const untilMs = beganMs === 0 ? nowMs + QUEUE_LIMITS.beginAgainMs : this.reached.get(key)?.untilMs
    if (reachedMs === undefined || untilMs === undefined) this.reached.delete(key)
    else
      keepLatest(
        this.reached,
        key,
        { fromMs: Math.max(0, reachedMs - QUEUE_LIMITS.skewMs), untilMs },
        QUEUE_LIMITS.queuesMax,
      )
  }

  /** Removes messages that were worked on; returns those that were there. */
  async acknowledge(account: AccountId, ids: readonly MessageId[]): Promise<readonly MessageId[]> {
    const removed = await this.seams.metadata.run(removeMessages({ account, ids }))
    for (const { queueName: name } of removed) this.note({ account, name }, "acknowledged", 1)
    return removed.map(({ id }) => id)
  }

  /** The same without waiting. */
  acknowledgeUnawaited(account: AccountId, ids: readonly MessageId[]): void {
    this.unawait(() => this.acknowledge(account, ids))
  }

  /** Changes when messages are due. */
  async reschedule(account: AccountId, messages: readonly RescheduledMessage[]): Promise<readonly RescheduleOutcome[]> {
    const { metadata, storeClock } = this.seams
    const outcomes = await metadata.run(rescheduleMessages(account, messages, storeClock.shownMs))
    for (const outcome of outcomes) {
      if (outcome.kind !== "done") continue
      const row = queueRowKey(account, outcome.queueName)
      if (outcome.seconds === 0) this.watch.changed(row)
      else this.watch.noteDue(row, this.dueNowMs() + 1_000 * outcome.seconds)
    }
    return outcomes
  }

  async show(account: AccountId, id: MessageId): Promise<Delivery | undefined> {
    return (await this.withContents(account, await this.named(account, [id])))[0]
  }

  /** Reads the messages; leaves out those that do not exist. */
  async named(account: AccountId, ids: readonly MessageId[]): Promise<readonly ShownMessage[]> {
    return this.seams.metadata.ask(readMessages(account, ids, this.seams.clock.wallMs()))
  }

  /** Messages that are due: the oldest, or the newest first. */
  async peek({ account, name }: QueueName, max: number, isNewest: boolean): Promise<readonly Delivery[]> {
    const found = await this.find({ account, name })
    if (found === undefined) return []
    const times = { nowMs: this.seams.clock.wallMs(), dueNowMs: this.dueNowMs() }
    const shown = await this.seams.metadata.ask(peekMessages(account, found.queue.id, times, max, isNewest))
    return this.withContents(account, shown)
  }

  /** A page of all messages of an account. */
  async scan(account: AccountId, after: MessageId | undefined, max: number): Promise<Page<ShownMessage>> {
    return this.seams.metadata.ask(listMessages(account, this.seams.clock.wallMs(), after, max))
  }

  /** Reads the contents of messages; leaves out those that are gone meanwhile. */
  async withContents(account: AccountId, shown: readonly ShownMessage[]): Promise<readonly Delivery[]> {
    const contents = await this.seams.metadata.ask(readContents(account, shown))
    return shown.flatMap((each, index) => {
      const content = contents[index]
      return content === undefined ? [] : [{ ...each, content }]
    })
  }

  /** Resolves once all work in the background has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.unawaited)
  }

  /** Throws `entityTooLarge`, `invalidArgument`, `tooFewCopies`. */
  private newMessage(input: MessageInput, { copiesNow }: AddOptions): NewMessage {
    const { content, sender, copies = 1, delaySeconds, retentionSeconds, retrySeconds, redrive } = input
    const contentBytes = contentBytesOf(content)
    const { contentBytesMax } = QUEUE_LIMITS
    if (contentBytes > contentBytesMax)
      throw fail("entityTooLarge", { sizeBytes: contentBytes, maxSizeAllowedBytes: contentBytesMax })
    if (copies > copiesNow)
      throw fail("tooFewCopies", { message: `The store keeps ${copiesNow} copies of a message now, not ${copies}.` })
    const id = this.newId(retentionSeconds ?? DEFAULT_SETTINGS.retentionSeconds, retrySeconds === 0)
    const packed = encodeContent(content)
    return { id, content: packed, contentBytes, sender, copies, delaySeconds, retentionSeconds, retrySeconds, redrive }
  }

  /** Returns an id like Disque's: the minutes at its end are even for a message that is delivered at most once. */
  private newId(retentionSeconds: number, isOnce: boolean): MessageId {
    const minutes = Math.min(0xffff, Math.ceil(retentionSeconds / 60))
    const time = (isOnce ? minutes & ~1 : minutes | 1).toString(16).padStart(4, "0")
    const random = Buffer.from(this.random.bytes(RANDOM_BYTES_OF_ID)).toString("base64")
    return parseMessageId(`D-${this.seams.node}-${random}-${time}`)
  }

  /** Throws `tooFewCopies` if it takes longer. */
  private async inTime(
    adding: Promise<void>,
    timeoutMs: number,
    added: { readonly account: AccountId; readonly ids: readonly MessageId[] },
  ): Promise<void> {
    if ((await within(this.seams.clock, timeoutMs, adding)) !== "late") return
    this.unawait(async () => {
      await adding
      await this.acknowledge(added.account, added.ids)
    })
    throw fail("tooFewCopies", { message: `The message was not durable after ${timeoutMs} ms; it may be delivered.` })
  }

  /** Throws `tooManyInFlight`. */
  private unawait(begin: () => Promise<unknown>): void {
    if (this.unawaited.size >= QUEUE_LIMITS.unawaitedMax)
      throw fail("tooManyInFlight", { reason: "too many messages are being written without anything waiting for them" })
    const under = begin()
      .catch((error: unknown) => {
        if (!isFailure(error)) throw error
      })
      .finally(() => this.unawaited.delete(under))
    this.unawaited.add(under)
  }

  private dueNowMs(): number {
    const { clock, storeClock } = this.seams
    return orderTimeMs(clock.wallMs(), storeClock.shownMs)
  }

  private noteAdded(name: QueueName, messages: number): void {
    this.note(name, "added", messages)
    this.watch.changed(queueRowKey(name.account, name.name), messages)
  }

  private note(name: QueueName, what: keyof QueueTraffic, messages: number): void {
    const key = keyOf(name)
    const traffic = this.traffic(name)
    traffic[what] += messages
    keepLatest(this.trafficOf, key, traffic, QUEUE_LIMITS.queuesMax)
  }
}

const keyOf = ({ account, name }: QueueName): string => queueRowKey(account, name)
