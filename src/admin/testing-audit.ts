/** An audit log in memory, for tests of the admin API. */
import type { AuditedChange, AuditPage } from "../access/index.js"
import { parseAuditId } from "../base/ids.js"
import type { AdminStore } from "./api.js"

type Service = AdminStore["audit"]

export class FakeAudit implements Service {
  private readonly all: AuditPage["entries"][number][] = []

  async begin(...[change, before]: Parameters<Service["begin"]>): Promise<AuditedChange> {
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
