/**
 * All background work: jobs that callers have started, and long work of the store, with progress, rate and end; the jobs
 * that are always there, with their throttle. Live: the server answers when something has changed.
 */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import { useWatch } from "../api/live.js"
import type { BackgroundJob, Jobs, StartedJob } from "../api/shapes.js"
import { ActionButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { FormDialog } from "../parts/dialog.js"
import { TextField } from "../parts/fields.js"
import { timeText } from "../parts/format.js"
import { Badge, Page, Section, type PageProps } from "../parts/page.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { toast } from "../parts/toast.js"
import { pathTo } from "../shell/router.js"
import { JobActions, JobPage, JobProgress, StateBadge } from "./jobs-started.js"

const jobPath = (name: string, word: string): string => `/v1/jobs/${encodeURIComponent(name)}/${word}`

const targetOf = ({ isDryRun, target }: StartedJob) => `${isDryRun ? "(dry run) " : ""}${target}`

const JOB_COLUMNS: readonly Column<StartedJob>[] = [
  { key: "id", title: "Job", cell: ({ id }) => <a href={pathTo(["jobs", id])}>{id}</a> },
  { key: "target", title: "Target", cell: targetOf },
  { key: "state", title: "State", cell: job => <StateBadge state={job.state} /> },
]

const UNDER_WAY: readonly Column<StartedJob>[] = [
  ...JOB_COLUMNS,
  { key: "progress", title: "Progress", cell: job => <JobProgress job={job} /> },
  { key: "actions", title: "Actions", cell: job => <JobActions job={job} /> },
]

const ENDED: readonly Column<StartedJob>[] = [
  ...JOB_COLUMNS,
  {
    key: "ended",
    title: "Ended",
    cell: ({ endedMs }) => (endedMs === undefined ? "–" : timeText(endedMs)),
    sortBy: ({ endedMs = 0 }) => endedMs,
  },
  { key: "result", title: "Result", cell: ({ result, lastError }) => result ?? lastError ?? "–" },
]

const STATE_KINDS = { busy: "info", throttled: "info", idle: "neutral", done: "good", failed: "danger" } as const

function BackgroundState({ job: { state, isPaused } }: { readonly job: BackgroundJob }) {
  if (isPaused === true) return <Badge kind="warning">paused</Badge>
  return <Badge kind={STATE_KINDS[state]}>{state}</Badge>
}

function ThrottleDialog({ job, onClose }: { readonly job: BackgroundJob; readonly onClose: () => void }) {
  const throttle = useSignal(String(job.throttle))
  const value = Number(throttle.value)
  const isValid = throttle.value.trim() !== "" && Number.isFinite(value) && value >= 0
  const set = async (): Promise<void> => {
    await api.post(jobPath(job.name, "throttle"), { throttle: value })
    toast(`${job.name}: throttle set to ${value}`)
  }
  return (
    <FormDialog title={`Throttle of ${job.name}`} action="Set throttle" isValid={isValid} work={set} onClose={onClose}>
      <TextField
        label="Rest after each step"
        type="number"
        min={0}
        step="any"
        value={throttle}
        error={isValid ? undefined : "A number from 0 on."}
        hint="As a multiple of the step's duration: 0 is full speed, 9 is a tenth of it"
      />
    </FormDialog>
  )
}

function BackgroundActions({ job, onThrottle }: { readonly job: BackgroundJob; readonly onThrottle: () => void }) {
  const { name, isPaused } = job
  const send = (word: string) => () => api.post<void>(jobPath(name, word))
  return (
    <div class="actions">
      {isPaused !== true && (
        <ActionButton kind="quiet" label={`Pause ${name}`} work={send("pause")} done={`${name} is paused`}>
          Pause
        </ActionButton>
      )}
      {isPaused !== false && (
        <ActionButton kind="quiet" label={`Resume ${name}`} work={send("resume")} done={`${name} is resumed`}>
          Resume
        </ActionButton>
      )}
      <ActionButton kind="quiet" label={`Wake ${name}`} work={send("wake")} done={`${name} looks for work`}>
        Wake
      </ActionButton>
      <Button kind="quiet" label={`Set the throttle of ${name}`} onClick={onThrottle}>
        Throttle
      </Button>
    </div>
  )
}

const backgroundColumns = (onThrottle: (job: BackgroundJob) => void): readonly Column<BackgroundJob>[] => [
  { key: "name", title: "Job", cell: ({ name }) => name, sortBy: ({ name }) => name },
  { key: "state", title: "State", cell: job => <BackgroundState job={job} />, sortBy: ({ state }) => state },
  { key: "progress", title: "Progress", cell: ({ progress }) => progress },
  {
    key: "error",
    title: "Last error",
    cell: ({ lastError }) => lastError ?? "–",
    sortBy: ({ lastError = "" }) => lastError,
  },
  { key: "throttle", title: "Throttle", cell: ({ throttle }) => String(throttle), align: "end" },
  { key: "actions", title: "Actions", cell: job => <BackgroundActions job={job} onThrottle={() => onThrottle(job)} /> },
]

function AllJobs({ jobs: { jobs, started } }: { readonly jobs: Jobs }) {
  const throttled = useSignal<BackgroundJob | undefined>(undefined)
  const key = ({ id }: StartedJob) => id
  return (
    <>
      <Section title="Under way">
        <DataTable
          caption="Started jobs that have not ended"
          columns={UNDER_WAY}
          rows={started.filter(({ endedMs }) => endedMs === undefined)}
          rowKey={key}
          empty={<EmptyState title="No started job is under way" icon="jobs" />}
        />
      </Section>
      {/* Holders of keys see only what they have started. */}
      {jobs.length > 0 && (
        <Section title="Background work" hint="Jobs that are always there. They rest while requests need the devices.">
          <DataTable
            caption="Background jobs"
            columns={backgroundColumns(job => (throttled.value = job))}
            rows={jobs}
            rowKey={({ name }) => name}
          />
        </Section>
      )}
      <Section title="Ended" hint="Kept for 30 days.">
        <DataTable
          caption="Started jobs that have ended"
          columns={ENDED}
          rows={started.filter(({ endedMs }) => endedMs !== undefined)}
          rowKey={key}
          empty={<EmptyState title="No job has ended in the last 30 days" icon="jobs" />}
        />
      </Section>
      {throttled.value && <ThrottleDialog job={throttled.value} onClose={() => (throttled.value = undefined)} />}
    </>
  )
}

function JobList() {
  const jobs = useWatch<Jobs>("/v1/jobs")
  return (
    <Page title="Jobs" live={jobs}>
      <Loaded live={jobs}>{value => <AllJobs jobs={value} />}</Loaded>
    </Page>
  )
}

export function JobsPage({ segments: [id] }: PageProps) {
  return id === undefined ? <JobList /> : <JobPage id={id} />
}
