/**
 * All background work: jobs that callers have started, and long work of the store, with progress, rate and end; the jobs
 * that are always there, folded while they are idle. Live: the server answers when something has changed.
 */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import { useWatch } from "../api/live.js"
import type { BackgroundJob, Jobs, StartedJob } from "../api/shapes.js"
import { ActionIconButton } from "../parts/action-button.js"
import { IconButton } from "../parts/button.js"
import { FormDialog } from "../parts/dialog.js"
import { TextField } from "../parts/fields.js"
import { countText, plural } from "../parts/format.js"
import { Badge, Page, Section, type PageProps } from "../parts/page.js"
import { Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { Ago } from "../parts/time.js"
import { toast } from "../parts/toast.js"
import { pathTo } from "../shell/router.js"
import { wordsOfJob } from "./jobs-words.js"
import { JobActions, JobPage, JobProgress, StateBadge } from "./jobs-started.js"

const jobPath = (name: string, word: string): string => `/v1/jobs/${encodeURIComponent(name)}/${word}`

const targetOf = ({ isDryRun, target }: StartedJob) => `${isDryRun ? "(dry run) " : ""}${target}`

const JOB_COLUMNS: readonly Column<StartedJob>[] = [
  {
    key: "id",
    title: "Job",
    cell: ({ id }) => (
      <a class="words" href={pathTo(["jobs", id])}>
        {id}
      </a>
    ),
  },
  { key: "target", title: "On", cell: targetOf },
  { key: "state", narrow: "end", title: "State", cell: job => <StateBadge state={job.state} /> },
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
    cell: ({ endedMs }) => (endedMs === undefined ? "–" : <Ago timeMs={endedMs} />),
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
    <div class="icons">
      {isPaused !== true && (
        <ActionIconButton label={`Pause ${name}`} icon="pause" work={send("pause")} done={`${name} is paused`} />
      )}
      {isPaused !== false && (
        <ActionIconButton label={`Resume ${name}`} icon="play" work={send("resume")} done={`${name} is resumed`} />
      )}
      <ActionIconButton label={`Wake ${name}`} icon="refresh" work={send("wake")} done={`${name} looks for work`} />
      <IconButton label={`Set the throttle of ${name}`} icon="jobs" onClick={onThrottle} />
    </div>
  )
}

const backgroundColumns = (onThrottle: (job: BackgroundJob) => void): readonly Column<BackgroundJob>[] => [
  {
    key: "name",
    title: "Job",
    sortBy: ({ name }) => wordsOfJob(name).title,
    cell: ({ name }) => {
      const { title, text } = wordsOfJob(name)
      return (
        <div class="words">
          <strong>{title}</strong> <code class="whole faint">{name}</code>
          <p class="hint">{text}</p>
        </div>
      )
    },
  },
  {
    key: "state",
    narrow: "end",
    title: "State",
    cell: job => <BackgroundState job={job} />,
    sortBy: ({ state }) => state,
  },
  {
    key: "progress",
    title: "What it did",
    cell: ({ progress, lastError }) => (
      <div class="words">
        {progress}
        {lastError !== undefined && <p class="field-error">{lastError}</p>}
      </div>
    ),
  },
  {
    key: "throttle",
    title: "Rest",
    align: "end",
    cell: ({ throttle }) => <span title="After each step, as a multiple of its duration">{throttle}</span>,
  },
  { key: "actions", title: "Actions", cell: job => <BackgroundActions job={job} onThrottle={() => onThrottle(job)} /> },
]

/** Nothing about it wants attention. */
const isCalm = ({ state, isPaused, lastError }: BackgroundJob): boolean =>
  (state === "idle" || state === "done") && isPaused !== true && lastError === undefined

function Background({ jobs }: { readonly jobs: readonly BackgroundJob[] }) {
  const throttled = useSignal<BackgroundJob | undefined>(undefined)
  const columns = backgroundColumns(job => (throttled.value = job))
  const [idle, others] = [jobs.filter(isCalm), jobs.filter(job => !isCalm(job))]
  const text =
    others.length === 0
      ? `${plural(jobs.length, "background job")}, all idle`
      : `${countText(idle.length)} others are idle`
  const key = ({ name }: BackgroundJob) => name
  return (
    <Section
      title="Background work"
      hint="The store's own jobs, which are always there. They rest while requests need the disks."
    >
      {others.length > 0 && <DataTable caption="Active background jobs" columns={columns} rows={others} rowKey={key} />}
      <details class="fold">
        <summary>{text}</summary>
        <DataTable
          caption="Idle background jobs"
          columns={columns}
          rows={idle}
          rowKey={key}
          sort={{ key: "name", isDown: false }}
        />
      </details>
      {throttled.value && <ThrottleDialog job={throttled.value} onClose={() => (throttled.value = undefined)} />}
    </Section>
  )
}

const ENDED_SHOWN = 10

function Ended({ started }: { readonly started: readonly StartedJob[] }) {
  const isAll = useSignal(false)
  const shown = isAll.value ? started : started.slice(0, ENDED_SHOWN)
  return (
    <Section title="Ended" hint="Kept for 30 days.">
      <DataTable
        caption="Started jobs that have ended"
        columns={ENDED}
        rows={shown}
        rowKey={({ id }) => id}
        empty={<p class="faint">No job has ended in the last 30 days.</p>}
        more={{ hasMore: shown.length < started.length, isLoading: false, load: () => (isAll.value = true) }}
      />
    </Section>
  )
}

/** Jobs that people have started come before long work of the store. */
const byStarter = (a: StartedJob, b: StartedJob): number =>
  Number(a.starter.kind === "store") - Number(b.starter.kind === "store")

function AllJobs({ jobs: { jobs, started } }: { readonly jobs: Jobs }) {
  const underWay = started.filter(({ endedMs }) => endedMs === undefined).toSorted(byStarter)
  const ended = started.filter(({ endedMs }) => endedMs !== undefined)
  /** Holders of keys see only what they have started. */
  const background = jobs.length > 0 && <Background jobs={jobs} />
  const isBusy = !jobs.every(isCalm)
  return (
    <>
      <Section title="Under way">
        <DataTable
          caption="Started jobs that have not ended"
          columns={UNDER_WAY}
          rows={underWay}
          rowKey={({ id }) => id}
          empty={
            <p class="faint">
              No started job is under way. Jobs on many objects are started among the objects of{" "}
              <a href={pathTo(["buckets"])}>a bucket</a>.
            </p>
          }
        />
      </Section>
      {isBusy && background}
      <Ended started={ended} />
      {!isBusy && background}
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
