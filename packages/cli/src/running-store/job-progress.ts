/** Jobs that callers start, followed until they end: a line of progress on a terminal. */
import { STARTED_JOB, type StartedJobAnswer } from "@hayloft/admin/index.js"
import { progressText } from "@hayloft/base/text/progress-text.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import type { CliIo } from "../io.js"
import { nowOf } from "../stores.js"
import { printable } from "../text.js"

/** How long one request watches: less than what proxies and clients allow. */
const WATCH_MS = 20_000

/** Returns the job; if a revision is given, only once it differs, or after a while. */
const jobOf = async (client: AdminClient, id: string, revision?: string): Promise<StartedJobAnswer> =>
  checked(
    STARTED_JOB,
    await client.get(
      `/v1/jobs/${encodeURIComponent(id)}`,
      revision === undefined ? {} : { revision, waitMs: String(WATCH_MS) },
    ),
  )

interface UntilEnd {
  /** Each change is a line of JSON. */
  readonly printsEach: boolean
  readonly signal: AbortSignal
}

/** Follows the job until it has ended. The job goes on if the signal aborts. */
export async function jobUntilEnd(
  io: CliIo,
  client: AdminClient,
  id: string,
  { printsEach, signal }: UntilEnd,
): Promise<StartedJobAnswer> {
  const draw = (text: string): void => {
    if (io.errorIsTerminal) io.error(`\r\x1b[K${text}`)
  }
  for (let revision: string | undefined; ;) {
    const job = await jobOf(client, id, revision)
    draw(job.endedMs === undefined ? `${job.id}  ${printable(progressText(job, nowOf(io, client)))}` : "")
    if (printsEach && job.revision !== revision) await io.out(`${JSON.stringify(job)}\n`)
    if (job.endedMs !== undefined) return job
    revision = job.revision
    signal.throwIfAborted()
  }
}
