/**
 * Front records: the control record as a front thread follows it. The engine thread keeps it.
 *
 * Promises  A change is decided on the record in effect. Listeners are called before a change resolves.
 * Limits    SHARED_RECORD_LIMITS: changes of others that may come first.
 */
import { fail } from "@hayloft/base/failures.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { ThreadLink } from "@hayloft/engine/thread/index.js"
import { SHARED_RECORD_LIMITS } from "../cluster/shared-record.js"
import type { ChangeListener, DecideChange, RecordManager } from "../control/record-manager.js"
import { STORE_METHODS } from "./methods.js"

export class FrontRecords implements RecordManager {
  private readonly listeners = new Set<ChangeListener>()

  constructor(
    private readonly link: Pick<ThreadLink, "call">,
    private current: ControlRecord,
  ) {}

  get record(): ControlRecord {
    return this.current
  }

  onChange(listener: ChangeListener): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  async change(name: string, decide: DecideChange): Promise<ControlRecord> {
    for (let races = 0; races < SHARED_RECORD_LIMITS.racesMax; races += 1) {
      const before = this.current
      const next = decide(before)
      if (next === undefined || next === before) return before
      const change = { name, before: before.generation, next }
      const { isMade, record } = await this.link.call(STORE_METHODS.changeRecord, change)
      this.follow(record)
      if (isMade) return record
    }
    throw fail("tooManyInFlight", { message: "the control record changes all the time", change: name })
  }

  async spread(): Promise<ControlRecord> {
    this.follow(await this.link.call(STORE_METHODS.spreadRecord, undefined))
    return this.current
  }

  /** Reads the record now. */
  async refresh(): Promise<void> {
    this.follow(await this.link.call(STORE_METHODS.readRecord, undefined))
  }

  /** A later record is in effect; an earlier one was overtaken on its way. */
  follow(record: ControlRecord): void {
    const before = this.current
    if (record.generation <= before.generation) return
    this.current = record
    for (const listener of this.listeners) listener(record, before)
  }

  /** The engine thread makes the changes, and stops them. */
  stop(): Promise<void> {
    return Promise.resolve()
  }
}
