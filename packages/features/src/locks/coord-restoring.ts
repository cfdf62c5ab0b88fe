/**
 * Brings small files back from rows of a copy of the metadata. Sessions and locks do not come back: since the copy was made
 * others may have got the locks, and their tokens are greater than those of the copy.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { parseCoordPath, rowKeyOf, type AccountId, type RowKey } from "@hayloft/base/ids.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { decodeFile, namespaceOf } from "@hayloft/engine/format/coord-rows.js"
import { parseAccountRowKey } from "@hayloft/engine/format/row-key.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { readBeats } from "./coord-queries-core.js"
import { restoreFile } from "./file-commands-core.js"
import { STORE_NAMESPACE } from "./limits.js"
import { endSession } from "./session-commands-core.js"

/** A row of a copy. */
interface CopiedRow {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array
}

/** Small files that come back: not those of sessions, and not those that the store itself writes. */
export function isRestorableFile({ family, key, value }: CopiedRow): boolean {
  if (family !== "coordFiles" || decodeFile(value).session !== undefined) return false
  return namespaceOf(parseCoordPath(parseAccountRowKey(key).rest)) !== STORE_NAMESPACE
}

/** Counts the files that would come back to an empty store. */
export async function countRestorableFiles(rows: AsyncIterable<CopiedRow>): Promise<number> {
  let files = 0
  for await (const _ of rows) files += 1
  return files
}

export class FileRestoring {
  constructor(
    private readonly metadata: Pick<Metadata, "run" | "ask">,
    /** Resolves once earlier releases refuse the devices. */
    private readonly prepare: () => Promise<void>,
    /** Returns the account that now has the files of an account of the copy. */
    private readonly accountOf: (account: AccountId) => AccountId = account => account,
  ) {}

  /** Returns whether the file is back: not if there is one that is as new. */
  async take({ key, value }: CopiedRow): Promise<boolean> {
    const { account, rest } = parseAccountRowKey(key)
    await this.prepare()
    const { version, content } = decodeFile(value)
    const copied = { account: this.accountOf(account), path: parseCoordPath(rest), version, content }
    return this.metadata.run(restoreFile(copied))
  }

  async takeAll(rows: AsyncIterable<CopiedRow>): Promise<number> {
    let files = 0
    for await (const row of rows) if (await this.take(row)) files += 1
    return files
  }

  /** For rows that were set back to an earlier moment: ends all sessions, since their locks may have had other holders after it. */
  async endSessions(): Promise<void> {
    for await (const page of walkPages(rowKeyOf(""), from => this.metadata.ask(readBeats(from)))) {
      for (const { account, id } of page.beats) await this.metadata.run(endSession({ account, id }, undefined))
    }
  }
}
