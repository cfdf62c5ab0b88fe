/** An audit log in memory, for tests of what is recorded. */
import { parseAuditId } from "@hayloft/base/ids.js"
import type { AuditedChange, AuditLog } from "./audit-log.js"
import type { AuditPage } from "./audit-log-core.js"

type Entry = AuditPage["entries"][number]

export class FakeAudit implements Pick<AuditLog, "begin" | "list"> {
  readonly all: Entry[] = []

  /** The latest of an operation. */
  last(operation: string): Entry | undefined {
    return this.all.findLast(entry => entry.operation === operation)
  }

  async begin(...[change, before]: Parameters<AuditLog["begin"]>): Promise<AuditedChange> {
    const place = this.all.length
    const id = parseAuditId(`0000000000007-${String.fromCharCode(97 + (place % 26)).repeat(8)}`)
    const entry = { ...change, before: await before(), id, atMs: 7, after: undefined, ended: undefined }
    this.all.push(entry)
    return {
      end: async (outcome, after) => {
        this.all[place] = { ...entry, after: await after(), ended: { atMs: 8, outcome } }
      },
    }
  }

  async list(_after: unknown, max: number): Promise<AuditPage> {
    return { entries: this.all.toReversed().slice(0, max), next: undefined }
  }
}
