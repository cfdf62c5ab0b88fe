/** Queues: what producers, consumers and operators give and get. */
import type { AccountId, MessageId } from "@hayloft/base/ids.js"
import type { MessageContent, MessageRecord, Redrive } from "@hayloft/engine/format/queue-rows.js"

/** A message that a producer adds. */
export interface MessageInput {
  readonly content: MessageContent
  /** The ARN of the principal that adds it. */
  readonly sender: string
  /** How many copies of it must be durable; default: 1. */
  readonly copies?: number | undefined
  /** If undefined, the queue decides. */
  readonly delaySeconds?: number | undefined
  readonly retentionSeconds?: number | undefined
  /** Until it is delivered again unless it is acknowledged; 0: it is delivered at most once. */
  readonly retrySeconds?: number | undefined
  readonly redrive?: Redrive | undefined
}

export interface Delivery {
  readonly id: MessageId
  readonly message: MessageRecord
  readonly content: MessageContent
}

export interface Reception {
  readonly account: AccountId
  readonly queues: readonly string[]
  readonly count: number
  readonly visibilitySeconds?: number | undefined
}

export type { NamedQueue, QueueLengths, ShownMessage } from "./queue-queries-core.js"
export type { QueueChange, QueueName } from "./queue-commands-core.js"
export type { Rescheduling } from "./message-commands-core.js"
