/**
 * Brings queues and their messages back from rows of a copy of the metadata, in the order in which a backup has them: queues,
 * messages, contents.
 *
 * Limits  QUEUE_LIMITS: messages of one command.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { parseMessageId, rowKeyOf, type AccountId, type RowKey } from "@hayloft/base/ids.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import {
  decodeMessage,
  decodeQueue,
  queueRowKey,
  type MessageRecord,
  type QueueRecord,
} from "@hayloft/engine/format/queue-rows.js"
import { parseAccountRowKey } from "@hayloft/engine/format/row-key.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { QUEUE_LIMITS } from "./limits.js"
import { removeMessages } from "./message-commands-core.js"
import { findOnce } from "./queue-queries-core.js"
import { restoreContent, restoreMessages, restoreQueue, type RestoredMessage } from "./restore-commands-core.js"

const FAMILIES: ReadonlySet<Family> = new Set<Family>(["queues", "queueMessages", "queueContents"])

/** A row of a copy. */
interface CopiedRow {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array
}

export const isOfQueues = ({ family }: Pick<CopiedRow, "family">): boolean => FAMILIES.has(family)

/** Which messages of a copy belonged to their queues when it was made: others were purged, or their queue was deleted. */
class CopiedQueues {
  /** By account and name: the latest id. Those of later queues are greater. */
  private readonly ids = new Map<string, string>()

  add(key: RowKey, { id }: QueueRecord): void {
    if (id > (this.ids.get(key) ?? "")) this.ids.set(key, id)
  }

  /** A message that was added after its queue had been copied, or whose queue cannot be read, counts as the queue's. */
  has(key: RowKey, { queueName, queueId }: MessageRecord): boolean {
    return queueId >= (this.ids.get(queueRowKey(parseAccountRowKey(key).account, queueName)) ?? "")
  }
}

/** Counts the queues and messages that would come back to an empty store. */
export async function countRestorable(rows: AsyncIterable<CopiedRow>): Promise<RestoredQueues> {
  const copied = new CopiedQueues()
  let [queues, messages] = [0, 0]
  for await (const { family, key, value } of rows) {
    if (family === "queues") {
      copied.add(key, decodeQueue(value))
      queues += 1
    } else if (family === "queueMessages") {
      const message = decodeMessage(value)
      if (message.retrySeconds !== 0 && copied.has(key, message)) messages += 1
    }
  }
  return { queues, messages }
}

/** How much has come back. */
interface RestoredQueues {
  readonly queues: number
  readonly messages: number
}

export class QueueRestoring {
  private readonly copied = new CopiedQueues()
  private queues = 0
  private messages = 0
  private waiting: { readonly account: AccountId; readonly messages: RestoredMessage[] } | undefined

  constructor(
    private readonly metadata: Pick<Metadata, "run">,
    /** Resolves once earlier releases refuse the devices. */
    private readonly prepare: () => Promise<void>,
    /** Whose the queues of an account of the copy are now. */
    private readonly accountOf: (account: AccountId) => AccountId = account => account,
  ) {}

  async take({ family, key, value }: CopiedRow): Promise<void> {
    const { account: copied, rest: name } = parseAccountRowKey(key)
    const account = this.accountOf(copied)
    if (family === "queues") {
      await this.prepare()
      const queue = decodeQueue(value)
      this.copied.add(key, queue)
      const { create, pause } = restoreQueue({ account, name }, queue)
      const { isNew } = await this.metadata.run(create)
      if (isNew && pause !== undefined) await this.metadata.run(pause)
      if (isNew) this.queues += 1
    } else if (family === "queueMessages") {
      const [id, message] = [parseMessageId(name), decodeMessage(value)]
      if (!this.copied.has(key, message)) return
      if (this.waiting?.account !== account || this.waiting.messages.length >= QUEUE_LIMITS.namedMax) await this.flush()
      this.waiting ??= { account, messages: [] }
      // Two copies may have the same message.
      if (!this.waiting.messages.some(each => each.id === id)) this.waiting.messages.push({ id, message })
    } else if (family === "queueContents") {
      await this.flush()
      await this.metadata.run(restoreContent(account, { id: parseMessageId(name), content: value }))
    }
  }

  async takeAll(rows: AsyncIterable<CopiedRow>): Promise<RestoredQueues> {
    for await (const row of rows) await this.take(row)
    return this.finish()
  }

  async finish(): Promise<RestoredQueues> {
    await this.flush()
    return { queues: this.queues, messages: this.messages }
  }

  /**
   * For rows that were set back to an earlier moment: removes messages that are delivered at most once, since they may have
   * been delivered after it.
   */
  static async dropOnce(metadata: Pick<Metadata, "run" | "ask">): Promise<void> {
    for await (const page of walkPages(rowKeyOf(""), from => metadata.ask(findOnce(from)))) {
      for (const account of new Set(page.found.map(each => each.account))) {
        const ids = page.found.flatMap(each => (each.account === account ? [each.id] : []))
        await metadata.run(removeMessages({ account, ids }))
      }
    }
  }

  private async flush(): Promise<void> {
    const { waiting } = this
    this.waiting = undefined
    if (waiting !== undefined)
      this.messages += await this.metadata.run(restoreMessages(waiting.account, waiting.messages))
  }
}
