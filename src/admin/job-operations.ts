/**
 * The operations of `/v1` on jobs: background jobs, which are always there, and those that callers start. A path names one
 * by its name or its id.
 *
 * Promises  Who watches gets an answer as soon as something has changed, and after `waitMs` at the latest.
 */
import { z } from "zod"
import { fail, isFailure } from "../base/failures.js"
import { parseBucketName, textOfObjectKey } from "../base/ids.js"
import {
  BULK_REQUEST,
  jobIdOf,
  JOB_LIMITS,
  restoredMomentOf,
  targetOfBulk,
  textOfBulk,
  type StartedJob,
} from "../features/user-jobs/index.js"
import * as schema from "./job-schemas.js"
import { parseBody, type Operation, type OperationInput, type Services } from "./operation.js"
import { actionOf } from "./permits.js"

/** Not among the schemas of answers: the console takes those for its types, and has no use for the work itself. */
const START_JOB = z
  .strictObject({
    dryRun: z.boolean().default(false).describe("only count; nothing is changed"),
    job: BULK_REQUEST,
  })
  .meta({ id: "StartJob" })

const WATCH = [
  { name: "revision", description: "that of an earlier answer: wait until there is another one" },
  { name: "waitMs", description: `for how long at most: 0 to ${JOB_LIMITS.watchMsMax}, 0 by default` },
]

export const startedJson = ({ failures, plan, ...job }: StartedJob) => ({
  ...job,
  ...(plan && { plan: { amounts: plan.amounts, first: plan.first.map(plannedJson) } }),
  failures: failures.map(({ key, versionId, reason }) => ({
    ...{ key: textOfObjectKey(key), reason },
    ...(versionId !== "" && { versionId }),
  })),
})

const plannedJson = ({ key, versionId, ...item }: NonNullable<StartedJob["plan"]>["first"][number]) => ({
  ...item,
  key: textOfObjectKey(key),
  ...(versionId !== "" && { versionId }),
})

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

/** Who may not see all jobs sees those that it has started. */
async function jobsJson({ status, startedJobs, rootAccount }: Services, input: OperationInput) {
  const mayListAll = await input.isAllowed([{ action: actionOf("listJobs"), resource: "*", owner: rootAccount }])
  const jobs = mayListAll ? status.report().jobs : []
  const started = (await startedJobs.list()).filter(job => mayListAll || isBy(job, input)).map(startedJson)
  const text = JSON.stringify([jobs, started.map(({ id, revision }) => [id, revision])])
  const revision = startedJobs.digest(text)
  return { revision, shown: { jobs, started, revision } }
}

function watch<Shown>(
  { startedJobs }: Services,
  input: OperationInput,
  read: () => Promise<{ readonly shown: Shown; readonly revision: string }>,
): Promise<Shown> {
  const { revision, waitMs } = waitOf(input)
  return startedJobs.watch(read, revision, waitMs, input.signal)
}

/** Ids of started jobs have a form that no name of a background job has. */
const isStarted = ({ status }: Services, name: string): boolean =>
  !status.report().jobs.some(job => job.name === name) && /-[a-z2-7]{8}$/.test(name)

const ofOwnJob = (id: string): NonNullable<Operation["own"]> => ({
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

const pausing = (id: "pauseJob" | "resumeJob", word: string, summary: string): Operation => ({
  ...{ id, method: "POST", path: `/v1/jobs/{job}/${word}`, summary, parameters: [], request: undefined },
  response: { status: 200, schema: schema.PAUSED_JOB },
  own: ofOwnJob(id),
  async run(services, { segment }) {
    const [name, isPaused] = [segment("job"), id === "pauseJob"]
    return isStarted(services, name)
      ? startedJson(await services.startedJobs.setPaused(jobIdOf(name), isPaused))
      : services.store.setJobPaused(name, isPaused)
  },
})

export const JOB_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "listJobs", method: "GET", path: "/v1/jobs", request: undefined, parameters: WATCH },
    summary: "Lists background jobs, and jobs that callers have started: state, progress, rate, last error.",
    response: { status: 200, schema: schema.JOBS },
    own: {
      permission: `none for jobs that the caller has started, ${actionOf("listJobs")} for all`,
      is: async () => true,
    },
    run: async (services, input) => watch(services, input, () => jobsJson(services, input)),
  },
  {
    ...{ id: "getJob", method: "GET", path: "/v1/jobs/{job}", request: undefined, parameters: WATCH },
    summary: "Returns a job that a caller has started; ended ones are kept for 30 days.",
    response: { status: 200, schema: schema.STARTED_JOB },
    own: ofOwnJob("getJob"),
    run: async (services, input) =>
      watch(services, input, async () => {
        const shown = startedJson(await services.startedJobs.get(jobIdOf(input.segment("job"))))
        return { shown, revision: shown.revision }
      }),
  },
  {
    ...{ id: "cancelJob", method: "POST", path: "/v1/jobs/{job}/cancel", request: undefined, parameters: [] },
    summary:
      "Cancels a job that a caller has started; refused with the reason, and with what undoes it, if that cannot be.",
    response: { status: 202, schema: schema.STARTED_JOB },
    own: ofOwnJob("cancelJob"),
    run: async ({ startedJobs }, { segment }) => startedJson(await startedJobs.cancel(jobIdOf(segment("job")))),
  },
  pausing("pauseJob", "pause", "Pauses a job until it is resumed, also across restarts."),
  pausing("resumeJob", "resume", "Resumes a paused job."),
  {
    ...{ id: "setThrottle", method: "POST", path: "/v1/jobs/{job}/throttle", parameters: [] },
    summary:
      "Sets the pause after each step of a background job, as a multiple of the step's duration; 0 is full speed.",
    request: schema.SET_THROTTLE,
    response: { status: 200, schema: schema.JOB },
    run: ({ store }, { segment, body }) =>
      store.setThrottle(segment("job"), parseBody(schema.SET_THROTTLE, body).throttle),
  },
  {
    ...{ id: "wakeJob", method: "POST", path: "/v1/jobs/{job}/wake", request: undefined, parameters: [] },
    summary: "Makes a background job look for work now.",
    response: { status: 200, schema: schema.JOB },
    run: ({ store }, { segment }) => store.wakeJob(segment("job")),
  },
  {
    ...{ id: "startJob", method: "POST", path: "/v1/buckets/{bucket}/jobs", parameters: [] },
    summary: "Starts a job on many objects of a bucket; with dryRun it only counts them.",
    request: START_JOB,
    mayPlan: true,
    bodyBytesMax: JOB_LIMITS.requestBytesMax,
    response: { status: 202, schema: schema.STARTED_JOB },
    own: { permission: "as by S3, for each object when its turn comes", is: async () => true },
    run: async ({ buckets, moments, startedJobs }, { segment, body, caller, signer }) => {
      const { dryRun, job } = parseBody(START_JOB, body)
      if (signer?.sessionToken !== undefined)
        throw fail("invalidArgument", {
          message: "temporary credentials may end before the job: sign in with an access key",
        })
      const bucket = await buckets.open(parseBucketName(segment("bucket")))
      if (job.kind === "copy-objects") await buckets.open(parseBucketName(job.toBucket))
      // A restore leaves later writes as they are.
      const asOfUs = restoredMomentOf(job) === undefined ? undefined : await moments.now()
      const request = textOfBulk({ request: job, bucket: bucket.name, bucketId: bucket.id, asOfUs })
      const target = targetOfBulk(bucket.name, job)
      return startedJson(
        await startedJobs.start({ kind: job.kind, target, request, starter: caller, isDryRun: dryRun }),
      )
    },
  },
]
