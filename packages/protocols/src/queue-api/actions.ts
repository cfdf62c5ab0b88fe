/**
 * Actions on queues, as access policies name them: those of Amazon's SQS, for both APIs. The resource is the queue's ARN;
 * `*` for those that name no queue.
 */
import type { AccountNumber } from "@hayloft/base/ids.js"

const SQS_ACTIONS = [
  "SendMessage",
  "ReceiveMessage",
  "DeleteMessage",
  "ChangeMessageVisibility",
  "CreateQueue",
  "DeleteQueue",
  "PurgeQueue",
  "GetQueueUrl",
  "GetQueueAttributes",
  "SetQueueAttributes",
  "ListQueues",
  "ListDeadLetterSourceQueues",
  "ListQueueTags",
  "TagQueue",
  "UntagQueue",
] as const

export type QueueAction = (typeof SQS_ACTIONS)[number]

export const SERVICE = "sqs"

export const queueActions = (): readonly string[] => SQS_ACTIONS.map(name => `${SERVICE}:${name}`)

export const queueArn = (region: string, account: AccountNumber, name: string): string =>
  `arn:aws:${SERVICE}:${region}:${account}:${name}`

const QUEUE_ARN = /^arn:aws:sqs:([^:]*):(\d{12}):([^:]+)$/

/** Returns undefined if the text is not the ARN of a queue. */
export function parseQueueArn(text: string): { readonly account: string; readonly name: string } | undefined {
  const [, , account, name] = QUEUE_ARN.exec(text) ?? []
  return account === undefined || name === undefined ? undefined : { account, name }
}
