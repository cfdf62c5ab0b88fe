/** Commands on and queries of the rows of jobs. Pure. */
import { fail } from "@hayloft/base/failures.js"
import { parseJobId, type JobId } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { decodeJob, encodeJob, type JobRecord } from "@hayloft/engine/format/job-record.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import { JOB_LIMITS } from "./limits.js"

export interface JobRow extends JobRecord {
  readonly id: JobId
}

const find = (view: RowView, id: JobId): JobRow | undefined => {
  const row = view.get("jobs", textRowKey(id))
  return row && { id, ...decodeJob(row.value) }
}

const all = (view: RowView): readonly JobRow[] =>
  Array.from(view.range("jobs", ALL_ROWS), ([key, { value }]) => ({ id: parseJobId(key), ...decodeJob(value) }))

const writeOf = (id: JobId, record: JobRecord | undefined) =>
  ({ family: "jobs", key: textRowKey(id), value: record && encodeJob(record) }) as const

/** Ended jobs that are no longer kept, the oldest first. */
export function overdueJobs(rows: readonly JobRow[], nowMs: number): readonly JobId[] {
  const ended = rows
    .flatMap(({ id, ended: end }) => (end === undefined ? [] : [{ id, atMs: end.atMs }]))
    .sort((a, b) => a.atMs - b.atMs)
  const tooMany = ended.length - JOB_LIMITS.endedMax
  return ended.filter(({ atMs }, i) => i < tooMany || atMs < nowMs - JOB_LIMITS.endedKeptMs).map(({ id }) => id)
}

/** Throws `conflict` if there is such an id. */
export const startJob = command<[id: JobId, record: JobRecord], void>({
  name: "StartJob",
  // A job that somebody starts may remove what fills the store. Work of the store is noted once there is space.
  grows: (_id, { starter }) => starter.kind === "store",
  touches: id => [["jobs", textRowKey(id)]],
  decide(view, _time, id, record) {
    if (find(view, id) !== undefined) throw fail("conflict", { message: "the id of the job is taken" })
    return { writes: [writeOf(id, record)], result: undefined }
  },
})

export const dropJobs = command<[ids: readonly JobId[]], void>({
  name: "DropJobs",
  grows: false,
  touches: ids => ids.map(id => ["jobs", textRowKey(id)] as const),
  decide(view, _time, ids) {
    // Another process may have dropped some of them.
    const there = ids.filter(id => {
      const row = view.ifPresent("jobs", textRowKey(id))
      return row !== undefined && decodeJob(row.value).ended !== undefined
    })
    return { writes: there.map(id => writeOf(id, undefined)), result: undefined }
  },
})

/** Replaces the record of a job if it has this revision. Returns false if another process was faster. */
export const changeJob = command<[id: JobId, revision: number, record: JobRecord], boolean>({
  name: "ChangeJob",
  // The end of a job is recorded on a full disk too.
  grows: false,
  touches: id => [["jobs", textRowKey(id)]],
  decide(view, _time, id, revision, record) {
    const found = find(view, id)
    if (found?.revision !== revision) return { writes: [], result: false }
    return { writes: [writeOf(id, { ...record, revision: revision + 1 })], result: true }
  },
})

export const readJob = query("ReadJob", (view, id: JobId) => find(view, id))

/** All of them: the number of rows is limited. */
export const readJobs = query("ReadJobs", (view): readonly JobRow[] => all(view))
