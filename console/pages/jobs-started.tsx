/** One job that a caller has started, or long work of the store: its progress, what may be done with it, and its failures. */
import { api } from "../api/client.js"
import { useWatch } from "../api/live.js"
import type { StartedJob } from "../api/shapes.js"
import { ActionButton, ConfirmButton } from "../parts/action-button.js"
import { countText, plural, progressText, shareOf, sizeText, timeText } from "../parts/format.js"
import { Badge, Facts, Page, Section } from "../parts/page.js"
import { useNow } from "../parts/now.js"
import { ProgressBar } from "../parts/progress.js"
import { Loaded } from "../parts/states.js"
import { DataTable } from "../parts/table.js"
import { pathTo } from "../shell/router.js"

const STATES = {
  running: "info",
  paused: "warning",
  cancelling: "warning",
  done: "good",
  failed: "danger",
  cancelled: "neutral",
} as const

export const StateBadge = ({ state }: Pick<StartedJob, "state">) => <Badge kind={STATES[state]}>{state}</Badge>

/** From 0 to 1; undefined if it is not known. */
function shareOfJob({ progress: { done, total, unit } }: StartedJob): number | undefined {
  if (unit === "percent") return done / 100
  return total === undefined ? undefined : shareOf(done, total)
}

export function JobProgress({ job }: { readonly job: StartedJob }) {
  const now = useNow(1_000)
  return (
    <div class="work">
      <ProgressBar label={`Progress of ${job.id}`} share={shareOfJob(job)} />
      <p>{progressText(job, now)}</p>
      {job.lastError !== undefined && <p>Last error: {job.lastError}</p>}
    </div>
  )
}

/** Pause, resume and cancel; of work that cannot be cancelled, what undoes it. */
export function JobActions({ job }: { readonly job: StartedJob }) {
  const { id, state, canCancel, cancelBy } = job
  const send = (word: string) => () => api.post<void>(`/v1/jobs/${encodeURIComponent(id)}/${word}`)
  if (!canCancel) return <p class="hint">{cancelBy ?? "–"}</p>
  return (
    <div class="actions">
      {state === "running" && (
        <ActionButton label={`Pause ${id}`} work={send("pause")} done={`${id} is paused`}>
          Pause
        </ActionButton>
      )}
      {state === "paused" && (
        <ActionButton label={`Resume ${id}`} work={send("resume")} done={`${id} is resumed`}>
          Resume
        </ActionButton>
      )}
      {state !== "cancelling" && (
        <ConfirmButton
          label={`Cancel ${id}`}
          title={`Cancel ${id}`}
          action="Cancel the job"
          dismiss="Keep it"
          question="The job stops after its present step. What it has done stays."
          work={send("cancel")}
          done={`${id} is being cancelled`}
        >
          Cancel
        </ConfirmButton>
      )}
    </div>
  )
}

function starterText({ kind, id, name }: StartedJob["starter"]): string {
  if (kind === "store") return "the store itself"
  return kind === "operator" ? "the operator" : `${kind} ${name === "" ? id : name}`
}

function JobFacts({ job }: { readonly job: StartedJob }) {
  const { counts, endedMs, estimatedEndMs, lastError, result, progress } = job
  const one = progress.unit === "rows" ? "row" : "object"
  return (
    <Facts
      facts={[
        ["State", <StateBadge key="state" state={job.state} />],
        ["Kind", `${job.kind}${job.isDryRun ? " (dry run: it only counts)" : ""}`],
        ["Target", job.target],
        ["Started", `${timeText(job.startedMs)} by ${starterText(job.starter)}`],
        ...(endedMs === undefined
          ? ([["Expected end", estimatedEndMs === undefined ? "not known" : timeText(estimatedEndMs)]] as const)
          : ([["Ended", timeText(endedMs)]] as const)),
        ...(result === undefined ? [] : ([["Result", result]] as const)),
        ...(lastError === undefined ? [] : ([["Last error", lastError]] as const)),
        ...(counts === undefined
          ? []
          : ([
              ["Rows scanned", countText(counts.scanned)],
              ["Matched", `${plural(counts.matched, one)}, ${sizeText(counts.matchedBytes)}`],
              ["Done", `${plural(counts.done, one)}, ${sizeText(counts.doneBytes)}`],
              ["Failed", plural(counts.failed, one)],
            ] as const)),
        ...(counts?.repaired === undefined ? [] : ([["Changed by the job", plural(counts.repaired, one)]] as const)),
        ...(counts?.changing === undefined ? [] : ([["Kept changing", plural(counts.changing, one)]] as const)),
      ]}
    />
  )
}

/** The plan that counting made, if the job does more than one thing. */
export function Plan({ job: { plan } }: { readonly job: StartedJob }) {
  if (plan === undefined) return null
  return (
    <Section title="What it does" hint="The amounts count all objects; the table has the first.">
      <Facts
        facts={plan.amounts.map(
          ({ what, objects, bytes }) => [what, `${plural(objects, "object")}, ${sizeText(bytes)}`] as const,
        )}
      />
      <DataTable
        caption="The first objects"
        rows={plan.first}
        rowKey={({ key }) => key}
        columns={[
          { key: "what", title: "Change", cell: ({ what }) => what },
          { key: "key", title: "Object", cell: ({ key }) => <code>{key}</code> },
          { key: "version", title: "Version", cell: ({ versionId }) => versionId ?? "–" },
          { key: "size", title: "Size", align: "end", cell: ({ sizeBytes }) => sizeText(sizeBytes) },
        ]}
        empty="Nothing is to be done."
      />
    </Section>
  )
}

function Failures({ job: { failures, counts, progress } }: { readonly job: StartedJob }) {
  if (failures.length === 0) return null
  const all = counts === undefined ? failures.length : counts.failed + (counts.changing ?? 0)
  const hint = `The first ${countText(failures.length)} of ${countText(all)}.`
  const isOfRows = progress.unit === "rows"
  return (
    <Section title={isOfRows ? "Findings" : "Failures"} hint={hint}>
      <DataTable
        caption={isOfRows ? "Findings" : "Objects that failed"}
        rows={failures}
        rowKey={({ key, versionId = "", reason }) => `${key} ${versionId} ${reason}`}
        columns={[
          { key: "key", title: "Object", cell: ({ key }) => <code>{key}</code> },
          { key: "version", title: "Version", cell: ({ versionId }) => versionId ?? "–" },
          { key: "reason", narrow: "plain", title: "Reason", cell: ({ reason }) => reason },
        ]}
      />
    </Section>
  )
}

export function JobPage({ id }: { readonly id: string }) {
  const live = useWatch<StartedJob>(`/v1/jobs/${encodeURIComponent(id)}`)
  return (
    <Page title={id} live={live} trail={[{ title: "Jobs", to: pathTo(["jobs"]) }]}>
      <Loaded live={live}>
        {job => (
          <>
            <Section title="Progress" actions={job.endedMs === undefined && <JobActions job={job} />}>
              {job.endedMs === undefined && <JobProgress job={job} />}
              <JobFacts job={job} />
            </Section>
            <Plan job={job} />
            <Failures job={job} />
          </>
        )}
      </Loaded>
    </Page>
  )
}
