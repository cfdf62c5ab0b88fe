/** Jobs as callers see them, from their rows and from the work of the store. Pure. */
import { plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import type { JobPlan, JobRecord } from "@hayloft/engine/format/job-record.js"
import type { FollowedWork, StartedJob, StartedProgress } from "../operator/index.js"
import type { JobRow } from "./job-commands-core.js"
import { isInventory } from "./inventory-core.js"
import { JOB_LIMITS } from "./limits.js"

/** Jobs of the store itself: it does them, and their rows only note that they began and ended. */
export const isFollowed = ({ request }: Pick<JobRecord, "request">): boolean => request === ""

/**
 * `followed`: the work of a followed job as it is now; undefined: not known to this process. `isOfRows`: the job works on
 * rows of the metadata.
 */
export function shownJob(
  row: JobRow,
  followed: FollowedWork | undefined,
  nowMs: number,
  isOfRows: boolean,
): StartedJob {
  const { id, kind, target, starter, startedMs, isDryRun, ended, counts, failures, lastError } = row
  const isOfStore = isFollowed(row)
  const isOver = ended !== undefined
  const progress = isOfStore ? (followed?.progress ?? NO_PROGRESS) : progressOf(row, isOfRows)
  const rate = isOver ? undefined : isOfStore ? followed?.rate : row.rate > 0 ? row.rate : undefined
  const endsInSeconds = isOfStore ? followed?.endsInSeconds : secondsLeft(row, progress, rate)
  const cancelBy = isOver
    ? undefined
    : isOfStore
      ? (followed?.cancelBy ?? "this node does not know the work")
      : undefined
  return {
    id,
    kind,
    target,
    starter,
    startedMs,
    isDryRun,
    progress,
    failures,
    state: stateOf(row),
    phase: isOver ? "" : isOfStore ? (followed?.phase ?? "") : phaseOf(row),
    rate,
    estimatedEndMs: isOver || endsInSeconds === undefined ? undefined : Math.round(nowMs + endsInSeconds * 1_000),
    endedMs: ended?.atMs,
    lastError: isOver ? lastError : (followed?.lastError ?? lastError),
    canCancel: !isOver && !isOfStore,
    cancelBy,
    counts: isOfStore ? undefined : counts,
    plan: row.plan,
    result: ended?.result,
    revision: isOfStore && !isOver ? `${row.revision}.${progress.done}.${progress.total ?? ""}` : String(row.revision),
  }
}

const NO_PROGRESS: StartedProgress = { done: 0, total: undefined, unit: "bytes" }

function stateOf({ state, isPaused, isCancelling }: JobRow): StartedJob["state"] {
  if (state !== "running") return state
  return isCancelling ? "cancelling" : isPaused ? "paused" : "running"
}

/** A dry run, like the first phase of any job, counts. */
function progressOf({ isDryRun, isCounted, counts }: JobRow, isOfRows: boolean): StartedProgress {
  const done = isDryRun || !isCounted ? counts.matched : counts.done + counts.failed
  return { done, total: isCounted ? counts.matched : undefined, unit: isOfRows ? "rows" : "objects" }
}

function phaseOf({ isCounted, counts, kind }: JobRow): string {
  if (isInventory({ kind })) return "writing"
  return isCounted ? "working" : `counting; ${counts.scanned} rows looked at`
}

function secondsLeft({ isPaused, isCounted }: JobRow, { done, total }: StartedProgress, rate: number | undefined) {
  if (isPaused || !isCounted || total === undefined || rate === undefined) return undefined
  return Math.max(0, total - done) / rate
}

/** How a bulk job has ended, in a sentence. */
export function resultOf({ kind, isDryRun, counts, isCancelling }: JobRecord, isOfRows: boolean): string {
  const { matched, matchedBytes, done, failed } = counts
  if (isOfRows) return `${isCancelling ? "cancelled: " : ""}${rowsResultOf(kind, counts)}`
  if (isInventory({ kind }))
    return isCancelling
      ? "cancelled: there is no inventory"
      : `${plural(matched, "row")}, for ${sizeText(matchedBytes)} of objects`
  if (isDryRun) return `Would work on ${plural(matched, "object")}, ${sizeText(matchedBytes)}; nothing was changed`
  const how = `${done} of ${matched} done${failed === 0 ? "" : `, ${failed} failed`}`
  return isCancelling ? `cancelled: ${how}; what was done stays` : `${kind}: ${how}`
}

function rowsResultOf(
  kind: string,
  { matched, done, failed, changing = 0, repaired = 0 }: JobRecord["counts"],
): string {
  const rows = done + failed
  const looked = `${rows} of ${matched} rows compared`
  const changed = changing === 0 ? "" : `; ${changing} kept changing`
  if (kind === "dedup-verify")
    return `${looked}: ${failed === 0 ? "all agree" : `${failed} ${failed === 1 ? "finding" : "findings"}`}${changed}`
  return `${looked}: ${repaired} changed${failed === 0 ? "" : `, ${failed} failed`}${changed}`
}

/** Adds failures to the first ones. */
export const withFailures = (known: JobRecord["failures"], more: JobRecord["failures"]): JobRecord["failures"] =>
  [
    ...known,
    ...more.map(failure => ({ ...failure, reason: failure.reason.slice(0, JOB_LIMITS.reasonCharactersMax) })),
  ].slice(0, JOB_LIMITS.failuresMax)

/** Adds a page to the plan: the amounts of each action, and the first items. */
export function withPlan(known: JobPlan | undefined, more: JobPlan | undefined): JobPlan | undefined {
  if (known === undefined || more === undefined) return more ?? known
  const amounts = new Map(known.amounts.map(amount => [amount.what, amount]))
  for (const { what, objects, bytes } of more.amounts) {
    const before = amounts.get(what)
    amounts.set(what, { what, objects: objects + (before?.objects ?? 0), bytes: bytes + (before?.bytes ?? 0) })
  }
  const first = [...known.first, ...more.first].slice(0, JOB_LIMITS.plannedMax)
  return { amounts: [...amounts.values()], first }
}
