/** The data that Swift's clients have set on accounts: the commands on it, and its reader. */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { parseAccountId, type AccountId, type RowKey } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import { after } from "@hayloft/base/soon.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import {
  decodeSwiftAccount,
  encodeSwiftAccount,
  type SwiftAccount,
} from "@hayloft/engine/format/swift/swift-account.js"
import { command, query, type Metadata } from "@hayloft/engine/metadata/index.js"
import { readPage, type RecordPage } from "./record-pages-core.js"

const CONFLICTS_MAX = 10
const EMPTY: SwiftAccount = { metadata: [], access: "" }

/** Returns undefined if nothing is set. */
export const readSwiftAccount = query("ReadSwiftAccount", (view, id: AccountId): Uint8Array | undefined => {
  const value = view.get("swiftAccounts", textRowKey(id))?.value
  return value && Uint8Array.from(value)
})

/** Replaces what is set, if it is still `former`. Throws `noSuchAccount`, `conflict`. */
export const setSwiftAccount = command<[id: AccountId, former: Uint8Array | undefined, next: Uint8Array], void>({
  name: "SetSwiftAccount",
  // On a full store data can be removed from an account, permissions can be withdrawn, and the account can be deleted.
  grows: (_id, former, next) => next.length > (former?.length ?? 0) && decodeSwiftAccount(next).deletedMs === undefined,
  touches: id => [
    ["accounts", textRowKey(id)],
    ["swiftAccounts", textRowKey(id)],
  ],
  decide(view, _time, id, former, next) {
    if (view.get("accounts", textRowKey(id)) === undefined) throw fail("noSuchAccount", { account: id })
    const value = view.get("swiftAccounts", textRowKey(id))?.value
    const isSame = value === undefined ? former === undefined : former !== undefined && equalBytes(value, former)
    if (!isSame) throw fail("conflict")
    return { writes: [{ family: "swiftAccounts", key: textRowKey(id), value: next }], result: undefined }
  },
})

/** The accounts of a page that were deleted by then. */
export const deletedSwiftAccounts = query(
  "DeletedSwiftAccounts",
  (view, start: RowKey, untilMs: number): RecordPage<AccountId> => {
    const page = readPage(view, "swiftAccounts", ALL_ROWS, start, (key, value) => {
      const { deletedMs } = decodeSwiftAccount(value)
      return deletedMs !== undefined && deletedMs <= untilMs ? parseAccountId(key) : undefined
    })
    return { items: page.items.filter(id => id !== undefined), next: page.next }
  },
)

export interface SwiftAccounts {
  /** Returns the accounts that were deleted by then, in no order. */
  deletedBy(untilMs: number): AsyncIterable<AccountId>
  of(id: AccountId): Soon<SwiftAccount>
  /**
   * Sets what follows from what is set; no other change comes between. Throws what `change` throws, `noSuchAccount`,
   * `conflict`.
   */
  change(id: AccountId, change: (former: SwiftAccount) => SwiftAccount): Promise<void>
}

class SwiftAccountRows implements SwiftAccounts {
  constructor(
    private readonly metadata: Pick<Metadata, "ask" | "run">,
    private readonly prepare: () => Promise<void>,
  ) {}

  async *deletedBy(untilMs: number): AsyncGenerator<AccountId> {
    const pages = walkPages(ALL_ROWS.start, start => this.metadata.ask(deletedSwiftAccounts(start, untilMs)))
    for await (const page of pages) {
      yield* page.items
    }
  }

  of(id: AccountId): Soon<SwiftAccount> {
    return after(this.metadata.ask(readSwiftAccount(id)), decoded)
  }

  async change(id: AccountId, change: (former: SwiftAccount) => SwiftAccount): Promise<void> {
    for (let conflicts = 0; ;) {
      const former = await this.metadata.ask(readSwiftAccount(id))
      const next = encodeSwiftAccount(change(decoded(former)))
      await this.prepare()
      try {
        return await this.metadata.run(setSwiftAccount(id, former, next))
      } catch (error) {
        if (!isFailure(error, "conflict") || (conflicts += 1) > CONFLICTS_MAX) throw error
      }
    }
  }
}

const decoded = (bytes: Uint8Array | undefined): SwiftAccount =>
  bytes === undefined ? EMPTY : decodeSwiftAccount(bytes)

/** `prepare` resolves once the devices refuse releases that do not know these rows. */
export const openSwiftAccounts = (
  metadata: Pick<Metadata, "ask" | "run">,
  prepare: () => Promise<void>,
): SwiftAccounts => new SwiftAccountRows(metadata, prepare)
