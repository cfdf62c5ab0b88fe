/**
 * The audit log: changes by the admin API, by S3 (of buckets and their settings), IAM and KMS, as rows that all nodes share.
 *
 * A record is written before its change, and completed after it: a process that ends in between leaves one that does not say
 * how the change ended. The log line `admin_change` says the same of each change, whatever happens to the row.
 *
 * Promises  No change is refused, or waits for long, because it cannot be recorded: a store that is full, halted or hangs
 *           must be mended. Then a log line says that the record is missing. Records contain no secrets: callers hide them.
 * Limits    `AUDIT_LIMITS`.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import { parseAuditId, type AuditId } from "@hayloft/base/ids.js"
import type { AuditRecord } from "@hayloft/engine/format/accounts/audit-record.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import {
  auditDelivered,
  beginAudit,
  dropAudit,
  endAudit,
  oldAudit,
  oldQueued,
  readAudit,
  undeliveredAudit,
  type AuditFilter,
  type AuditPage,
  type Undelivered,
} from "./audit-log-core.js"
import type { Directory } from "../accounts/directory.js"
import { KEY_LETTERS, randomText } from "../accounts/random-ids.js"

const DAY_MS = 86_400_000

export const AUDIT_LIMITS = {
  keepMs: 90 * DAY_MS,
  /** After this time a change goes on without its record: a device or the database may hang that it is to mend. */
  waitMs: 5_000,
  /** Older ones beyond this number are removed early. */
  countMax: 250_000,
  /** The limit is for the texts of the request, and of what there was before and after; longer texts are left out. */
  textCharactersMax: 8_192,
  /** A longer target is cut: clients name what does not exist, too. */
  targetCharactersMax: 2_048,
  /** Pages of records that one listing looks at. */
  examinedPagesMax: 40,
} as const

const RANDOM_LETTERS = 8

type Change = Omit<AuditRecord, "atMs" | "before" | "after" | "ended">

/** A change under way. */
export interface AuditedChange {
  /** `outcome`: "done", or the kind of the failure. */
  end(outcome: string, after: () => Promise<string | undefined>): Promise<void>
}

/** The state before and after a change, as JSON. One that rejects is left out of the record. */
interface AuditedState<Result> {
  readonly before: () => Promise<string | undefined>
  readonly after: (result: Result) => Promise<string | undefined>
}

/** Makes a change, and has the log say so. Rejects only as the change does. */
export async function audited<Result>(
  log: Pick<AuditLog, "begin">,
  change: Change,
  { before, after }: AuditedState<Result>,
  make: () => Promise<Result>,
): Promise<Result> {
  // A state that cannot be shown is not there, or the change will say why.
  const unlessFails = (text: () => Promise<string | undefined>) => () => text().catch(() => undefined)
  const begun = await log.begin(change, unlessFails(before))
  try {
    const result = await make()
    await begun.end(
      "done",
      unlessFails(() => after(result)),
    )
    return result
  } catch (error) {
    await begun.end(asFailure(error).kind, async () => undefined)
    throw error
  }
}

export interface AuditSeams {
  readonly clock: Pick<Clock, "wallMs" | "alarm">
  readonly random: Random
  readonly log: Log
  /** The time by which records are old: a wall clock that is ahead for a while removes none. Undefined: none is old. */
  readonly dueTimeMs: () => number | undefined
}

export class AuditLog {
  private readonly random: Random
  /** Called when a change has been recorded. */
  onRecorded: () => void = () => undefined

  constructor(
    private readonly seams: AuditSeams,
    private readonly directory: Directory,
    /** Resolves once the devices refuse releases that do not know the log. */
    private readonly prepare: () => Promise<void>,
  ) {
    this.random = seams.random.fork("audit")
  }

  async begin(change: Change, before: () => Promise<string | undefined>): Promise<AuditedChange> {
    const atMs = this.seams.clock.wallMs()
    const letters = randomText(this.random, KEY_LETTERS, RANDOM_LETTERS).toLowerCase()
    const id = parseAuditId(`${String(atMs).padStart(13, "0")}-${letters}`)
    const target = change.target.slice(0, AUDIT_LIMITS.targetCharactersMax)
    const record = { ...change, target, request: bounded(change.request), atMs, after: undefined, ended: undefined }
    await this.write(change, async () => {
      await this.prepare()
      await this.directory.note(beginAudit({ id, ...record, before: bounded(await before()) }))
      await this.dropOld()
    })
    return { end: (outcome, after) => this.end(id, change, outcome, after) }
  }

  /**
   * The latest first; `after` is `next` of the page before. A page is short if `examinedPagesMax` have been read for it
   * and few records match.
   */
  async list(after: AuditId | undefined, max: number, filter: AuditFilter = {}): Promise<AuditPage> {
    const entries: AuditPage["entries"][number][] = []
    let next = after
    for (let pages = 0; pages < AUDIT_LIMITS.examinedPagesMax; pages += 1) {
      const page: AuditPage = await this.directory.ask(readAudit(next, max - entries.length, filter))
      entries.push(...page.entries)
      next = page.next
      if (next === undefined || entries.length === max) break
    }
    return { entries, next }
  }

  private async dropOld(): Promise<void> {
    // The limit of their number holds also while none is old.
    const beforeMs = (this.seams.dueTimeMs() ?? 0) - AUDIT_LIMITS.keepMs
    const old = await this.directory.ask(oldAudit(beforeMs))
    const queued = await this.directory.ask(oldQueued(beforeMs, AUDIT_LIMITS.countMax))
    if (old.length === 0 && queued.length === 0) return
    const ids = [...new Set([...old, ...queued.map(({ id }) => id)])]
    await this.directory.note(
      dropAudit(
        ids,
        queued.map(({ number }) => number),
      ),
    )
  }

  /** The next records for a sink, at most `max`. */
  async undelivered(sink: string, max: number): Promise<Undelivered> {
    return this.directory.ask(undeliveredAudit(sink, max))
  }

  /** The sink has all records up to this number. */
  delivered(sink: string, number: number): Promise<void> {
    return this.directory.note(auditDelivered(sink, number))
  }

  private async end(
    id: AuditId,
    change: Change,
    outcome: string,
    after: () => Promise<string | undefined>,
  ): Promise<void> {
    const { operation, target, caller } = change
    // Requests of protocols have log lines of their own.
    if (!operation.includes(":")) {
      this.seams.log.info("admin_change", { operation, target, outcome, token: caller.name, remote: caller.address })
    }
    const ended = { atMs: this.seams.clock.wallMs(), outcome }
    await this.write(change, async () => this.directory.note(endAudit(id, { after: bounded(await after()), ended })))
    this.onRecorded()
  }

  private async write({ operation, target }: Change, work: () => Promise<void>): Promise<void> {
    try {
      await this.inTime(work())
    } catch (error) {
      this.seams.log.warn("audit_record_lost", { operation, target, reason: asFailure(error).message })
    }
  }

  private inTime(work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(fail("tooManyInFlight", { message: "the metadata does not respond" }))
      const cancel = this.seams.clock.alarm(AUDIT_LIMITS.waitMs, late)
      work.then(resolve, reject).finally(cancel)
    })
  }
}

const bounded = (text: string | undefined): string | undefined =>
  text === undefined || text.length <= AUDIT_LIMITS.textCharactersMax ? text : undefined
