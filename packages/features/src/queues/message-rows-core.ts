/** Rows of queues and messages as decisions and queries see them, and the writes that change a message. Pure. */
import type { Family } from "@hayloft/base/rows/families.js"
import type { AccountId, MessageId, RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  decodeMessage,
  decodeQueue,
  dueRowKey,
  encodeDue,
  encodeMessage,
  messageRowKey,
  queueRowKey,
  queueUsageRowKey,
  type MessageRecord,
  type QueueRecord,
} from "@hayloft/engine/format/queue-rows.js"
import type { CommandView, RowView, UsageChange } from "@hayloft/engine/metadata/index.js"
import { QUEUE_LIMITS } from "./limits.js"

/** A time by the wall clock, by which messages expire, and the time that decides what is due. */
export interface QueueTimes {
  readonly nowMs: number
  readonly dueNowMs: number
}

/**
 * Returns the time that decides what is due. A wall clock that is far ahead would give messages places that are not due for as long
 * once it is right, so the store's clock counts meanwhile; 0: that is not known.
 */
export const orderTimeMs = (wallMs: number, storeMs: number): number =>
  storeMs > 0 && wallMs - storeMs > QUEUE_LIMITS.aheadMsMax ? storeMs : wallMs

interface PresentRows {
  ifPresent(family: Family, key: RowKey): ReturnType<RowView["get"]>
}

/** Rows of a query, as a decision would read them that does not rely on their absence. */
export const presentIn = (view: Pick<RowView, "get">): PresentRows => ({
  ifPresent: (family, key) => view.get(family, key),
})

export function queueIn(view: PresentRows, account: AccountId, name: string): QueueRecord | undefined {
  const row = view.ifPresent("queues", queueRowKey(account, name))
  return row && decodeQueue(row.value)
}

export interface FoundMessage {
  readonly id: MessageId
  readonly message: MessageRecord
  readonly queue: QueueRecord
}

/** The row of a message whether or not its queue is still there. */
export function messageRowIn(view: PresentRows, account: AccountId, id: MessageId): MessageRecord | undefined {
  const row = view.ifPresent("queueMessages", messageRowKey(account, id))
  return row && decodeMessage(row.value)
}

/** Returns undefined if there is no such message, its queue was deleted or emptied since, or its time is over. */
export function messageIn(
  view: PresentRows,
  account: AccountId,
  id: MessageId,
  nowMs: number,
): FoundMessage | undefined {
  const message = messageRowIn(view, account, id)
  if (message === undefined || message.expiresMs <= nowMs) return undefined
  const queue = queueIn(view, account, message.queueName)
  return queue?.id === message.queueId ? { id, message, queue } : undefined
}

/** A row of the order, and the message that it names. */
export interface PlaceOfMessage {
  readonly place: RowKey
  readonly id: MessageId
}

export interface EndedPlaces {
  readonly account: AccountId
  readonly places: readonly PlaceOfMessage[]
}

export const isAt = (message: MessageRecord, place: RowKey): boolean => dueRowKey(message.queueId, message) === place

/** Changes of messages of one account: the rows that a decision writes for them, and what the queues hold then. */
export class MessageWrites {
  readonly writes: EntryWrite[] = []
  private readonly held = new Map<string, { messages: number; bytes: number }>()

  constructor(
    private readonly view: CommandView,
    private readonly account: AccountId,
  ) {}

  /** Adds a message whose id is new. */
  add(id: MessageId, message: MessageRecord, content: Uint8Array | undefined): void {
    this.put(id, message)
    if (content !== undefined)
      this.writes.push({ family: "queueContents", key: messageRowKey(this.account, id), value: content })
    this.count(message.queueId, 1, message.contentBytes)
  }

  /** Replaces a message, which may have another place, or another queue. */
  change(id: MessageId, before: MessageRecord, after: MessageRecord): void {
    const [placeBefore, place] = [dueRowKey(before.queueId, before), dueRowKey(after.queueId, after)]
    if (placeBefore !== place) this.removeRow("queueOrder", placeBefore)
    // It is read before it is replaced.
    else this.view.ifPresent("queueOrder", place)
    this.put(id, after)
    if (before.queueId === after.queueId) return
    this.count(before.queueId, -1, -before.contentBytes)
    this.count(after.queueId, 1, after.contentBytes)
  }

  /** `isCounted`: its queue is still there. */
  remove(id: MessageId, message: MessageRecord, isCounted = true): void {
    const key = messageRowKey(this.account, id)
    this.removeRow("queueOrder", dueRowKey(message.queueId, message))
    this.removeRow("queueMessages", key)
    if (message.content === undefined) this.removeRow("queueContents", key)
    if (isCounted) this.count(message.queueId, -1, -message.contentBytes)
  }

  /** Removes a place at which there is no message. */
  removePlace(key: RowKey): void {
    this.removeRow("queueOrder", key)
  }

  /** `limits`: of one queue, for what grows. */
  usage(limits?: { readonly queueId: string; readonly bytesMax: number; readonly objectsMax?: number }): UsageChange[] {
    return [...this.held]
      .filter(([, { messages, bytes }]) => messages !== 0 || bytes !== 0)
      .map(([queueId, { messages, bytes }]) => {
        const change = { objects: messages, bytes, partBytes: 0 }
        const { bytesMax, objectsMax } = limits?.queueId === queueId ? limits : {}
        const most = { ...(bytesMax !== undefined && { bytesMax }), ...(objectsMax !== undefined && { objectsMax }) }
        return { key: queueUsageRowKey(queueId), change, ...most }
      })
  }

  private put(id: MessageId, message: MessageRecord): void {
    const { account } = this
    const due = encodeDue({ accountId: account, messageId: id, expiresMs: message.expiresMs, stage: message.stage })
    this.writes.push(
      { family: "queueMessages", key: messageRowKey(account, id), value: encodeMessage(message) },
      { family: "queueOrder", key: dueRowKey(message.queueId, message), value: due },
    )
  }

  private removeRow(family: Family, key: RowKey): void {
    if (this.view.ifPresent(family, key) !== undefined) this.writes.push({ family, key, value: undefined })
  }

  private count(queueId: string, messages: number, bytes: number): void {
    const held = this.held.get(queueId) ?? { messages: 0, bytes: 0 }
    this.held.set(queueId, { messages: held.messages + messages, bytes: held.bytes + bytes })
  }
}
