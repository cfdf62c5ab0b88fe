/**
 * Commands on messages: adding, delivering, postponing, putting back and removing them. Pure.
 *
 * Promises  A message is in one place of one queue. It is delivered by a decision that also says when it is due again, so
 *           that no other consumer has it until then. One that is delivered at most once is never due again.
 * Refuses   `noSuchQueue`, `queuePaused`, `queueFull`.
 */
import { fail } from "@hayloft/base/failures.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { sizeText } from "@hayloft/base/text/quantity-text.js"
import type { AccountId, MessageId } from "@hayloft/base/ids.js"
import {
  decodeDue,
  dueRange,
  messageRowKey,
  orderOfDecision,
  parseDueRowKey,
  queueRowKey,
  queueUsageRowKey,
  type MessageRecord,
  type QueueRecord,
  type Redrive,
} from "@hayloft/engine/format/queue-rows.js"
import { decodeUsage, NO_USAGE } from "@hayloft/engine/format/objects/usage.js"
import { command, type CommandView, type Touches } from "@hayloft/engine/metadata/index.js"
import { QUEUE_LIMITS } from "./limits.js"
import {
  orderTimeMs,
  isAt,
  messageIn,
  messageRowIn,
  MessageWrites,
  queueIn,
  type EndedPlaces,
  type FoundMessage,
  type QueueTimes,
} from "./message-rows-core.js"
import { requireQueue, type QueueName } from "./queue-commands-core.js"

const SECOND_MS = 1_000

export interface NewMessage {
  readonly id: MessageId
  /** Packed. */
  readonly content: Uint8Array
  /** Bytes of body and attributes. */
  readonly contentBytes: number
  readonly sender: string
  readonly copies: number
  /** If undefined, the queue decides. */
  readonly delaySeconds: number | undefined
  readonly retentionSeconds: number | undefined
  readonly retrySeconds: number | undefined
  readonly redrive: Redrive | undefined
}

interface Addition extends QueueName {
  readonly messages: readonly NewMessage[]
  /** The queue may have so many messages afterwards. */
  readonly messagesMax: number | undefined
  /** The store's clock; 0: it is not known. */
  readonly storeMs: number
}

/** Throws `queueFull`. */
function checkRoom(view: CommandView, queue: QueueRecord, { name, messages, messagesMax }: Addition): void {
  const row = view.get("usage", queueUsageRowKey(queue.id))
  const { objects, bytes } = row === undefined ? NO_USAGE : decodeUsage(row.value)
  const added = messages.reduce((sum, { contentBytes }) => sum + contentBytes, 0)
  const { bytesMax } = queue.settings
  const full = (limit: string) => fail("queueFull", { message: `The queue ${name} would have more than ${limit}.` })
  if (messagesMax !== undefined && objects + messages.length > messagesMax) throw full(`${messagesMax} messages`)
  if (bytes + added > bytesMax) throw full(sizeText(bytesMax))
}

/** Throws `noSuchQueue`, `queuePaused`, `queueFull`, `entityTooLarge`. */
export const addMessages = command<[addition: Addition], void>({
  name: "AddMessages",
  touches: ({ account, name }) => [["queues", queueRowKey(account, name)]],
  decide(view, { nowMs, id: decision }, addition) {
    const { account, name, messages, messagesMax } = addition
    const queue = requireQueue(view, addition)
    if (queue.isPausedIn) throw fail("queuePaused", { message: `The queue ${name} is paused: it accepts no messages.` })
    const { settings } = queue
    const large = messages.find(({ contentBytes }) => contentBytes > settings.messageBytesMax)
    if (large !== undefined)
      throw fail("entityTooLarge", { sizeBytes: large.contentBytes, maxSizeAllowedBytes: settings.messageBytesMax })
    checkRoom(view, queue, addition)
    const change = new MessageWrites(view, account)
    const dueFromMs = orderTimeMs(nowMs, addition.storeMs)
    for (const [number, each] of messages.entries()) {
      const delaySeconds = each.delaySeconds ?? settings.delaySeconds
      const isInline = each.content.length <= QUEUE_LIMITS.inlineBytesMax
      const message: MessageRecord = {
        queueId: queue.id,
        queueName: name,
        stage: "waiting",
        createdMs: nowMs,
        delaySeconds,
        dueMs: dueFromMs + delaySeconds * SECOND_MS,
        order: orderOfDecision(decision, number),
        expiresMs: nowMs + (each.retentionSeconds ?? settings.retentionSeconds) * SECOND_MS,
        retrySeconds: each.retrySeconds,
        deliveries: 0,
        nacks: 0,
        enqueues: 0,
        firstDeliveredMs: undefined,
        redrive: each.redrive,
        movedFrom: undefined,
        copies: each.copies,
        sender: each.sender,
        contentBytes: each.contentBytes,
        content: isInline ? each.content : undefined,
      }
      change.add(each.id, message, isInline ? undefined : each.content)
    }
    const { bytesMax } = settings
    const limits = { queueId: queue.id, bytesMax, ...(messagesMax !== undefined && { objectsMax: messagesMax }) }
    return { writes: change.writes, usage: change.usage(limits), result: undefined }
  },
})

interface Claim {
  readonly account: AccountId
  /** Messages of the first one come first. */
  readonly queues: readonly string[]
  /** For each of the queues: no message of it that may be delivered is due before. */
  readonly fromMs: readonly number[]
  /** The store's clock; 0: it is not known. */
  readonly storeMs: number
  /** A message whose time was over by then is removed. One that is over later, by the clock of this node alone, is held back. */
  readonly overMs: number
  readonly count: number
  /** Bytes of the contents together, unless the first one has more. */
  readonly bytesMax: number
  /** Until the messages are due again; undefined: they or their queues decide. */
  readonly visibilitySeconds: number | undefined
  /** Dead queues that cannot be made: messages that should move to them are delivered. */
  readonly refusedQueues: readonly string[]
}

export interface Claimed {
  readonly messages: readonly { readonly id: MessageId; readonly message: MessageRecord }[]
  /** When the next messages of these queues are due, if all that are due now were claimed. */
  readonly nextDue: readonly { readonly queue: string; readonly dueMs: number }[]
  /** There may be more messages that are due. */
  readonly isMore: boolean
  /** Queues that do not exist, and to which messages are to move: they stay where they are. */
  readonly lackingQueues: readonly string[]
  /** Queues to which messages have moved. */
  readonly movedTo: readonly string[]
  /** Queues with messages that are neither delivered nor removed yet. */
  readonly heldBackIn: readonly string[]
  /** For each of the queues: no message of it that may be delivered is due before; undefined: it is not known. */
  readonly reachedMs: readonly (number | undefined)[]
}

const retrySecondsOf = ({ retrySeconds }: MessageRecord, { settings }: QueueRecord): number =>
  retrySeconds ?? settings.visibilitySeconds

/** When a message is due again that is delivered at this time. */
function nextDueMs(message: MessageRecord, dueNowMs: number, seconds: number): number {
  const { expiresMs, retrySeconds } = message
  return retrySeconds === 0 ? expiresMs : Math.min(dueNowMs + seconds * SECOND_MS, expiresMs)
}

class ClaimDecision {
  readonly change: MessageWrites
  private readonly messages: { readonly id: MessageId; readonly message: MessageRecord }[] = []
  private readonly lacking = new Set<string>()
  private readonly movedTo = new Set<string>()
  private readonly heldBackIn = new Set<string>()
  private heldBack = 0
  private lastHeldBackMs = 0
  private bytes = 0
  private passed = 0
  private isMore = false
  private readonly reachedMs: (number | undefined)[]
  /** Messages up to this time are due. */
  private readonly dueNowMs: number

  constructor(
    private readonly view: CommandView,
    private readonly nowMs: number,
    private readonly claim: Claim,
  ) {
    this.change = new MessageWrites(view, claim.account)
    this.reachedMs = claim.queues.map(() => undefined)
    this.dueNowMs = orderTimeMs(nowMs, claim.storeMs)
  }

  /** Claims messages of a queue; returns whether others may follow. */
  claimFrom(name: string, at: number): boolean {
    const { view, claim, nowMs, dueNowMs } = this
    const queue = queueIn(view, claim.account, name)
    if (queue === undefined || queue.isPausedOut) return true
    const expectedRows = claim.count - this.messages.length
    const range = { ...dueRange(queue.id, claim.fromMs[at] ?? 0, dueNowMs + 1), expectedRows, presentOnly: true }
    this.reachedMs[at] = dueNowMs
    for (const [key, row] of view.range("queueOrder", range)) {
      const { dueMs } = parseDueRowKey(key)
      if (this.isFull(dueMs)) return this.stopAt(at, dueMs)
      const { messageId: id, expiresMs } = decodeDue(row.value)
      if (expiresMs <= nowMs && expiresMs > claim.overMs) {
        this.holdBack(name, dueMs)
        continue
      }
      const message = messageRowIn(view, claim.account, id)
      if (message === undefined || !isAt(message, key)) {
        this.passed += 1
        this.change.removePlace(key)
      } else if (!this.take({ id, message, queue }, name)) return this.stopAt(at, dueMs)
    }
    // A message that lacks its dead queue stays where it is.
    if (this.lacking.size > 0) this.reachedMs[at] = undefined
    return true
  }

  /** The command ends here. It holds back all messages that are due at one moment, so that the next command begins after them. */
  private isFull(dueMs: number): boolean {
    const { passedPerCommand, rowsPerPage } = QUEUE_LIMITS
    if (this.messages.length === this.claim.count || this.passed === passedPerCommand) return true
    return this.heldBack >= rowsPerPage && dueMs !== this.lastHeldBackMs
  }

  private holdBack(name: string, dueMs: number): void {
    this.heldBackIn.add(name)
    this.heldBack += 1
    this.lastHeldBackMs = dueMs
  }

  /** Ends the claim at a message with this time: none of the queue is due before it. */
  private stopAt(at: number, dueMs: number): boolean {
    this.isMore = true
    this.reachedMs[at] = this.lacking.size > 0 ? undefined : dueMs
    return false
  }

  /** Returns false if the answer would be too large. */
  private take(found: FoundMessage, name: string): boolean {
    const { id, message, queue } = found
    const { nowMs, claim } = this
    if (message.expiresMs <= nowMs) {
      this.passed += 1
      this.change.remove(id, message)
      return true
    }
    const redrive = message.redrive ?? queue.settings.redrive
    if (redrive !== undefined && message.deliveries >= redrive.maxDeliveries) {
      const { deadQueue } = redrive
      if (deadQueue !== name && !claim.refusedQueues.includes(deadQueue)) {
        this.moveTo(deadQueue, found)
        return true
      }
    }
    if (this.messages.length > 0 && this.bytes + message.contentBytes > claim.bytesMax) return false
    const seconds = claim.visibilitySeconds ?? retrySecondsOf(message, queue)
    const after: MessageRecord = {
      ...message,
      stage: "delivered",
      deliveries: message.deliveries + 1,
      dueMs: nextDueMs(message, this.dueNowMs, seconds),
      firstDeliveredMs: message.firstDeliveredMs ?? nowMs,
    }
    this.change.change(id, message, after)
    this.bytes += message.contentBytes
    this.messages.push({ id, message: after })
    return true
  }

  /** A message that has moved is kept as long as others of the queue to which it has moved. */
  private moveTo(name: string, { id, message }: FoundMessage): void {
    const { nowMs, dueNowMs } = this
    this.passed += 1
    const queue = queueIn(this.view, this.claim.account, name)
    if (queue === undefined) {
      this.lacking.add(name)
      return
    }
    this.movedTo.add(name)
    const expiresMs = Math.max(message.expiresMs, nowMs + queue.settings.retentionSeconds * SECOND_MS)
    this.change.change(id, message, {
      ...message,
      queueId: queue.id,
      queueName: name,
      stage: "waiting",
      dueMs: dueNowMs,
      expiresMs,
      deliveries: 0,
      redrive: undefined,
      movedFrom: message.queueName,
    })
  }

  /** When the first messages of these queues are due that are not yet, those that were claimed included. */
  private nextDue(): Claimed["nextDue"] {
    const claimed = this.messages.map(({ message }) => ({ queue: message.queueName, dueMs: message.dueMs }))
    const others = this.claim.queues.flatMap(name => {
      const queue = queueIn(this.view, this.claim.account, name)
      if (queue === undefined || queue.isPausedOut) return []
      const range = { ...dueRange(queue.id, this.dueNowMs + 1), expectedRows: 1, presentOnly: true }
      const first = firstOf(this.view.range("queueOrder", range))
      return first === undefined ? [] : [{ queue: name, dueMs: parseDueRowKey(first[0]).dueMs }]
    })
    return [...claimed, ...others]
  }

  get result(): Claimed {
    const { messages, isMore, reachedMs } = this
    const [lackingQueues, movedTo, heldBackIn] = [[...this.lacking], [...this.movedTo], [...this.heldBackIn]]
    const nextDue = isMore ? [] : this.nextDue()
    return { messages, isMore, nextDue, lackingQueues, movedTo, heldBackIn, reachedMs }
  }
}

/** Delivers messages that are due. A queue that does not exist has none. */
export const claimMessages = command<[claim: Claim], Claimed>({
  name: "ClaimMessages",
  grows: false,
  touches: ({ account, queues }) => queues.map(name => ["queues", queueRowKey(account, name)] as const),
  decide(view, { nowMs }, claim) {
    const decision = new ClaimDecision(view, nowMs, claim)
    for (const [at, name] of claim.queues.entries()) if (!decision.claimFrom(name, at)) break
    const { result } = decision
    return { writes: decision.change.writes, usage: decision.change.usage(), result }
  },
})

interface NamedMessages {
  readonly account: AccountId
  readonly ids: readonly MessageId[]
}

const touchesOf = ({ account, ids }: NamedMessages): Touches =>
  ids.map(id => ["queueMessages", messageRowKey(account, id)] as const)

/**
 * Removes the messages; returns those that were there. No clock counts: a consumer that acknowledges a message at a node whose
 * clock is ahead must not get it again from another one.
 */
export const removeMessages = command<
  [named: NamedMessages],
  readonly { readonly id: MessageId; readonly queueName: string }[]
>({
  name: "RemoveMessages",
  grows: false,
  touches: touchesOf,
  decide(view, _time, { account, ids }) {
    const change = new MessageWrites(view, account)
    const found = [...new Set(ids)].flatMap(id => messageIn(view, account, id, -Infinity) ?? [])
    for (const { id, message } of found) change.remove(id, message)
    const result = found.map(({ id, message }) => ({ id, queueName: message.queueName }))
    return { writes: change.writes, usage: change.usage(), result }
  },
})

/** Removes what is over of these messages: their time, or their queue. Returns how many. */
export const removeEnded = command<[ended: EndedPlaces, atMs: number], number>({
  name: "RemoveEndedMessages",
  grows: false,
  touches: ({ account, places }) => touchesOf({ account, ids: places.map(({ id }) => id) }),
  decide(view, _time, { account, places }, atMs) {
    const change = new MessageWrites(view, account)
    let removed = 0
    for (const { place, id } of places) {
      const message = messageRowIn(view, account, id)
      if (message === undefined || !isAt(message, place)) {
        change.removePlace(place)
        continue
      }
      // Ids of queues are not used again: a queue that is not there any more stays so.
      const isQueued = queueIn(view, account, message.queueName)?.id === message.queueId
      if (isQueued && message.expiresMs > atMs) continue
      change.remove(id, message, isQueued)
      removed += 1
    }
    return { writes: change.writes, usage: change.usage(), result: removed }
  },
})

/** A change of when a message is due that is not acknowledged yet. */
export type Rescheduling =
  /** Its consumer works on it: it is due again after the time between deliveries. */
  | { readonly kind: "working" }
  /** The consumer that has its latest delivery says when it is due again; 0: now. */
  | { readonly kind: "visibility"; readonly seconds: number; readonly delivery: number }
  /** A consumer puts it back. */
  | { readonly kind: "nack" }
  /** An operator makes it due now. */
  | { readonly kind: "enqueue" }
  /** An operator takes it out: it is due after the time between deliveries. */
  | { readonly kind: "dequeue" }

/** `same`: it is so already, or cannot be delivered again. */
export type RescheduleOutcome =
  | { readonly kind: "done"; readonly seconds: number; readonly queueName: string }
  | { readonly kind: "same" | "absent" | "tooLate" | "notInFlight" }

export interface RescheduledMessage {
  readonly id: MessageId
  readonly change: Rescheduling
}

/** Returns the message as it is after the change, or why it stays as it is. */
function rescheduled(
  { message, queue }: FoundMessage,
  change: Rescheduling,
  { nowMs, dueNowMs }: QueueTimes,
): MessageRecord | "same" | "tooLate" | "notInFlight" {
  const isDelivered = message.stage === "delivered"
  const isOnce = message.retrySeconds === 0
  const later = nextDueMs(message, dueNowMs, retrySecondsOf(message, queue))
  switch (change.kind) {
    case "working": {
      const halfMs = (message.createdMs + message.expiresMs) / 2
      if (nowMs > halfMs) return "tooLate"
      // It never brings a message forward, and never takes away the only delivery of one that was not delivered yet.
      return isOnce && !isDelivered ? message : { ...message, dueMs: Math.max(message.dueMs, later) }
    }
    case "visibility": {
      const isInFlight = isDelivered && message.dueMs > dueNowMs && message.deliveries === change.delivery
      if (!isInFlight) return "notInFlight"
      return { ...message, dueMs: nextDueMs(message, dueNowMs, change.seconds) }
    }
    case "nack":
      if (isOnce && isDelivered) return "same"
      return { ...message, stage: "waiting", dueMs: dueNowMs, nacks: message.nacks + 1 }
    case "enqueue":
      if (message.dueMs <= dueNowMs || (isOnce && isDelivered)) return "same"
      return { ...message, stage: "waiting", dueMs: dueNowMs, enqueues: message.enqueues + 1 }
    case "dequeue":
      return message.dueMs > dueNowMs ? "same" : { ...message, dueMs: later }
  }
}

/** Changes when messages are due: different ones. Returns what became of each. `storeMs`: the store's clock. */
export const rescheduleMessages = command<
  [account: AccountId, messages: readonly RescheduledMessage[], storeMs: number],
  readonly RescheduleOutcome[]
>({
  name: "RescheduleMessages",
  grows: false,
  touches: (account, messages) => touchesOf({ account, ids: messages.map(({ id }) => id) }),
  decide(view, { nowMs }, account, messages, storeMs) {
    const dueNowMs = orderTimeMs(nowMs, storeMs)
    const writes = new MessageWrites(view, account)
    const result = messages.map(({ id, change }): RescheduleOutcome => {
      const found = messageIn(view, account, id, nowMs)
      if (found === undefined) return { kind: "absent" }
      const after = rescheduled(found, change, { nowMs, dueNowMs })
      if (typeof after === "string") return { kind: after }
      writes.change(id, found.message, after)
      const { queueName } = found.message
      return { kind: "done", seconds: Math.max(0, Math.round((after.dueMs - dueNowMs) / SECOND_MS)), queueName }
    })
    return { writes: writes.writes, usage: writes.usage(), result }
  },
})
