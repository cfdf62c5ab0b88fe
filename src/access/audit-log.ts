/**
 * The audit log: changes by the admin API, as rows that all nodes share.
 *
 * A record is written before its change, and completed after it: a process that ends in between leaves one that does not say
 * how the change ended. The log line `admin_change` says the same of each change, whatever happens to the row.
 *
 * Promises  No change is refused, or waits for long, because it cannot be recorded: a store that is full, halted or hangs
 *           must be mended. Then a log line says that the record is missing. Records contain no secrets: callers hide them.
 * Limits    `AUDIT_LIMITS`.
 */
import { asFailure, fail } from "../base/failures.js"
import { parseAuditId, type AuditId } from "../base/ids.js"
import type { AuditRecord } from "../format/audit-record.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Random } from "../seams/random/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import { beginAudit, dropAudit, endAudit, oldAudit, readAudit, type AuditPage } from "./audit-log-core.js"
import type { Directory } from "./directory.js"
import { KEY_LETTERS, randomText } from "./random-ids.js"

const DAY_MS = 86_400_000

export const AUDIT_LIMITS = {
  keepMs: 90 * DAY_MS,
  /** After this time a change goes on without its record: a device or the database may hang that it is to mend. */
  waitMs: 5_000,
  /** Of the request, and of what there was before and after; longer texts are left out. */
  textCharactersMax: 8_192,
} as const

const RANDOM_LETTERS = 8

type Change = Omit<AuditRecord, "atMs" | "before" | "after" | "ended">

/** A change under way. */
export interface AuditedChange {
  /** `outcome`: "done", or the kind of the failure. */
  end(outcome: string, after: () => Promise<string | undefined>): Promise<void>
}

export class AuditLog {
  private readonly random: Random

  constructor(
    private readonly clock: Pick<Clock, "wallMs" | "alarm">,
    random: Random,
    private readonly directory: Directory,
    private readonly log: Log,
    /** Resolves once the devices refuse releases that do not know the log. */
    private readonly prepare: () => Promise<void>,
  ) {
    this.random = random.fork("audit")
  }

  async begin(change: Change, before: () => Promise<string | undefined>): Promise<AuditedChange> {
    const atMs = this.clock.wallMs()
    const letters = randomText(this.random, KEY_LETTERS, RANDOM_LETTERS).toLowerCase()
    const id = parseAuditId(`${String(atMs).padStart(13, "0")}-${letters}`)
    const record = { ...change, request: bounded(change.request), atMs, after: undefined, ended: undefined }
    await this.write(change, async () => {
      await this.prepare()
      await this.directory.note(beginAudit({ id, ...record, before: bounded(await before()) }))
      const old = await this.directory.ask(oldAudit(atMs - AUDIT_LIMITS.keepMs))
      if (old.length > 0) await this.directory.note(dropAudit(old))
    })
    return { end: (outcome, after) => this.end(id, change, outcome, after) }
  }

  /** The latest first; `after` is `next` of the page before. */
  async list(after: AuditId | undefined, max: number): Promise<AuditPage> {
    return this.directory.ask(readAudit(after, max))
  }

  private async end(
    id: AuditId,
    change: Change,
    outcome: string,
    after: () => Promise<string | undefined>,
  ): Promise<void> {
    const { operation, target, caller } = change
    this.log.info("admin_change", { operation, target, outcome, token: caller.name, remote: caller.address })
    const ended = { atMs: this.clock.wallMs(), outcome }
    await this.write(change, async () => this.directory.note(endAudit(id, { after: bounded(await after()), ended })))
  }

  private async write({ operation, target }: Change, work: () => Promise<void>): Promise<void> {
    try {
      await this.inTime(work())
    } catch (error) {
      this.log.warn("audit_record_lost", { operation, target, reason: asFailure(error).message })
    }
  }

  private inTime(work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(fail("tooManyInFlight", { message: "the metadata does not respond" }))
      const cancel = this.clock.alarm(AUDIT_LIMITS.waitMs, late)
      work.then(resolve, reject).finally(cancel)
    })
  }
}

const bounded = (text: string | undefined): string | undefined =>
  text === undefined || text.length <= AUDIT_LIMITS.textCharactersMax ? text : undefined
