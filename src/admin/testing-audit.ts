/** An audit log in memory, for tests of the admin API. */
import type { AuditedChange, AuditPage } from "../access/index.js"
import { parseAuditId } from "../base/ids.js"
import type { AdminStore } from "./api.js"

type Service = AdminStore["audit"]

export class FakeAudit implements Service {
  private readonly all: AuditPage["entries"][number][] = []

  async begin(change: Parameters<Service["begin"]>[0]): Promise<AuditedChange> {
    const place = this.all.length
    const id = parseAuditId(`0000000000007-${String.fromCharCode(97 + (place % 26)).repeat(8)}`)
    const entry = { ...change, id, atMs: 7, after: undefined, ended: undefined }
    this.all.push(entry)
    return {
      end: async (outcome, after) => void (this.all[place] = { ...entry, after, ended: { atMs: 8, outcome } }),
    }
  }

  async list(_after: unknown, max: number): Promise<AuditPage> {
    return { entries: this.all.toReversed().slice(0, max), next: undefined }
  }
}
