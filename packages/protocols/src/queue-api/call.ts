/** A request by a caller whose key is known, as the operations of both APIs see it. */
import type { AccountId, AccountNumber } from "@hayloft/base/ids.js"
import type { Exchange } from "../http/index.js"
import type { Until } from "@hayloft/base/life/index.js"
import {
  parseQueueName,
  type Delivery,
  type QueueName,
  type Queues,
  type Reception,
} from "@hayloft/features/queues/index.js"
import type { QueueAction } from "./actions.js"

interface Caller {
  readonly account: AccountId
  readonly number: AccountNumber
  /** The ARN by which messages name their sender. */
  readonly arn: string
}

/** The services of the store that requests use, apart from its queues. */
export interface StoreOfQueues {
  /** This node, in the ids of messages: 8 hex digits. */
  readonly node: string
  readonly version: string
  /** The copies that a commit of metadata makes durable. */
  readonly copiesNow: () => number
  /** Names of the nodes that run, this one first. */
  readonly nodes: () => readonly string[]
}

export interface QueueCall {
  readonly queues: Queues
  readonly until: Until
  readonly store: StoreOfQueues
  readonly caller: Caller
  readonly region: string
  readonly exchange: Exchange
  readonly body: Uint8Array
  /** Throws `accessDenied` unless the caller may do this with the queue; without a name: with all queues. */
  readonly require: (action: QueueAction, queue?: string) => void
  readonly nowMs: () => number
}

/** A queue of the caller's account. Throws `invalidArgument`. */
export const queueOf = ({ caller }: Pick<QueueCall, "caller">, name: string): QueueName => ({
  account: caller.account,
  name: parseQueueName(name),
})

/** Messages, which may have to be waited for; none after the time. */
export async function receive(
  { queues, until, exchange }: QueueCall,
  reception: Reception,
  waitSeconds: number,
): Promise<readonly Delivery[]> {
  const waiter = queues.watchFor(reception.account, reception.queues)
  // One that has gone takes nothing more.
  const look = () => (exchange.signal.aborted ? undefined : queues.receive(reception, waiter))
  const found = await until(waiter, waitSeconds, look)
  if (found === undefined) return []
  // The consumer has gone: others need not wait until the messages are due again.
  if (exchange.signal.aborted)
    await queues.reschedule(
      reception.account,
      found.map(({ id }) => ({ id, change: { kind: "visibility", seconds: 0, delivery: deliveryOf(found, id) } })),
    )
  return found
}

const deliveryOf = (found: readonly Delivery[], id: string): number =>
  found.find(each => each.id === id)?.message.deliveries ?? 0
