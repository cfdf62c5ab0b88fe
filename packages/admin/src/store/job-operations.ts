/**
 * The operations of `/v1` on jobs: background jobs, which are always there, and those that callers start. A path names one
 * by its name or its id.
 *
 * Promises  Who watches gets an answer as soon as something has changed, and after `waitMs` at the latest.
 */
import {
  actionOf,
  JOB,
  type OperationInput,
  parseBody,
  PAUSED_JOB,
  SET_THROTTLE,
  JOBS,
  STARTED_JOB,
  startedJson,
} from "@hayloft/features/operator/index.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { jobIdOf, JOB_LIMITS, type StartedJob } from "@hayloft/features/user-jobs/index.js"
import { allJobsText, jobsTable, jobText, pausedText } from "./job-text.js"
import { type AdminOperation, operation, type AdminServices } from "../operation.js"

const WATCH = [
  { name: "revision", description: "that of an earlier answer: wait until there is another one" },
  { name: "waitMs", description: `for how long at most: 0 to ${JOB_LIMITS.watchMsMax}, 0 by default` },
]

function waitOf({ query }: OperationInput): { readonly revision: string | undefined; readonly waitMs: number } {
  const text = query.get("waitMs") ?? "0"
  const waitMs = /^\d{1,6}$/.test(text) ? Number(text) : Infinity
  if (waitMs > JOB_LIMITS.watchMsMax) {
    throw fail("invalidArgument", { message: `waitMs must be 0 to ${JOB_LIMITS.watchMsMax}` })
  }
  return { revision: query.get("revision"), waitMs }
}

/** Returns true if the caller has started the job, with the same key. */
const isBy = ({ starter }: StartedJob, { caller }: OperationInput): boolean =>
  starter.kind === caller.kind && starter.id === caller.id

/** Callers that may not see all jobs see those that they have started. */
async function jobsJson({ status, startedJobs, rootAccount }: AdminServices, input: OperationInput) {
  const mayListAll = await input.isAllowed([{ action: actionOf("listJobs"), resource: "*", owner: rootAccount }])
  const jobs = mayListAll ? status.report().jobs : []
  const started = (await startedJobs.list()).filter(job => mayListAll || isBy(job, input)).map(startedJson)
  const text = JSON.stringify([jobs, started.map(({ id, revision }) => [id, revision])])
  const revision = startedJobs.digest(text)
  return { revision, shown: { jobs, started, revision } }
}

function watch<Shown>(
  { startedJobs }: AdminServices,
  input: OperationInput,
  read: () => Promise<{ readonly shown: Shown; readonly revision: string }>,
): Promise<Shown> {
  const { revision, waitMs } = waitOf(input)
  return startedJobs.watch(read, revision, waitMs, input.signal)
}

/** Ids of started jobs have a form that no name of a background job has. */
const isStarted = ({ status }: AdminServices, name: string): boolean =>
  !status.report().jobs.some(job => job.name === name) && /-[a-z2-7]{8}$/.test(name)

const ofOwnJob = (id: string): NonNullable<AdminOperation["own"]> => ({
  permission: `none for a job that the caller has started, ${actionOf(id)} for others`,
  async is({ startedJobs }, input) {
    try {
      return isBy(await startedJobs.get(jobIdOf(input.segment("job"))), input)
    } catch (error) {
      if (isFailure(error, "noSuchEntity")) return false
      throw error
    }
  },
})

const pausing = (
  id: "pauseJob" | "resumeJob",
  word: "pause" | "resume",
  summary: string,
  help: string,
): AdminOperation =>
  operation(id, `POST /v1/jobs/{job}/${word}`, {
    summary,
    answer: PAUSED_JOB,
    own: ofOwnJob(id),
    async run(services, { segment }) {
      const [name, isPaused] = [segment("job"), id === "pauseJob"]
      return isStarted(services, name)
        ? startedJson(await services.startedJobs.setPaused(jobIdOf(name), isPaused))
        : services.store.setJobPaused(name, isPaused)
    },
    commands: [
      {
        name: `jobs ${word}`,
        help,
        inputs: { job: { flags: "<JOB>", help: "the name of a background job, or the id of a started one" } },
        text: (job, _, nowMs) => pausedText(job, nowMs),
      },
    ],
  })

const WAKE_JOB = operation("wakeJob", "POST /v1/jobs/{job}/wake", {
  summary: "Makes a background job look for work now.",
  answer: JOB,
  run: ({ store }, { segment }) => store.wakeJob(segment("job")),
  commands: [
    {
      name: "jobs wake",
      help: "wake a job, so that it checks for work now",
      inputs: { job: { flags: "<JOB>" } },
      text: job => jobsTable([job]),
    },
  ],
})

export const JOB_OPERATIONS: readonly AdminOperation[] = [
  operation("listJobs", "GET /v1/jobs", {
    parameters: WATCH,
    summary: "Lists background jobs, and jobs that callers have started: state, progress, rate, last error.",
    answer: JOBS,
    own: {
      permission: `none for jobs that the caller has started, ${actionOf("listJobs")} for all`,
      is: async () => true,
    },
    run: async (services, input) => watch(services, input, () => jobsJson(services, input)),
    commands: [
      {
        name: "jobs list",
        help: "state, progress, last error and throttle of each background job, and started jobs with rate and end",
        async run({ nowMs }, own) {
          const page = await own()
          return { json: [...page.jobs, ...page.started], isEach: true, text: () => allJobsText(page, nowMs()) }
        },
      },
    ],
  }),
  operation("getJob", "GET /v1/jobs/{job}", {
    parameters: WATCH,
    summary: "Returns a job that a caller has started; ended ones are kept for 30 days.",
    answer: STARTED_JOB,
    own: ofOwnJob("getJob"),
    run: async (services, input) =>
      watch(services, input, async () => {
        const shown = startedJson(await services.startedJobs.get(jobIdOf(input.segment("job"))))
        return { shown, revision: shown.revision }
      }),
    commands: [
      {
        name: "jobs show",
        help: "a started job with its counts and its first failures",
        inputs: { job: { flags: "<ID>" } },
        text: (job, _, nowMs) => jobText(job, nowMs),
      },
    ],
  }),
  operation("cancelJob", "POST /v1/jobs/{job}/cancel", {
    summary:
      "Cancels a job that a caller has started; refused with the reason, and with what undoes it, if that cannot be.",
    status: 202,
    answer: STARTED_JOB,
    own: ofOwnJob("cancelJob"),
    run: async ({ startedJobs }, { segment }) => startedJson(await startedJobs.cancel(jobIdOf(segment("job")))),
    commands: [
      {
        name: "jobs cancel",
        help: "cancel a started job; what it has done stays",
        inputs: { job: { flags: "<ID>" } },
        text: job => `${job.id} is being cancelled: what was done stays\n`,
      },
    ],
  }),
  pausing(
    "pauseJob",
    "pause",
    "Pauses a job until it is resumed, also across restarts.",
    "pause a job until it is resumed, also across restarts",
  ),
  pausing("resumeJob", "resume", "Resumes a paused job.", "resume a paused job"),
  operation("setThrottle", "POST /v1/jobs/{job}/throttle", {
    summary:
      "Sets the pause after each step of a background job, as a multiple of the step's duration; 0 is full speed.",
    request: SET_THROTTLE,
    answer: JOB,
    run: ({ store }, { segment, body }) => store.setThrottle(segment("job"), parseBody(SET_THROTTLE, body).throttle),
    commands: [
      {
        name: "jobs set-throttle",
        help: "set the rest of a job after a step, as a multiple of the step's duration; 0 is full speed",
        inputs: { job: { flags: "<JOB>" }, throttle: { flags: "<NUMBER>", reads: "number" } },
        text: job => jobsTable([job]),
      },
    ],
  }),
  WAKE_JOB,
]
