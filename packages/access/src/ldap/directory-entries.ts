/** The policies of people and groups of an LDAP directory. See `../contract.ts`. */
import type { AccountId } from "@hayloft/base/ids.js"
import { rowKeyAfter } from "@hayloft/base/ids.js"
import type { DirectoryEntries, DirectoryEntry } from "../contract.js"
import type { Directory } from "../accounts/directory.js"
import {
  attachToEntry,
  detachFromEntry,
  entryRow,
  readEntries,
  readEntriesAmong,
} from "../identities/entry-commands-core.js"
import { normalDn } from "@hayloft/base/seams/ldap/dn-core.js"

export class EntriesOfAccount implements DirectoryEntries {
  constructor(
    private readonly directory: Directory,
    private readonly accountId: AccountId,
    /** Resolves once the devices refuse releases that do not know these rows. */
    private readonly prepare: () => Promise<void>,
  ) {}

  async attach(dn: string, arn: string): Promise<DirectoryEntry> {
    const normal = normalDn(dn)
    await this.prepare()
    return this.directory.change(attachToEntry(this.accountId, normal, arn))
  }

  async detach(dn: string, arn: string): Promise<void> {
    await this.directory.change(detachFromEntry(this.accountId, normalDn(dn), arn))
  }

  async among(dns: readonly string[]): Promise<readonly DirectoryEntry[]> {
    return this.directory.ask(readEntriesAmong(this.accountId, dns))
  }

  async *list(after: string): AsyncGenerator<DirectoryEntry> {
    const { accountId } = this
    const start = rowKeyAfter(entryRow(accountId, after))
    for await (const page of this.directory.pages(start, from => readEntries(accountId, from))) yield* page
  }
}
