/** Text about jobs: background jobs, and those that callers start. Pure. */
import type { z } from "zod"
import { progressText } from "@hayloft/base/text/progress-text.js"
import { plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { labelled as line, printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import type { JOB, JOBS, PAUSED_JOB, STARTED_JOB } from "@hayloft/features/operator/index.js"

type Job = z.output<typeof JOB>
export type StartedJobAnswer = z.output<typeof STARTED_JOB>

export function jobsTable(jobs: readonly Job[]): string {
  const rows = jobs.map(({ name, state, throttle, progress, lastError }) => [
    name,
    state,
    String(throttle),
    printable(lastError === undefined ? progress : `${progress} (last error: ${lastError})`),
  ])
  return tableText(["JOB", "STATE", "THROTTLE", "PROGRESS"], rows)
}

/** Background jobs, then those that callers have started. */
export const allJobsText = ({ jobs, started }: z.output<typeof JOBS>, nowMs: number): string =>
  [jobsTable(jobs), startedTable(started, nowMs)].filter(table => table !== "").join("\n")

/** A job of either kind in a table. */
export const pausedText = (job: z.output<typeof PAUSED_JOB>, nowMs: number): string =>
  "id" in job ? startedTable([job], nowMs) : jobsTable([job])

/** Its result, or how far it is. */
const howFar = (job: StartedJobAnswer, nowMs: number): string =>
  printable(
    job.result ??
      (job.lastError === undefined
        ? progressText(job, nowMs)
        : `${progressText(job, nowMs)} (last error: ${job.lastError})`),
  )

function startedTable(jobs: readonly StartedJobAnswer[], nowMs: number): string {
  if (jobs.length === 0) return ""
  const rows = jobs.map(job => [
    job.id,
    job.state,
    timeText(job.startedMs),
    printable(`${job.isDryRun ? "(dry run) " : ""}${job.target}`),
    howFar(job, nowMs),
  ])
  return tableText(["STARTED JOB", "STATE", "STARTED", "TARGET", "PROGRESS"], rows)
}

const starterText = ({ kind, id, name }: StartedJobAnswer["starter"]): string =>
  kind === "store"
    ? "nobody: the store itself"
    : kind === "operator"
      ? "the operator"
      : `${kind} ${name === "" ? id : name}`

/** The amounts of a job's plan, a line for each kind of change. */
export const amountsText = ({ amounts }: NonNullable<StartedJobAnswer["plan"]>): string =>
  amounts
    .map(({ what, objects, bytes }) => `${line(what, `${plural(objects, "object")}, ${sizeText(bytes)}`)}\n`)
    .join("")

/** The first objects of a plan, and how many there are besides. */
function firstLines(plan: StartedJobAnswer["plan"], matched: number): readonly string[] {
  if (plan === undefined || plan.first.length === 0) return []
  const items = plan.first.map(({ what, key, versionId, sizeBytes }) =>
    printable(`${what} ${key}, ${sizeText(sizeBytes)}${versionId === undefined ? "" : ` (${versionId})`}`),
  )
  const others = matched - items.length
  return [...items, ...(others > 0 ? [`and ${plural(others, "other object")}`] : [])].map(item => line("", item))
}

/** All of one job, a line for each fact. */
export function jobText(job: StartedJobAnswer, nowMs: number): string {
  const { counts, failures, plan, progress } = job
  const one = progress.unit === "rows" ? "row" : "object"
  const left = (counts?.failed ?? 0) + (counts?.changing ?? 0) - failures.length
  const lines = [
    line("job", job.id),
    line("state", `${job.state}${job.isDryRun ? ", a dry run" : ""}`),
    line("target", printable(job.target)),
    line("started", `${timeText(job.startedMs)} by ${printable(starterText(job.starter))}`),
    ...(job.endedMs === undefined ? [line("progress", howFar(job, nowMs))] : [line("ended", timeText(job.endedMs))]),
    ...(job.result === undefined ? [] : [line("result", printable(job.result))]),
    ...(job.lastError === undefined || job.lastError === job.result
      ? []
      : [line("last error", printable(job.lastError))]),
    ...(counts === undefined
      ? []
      : [
          line("matched", `${plural(counts.matched, one)}, ${sizeText(counts.matchedBytes)}`),
          line("done", `${plural(counts.done, one)}, ${sizeText(counts.doneBytes)}`),
        ]),
    ...(counts?.repaired === undefined ? [] : [line("changed", plural(counts.repaired, one))]),
    ...(counts?.changing === undefined ? [] : [line("changing", plural(counts.changing, one))]),
    ...(plan === undefined ? [] : amountsText(plan).trimEnd().split("\n")),
    ...firstLines(plan, counts?.matched ?? 0),
    ...(job.cancelBy === undefined ? [] : [line("to undo", printable(job.cancelBy))]),
    ...(counts === undefined || counts.failed === 0 ? [] : [line("failed", plural(counts.failed, one))]),
    ...failures.map(({ key, versionId, reason }) =>
      line("", printable(`${key}${versionId === undefined ? "" : ` (${versionId})`}: ${reason}`)),
    ),
    ...(left > 0 ? [line("", `and ${plural(left, `other ${one}`)}`)] : []),
  ]
  return lines.map(each => `${each}\n`).join("")
}
