/**
 * Brings queues and their messages back from rows of a copy of the metadata, in the order in which a backup has them: queues,
 * messages, contents.
 *
 * Limits  QUEUE_LIMITS: messages of one command.
 */
import type { Family } from "../base/families.js"
import { parseAccountId, parseMessageId, rowKeyOf, type AccountId, type MessageId, type RowKey } from "../base/ids.js"
import { decodeMessage, decodeQueue } from "../format/queue-rows.js"
import type { Metadata } from "../metadata/index.js"
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

/** What would come back, if nothing was there. */
export async function countRestorable(rows: AsyncIterable<CopiedRow>): Promise<RestoredQueues> {
  let [queues, messages] = [0, 0]
  for await (const { family, value } of rows) {
    if (family === "queues") queues += 1
    else if (family === "queueMessages" && decodeMessage(value).retrySeconds !== 0) messages += 1
  }
  return { queues, messages }
}

interface OnceMessage {
  readonly account: AccountId
  readonly id: MessageId
}

/** What has come back. */
export interface RestoredQueues {
  readonly queues: number
  readonly messages: number
}

export class QueueRestoring {
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
    const at = key.indexOf("\x00")
    const [account, name] = [this.accountOf(parseAccountId(key.slice(0, at))), key.slice(at + 1)]
    if (family === "queues") {
      await this.prepare()
      const { create, pause } = restoreQueue({ account, name }, decodeQueue(value))
      const { isNew } = await this.metadata.run(create)
      if (isNew && pause !== undefined) await this.metadata.run(pause)
      if (isNew) this.queues += 1
    } else if (family === "queueMessages") {
      if (this.waiting?.account !== account || this.waiting.messages.length >= QUEUE_LIMITS.namedMax) await this.flush()
      this.waiting ??= { account, messages: [] }
      this.waiting.messages.push({ id: parseMessageId(name), message: decodeMessage(value) })
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
    for (let from: RowKey | undefined = rowKeyOf(""); from !== undefined;) {
      const page: { readonly found: readonly OnceMessage[]; readonly next: RowKey | undefined } = await metadata.ask(
        findOnce(from),
      )
      for (const account of new Set(page.found.map(each => each.account))) {
        const ids = page.found.flatMap(each => (each.account === account ? [each.id] : []))
        await metadata.run(removeMessages({ account, ids }))
      }
      from = page.next
    }
  }

  private async flush(): Promise<void> {
    const { waiting } = this
    this.waiting = undefined
    if (waiting !== undefined)
      this.messages += await this.metadata.run(restoreMessages(waiting.account, waiting.messages))
  }
}
