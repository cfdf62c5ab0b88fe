/**
 * Accounts, keys and identities in the metadata: the only reader and the only writer.
 *
 * Promises  The generation has increased by the time a change is acknowledged, also if the change's outcome is unknown.
 *           `DirectoryCache` caches values derived from query results and drops them with the generation. A request
 *           confirms the generation once, before it uses them: a revocation by another process holds from then on.
 * Limits    `RECORDS_PER_PAGE` records in one result.
 */
import type { RowKey } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { Command, Metadata, Query } from "@hayloft/engine/metadata/index.js"
import type { RecordPage } from "./record-pages-core.js"

export class Directory {
  private changes = 0

  constructor(private readonly metadata: Metadata) {}

  /** Increases with each change, by any process: of another one at the latest when `confirm` resolves. */
  get generation(): number {
    return this.metadata.generation + this.changes
  }

  /** Resolves once cached values are as new as this call; undefined: they are. */
  confirm(): Promise<void> | undefined {
    return this.metadata.confirm()
  }

  ask<Result>(query: Query<Result>): Soon<Result> {
    return this.metadata.ask(query)
  }

  /** All records of a range, page by page: each page is a snapshot, the pages together are not. */
  async *pages<Item>(
    start: RowKey,
    pageFrom: (start: RowKey) => Query<RecordPage<Item>>,
  ): AsyncGenerator<readonly Item[]> {
    for await (const page of walkPages(start, from => this.ask(pageFrom(from)))) {
      yield page.items
    }
  }

  async change<Result>(command: Command<Result>): Promise<Result> {
    try {
      return await this.metadata.run(command)
    } finally {
      this.changes += 1
    }
  }

  /** Something beside the metadata has changed on which cached values depend. */
  invalidate(): void {
    this.changes += 1
  }

  /** A change that no decision depends on: it invalidates no cache. */
  note(command: Command<void>): Promise<void> {
    return this.metadata.run(command)
  }
}
