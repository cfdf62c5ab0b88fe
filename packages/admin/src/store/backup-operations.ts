/** The operations of `/v1/backup`: snapshots of the metadata among the shards of the store; and the command `backup now`. */
import type { z } from "zod"
import { sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, timeText } from "@hayloft/base/text/report-text.js"
import { CommandProblem, type Answering, type CommandOf } from "@hayloft/features/operator/index.js"
import { type AdminOperation, operation } from "../operation.js"
import { BACKUP } from "./store-schemas.js"

type Backup = z.output<typeof BACKUP>

const POLL_MS = 500
/** A snapshot that takes longer goes on without the command. */
const WAIT_MS_MAX = 24 * 3_600_000

/** Throws if no snapshot will be complete soon. `failures`: those before the order, which do not count. */
function checkGoesOn({ isPaused, waits, failures, lastError = "" }: Backup, failuresBefore: number): void {
  const why = isPaused ? "the job metadata-backup is paused" : waits
  if (why !== undefined) throw new CommandProblem("failed", `the metadata is not backed up: ${printable(why)}`)
  if (failures > failuresBefore) throw new CommandProblem("failed", `the backup fails: ${printable(lastError)}`)
}

function backedUpText({ completedMs, sizeBytes = 0 }: Backup): string {
  const made =
    completedMs === undefined ? "" : `: the last snapshot is from ${timeText(completedMs)}, ${sizeText(sizeBytes)}`
  return `the metadata is backed up${made}\n`
}

/**
 * A command of the operation that orders a snapshot. A process that takes over from the one that had the order gets a new one. A
 * snapshot that had begun before the order does not count, since it may lack what was written until then.
 */
export const backupNow = (getBackup: Answering<Backup>): CommandOf<Backup> => ({
  name: "backup now",
  help: "back up the metadata now, and wait until the backup is complete",
  async run({ call, sleep }, order) {
    let backup = await order()
    let { process, failures } = backup
    for (let waitedMs = 0; backup.isOrdered || backup.process !== process; waitedMs += POLL_MS) {
      if (waitedMs >= WAIT_MS_MAX)
        throw new CommandProblem(
          "failed",
          "the backup is not complete after a day; `hayloft status` shows how far it is",
        )
      checkGoesOn(backup, failures)
      failures = Math.min(failures, backup.failures)
      await sleep(POLL_MS)
      backup = await call(getBackup, {})
      if (backup.process === process) continue
      backup = await order()
      process = backup.process
      failures = backup.failures
    }
    return { json: backup, text: backedUpText(backup) }
  },
})

const GET_BACKUP = operation("getBackup", "GET /v1/backup", {
  summary: "Returns the state of the snapshots of the metadata, from the node that makes them.",
  answer: BACKUP,
  run: ({ store }) => store.backup(),
})

export const BACKUP_OPERATIONS: readonly AdminOperation[] = [
  GET_BACKUP,
  operation("orderBackup", "POST /v1/backup", {
    summary: "Makes a snapshot of the metadata begin soon, even if nothing has changed.",
    status: 202,
    answer: BACKUP,
    run: ({ store }) => store.orderBackup(),
    commands: [backupNow(GET_BACKUP)],
  }),
]
