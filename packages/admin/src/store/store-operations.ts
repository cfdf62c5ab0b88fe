/** The operations of `/v1` on the store itself: status, repair, scrub, jobs. */
import type { z } from "zod"
import { assert } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { FEATURE_STATUS } from "@hayloft/features/index.js"
import type { StatusLine } from "@hayloft/features/operator/index.js"
import { targetOfScrub, type StoreStatus } from "@hayloft/node/index.js"
import { BACKUP_OPERATIONS } from "./backup-operations.js"
import { JOB_OPERATIONS } from "./job-operations.js"
import { JOB, parseBody, type CommandOf } from "@hayloft/features/operator/index.js"
import { operation, type AdminOperation, type AdminServices } from "../operation.js"
import { jobsTable } from "./job-text.js"
import { lostText, pendingText, repairText, scrubTable, statusText } from "./store-text.js"
import { STORE_PART_OPERATIONS } from "./device-operations.js"
import * as schema from "./store-schemas.js"

function repairOf(status: StoreStatus) {
  const { repair } = status.report()
  if (repair === undefined) throw fail("notImplemented", { message: "this process does no repair" })
  return repair
}

function scrubOf(status: StoreStatus) {
  const { scrub } = status.report()
  if (scrub === undefined) throw fail("notImplemented", { message: "this process does no scrub" })
  return { scrub }
}

const pauseRepair = (isPaused: boolean) =>
  async function run({ store, status }: AdminServices) {
    await store.setRepairPaused(isPaused)
    return repairOf(status)
  }

const repairCommand = (word: string, help: string): CommandOf<z.output<typeof schema.REPAIR>> => ({
  name: `repair ${word}`,
  help,
  text: repair => `${repairText(repair)}\n${lostText(repair)}`,
})

const scrubCommand = (
  word: string,
  help: string,
  inputs: NonNullable<CommandOf<unknown>["inputs"]> = {},
): CommandOf<z.output<typeof schema.SCRUBS>> => ({
  name: `scrub ${word}`,
  help,
  inputs,
  list: "scrub",
  text: ({ scrub }, _, nowMs) => scrubTable(scrub, nowMs),
})

const WORK_OPERATIONS: readonly AdminOperation[] = [
  operation("getRepair", "GET /v1/repair", {
    summary: "Returns completed and remaining repair work.",
    answer: schema.REPAIR,
    run: async ({ status }) => repairOf(status),
    commands: [repairCommand("status", "completed and remaining work of repair")],
  }),
  operation("pauseRepair", "POST /v1/repair/pause", {
    summary: "Pauses repair and moves until they are resumed, also across restarts.",
    answer: schema.REPAIR,
    run: pauseRepair(true),
    commands: [repairCommand("pause", "pause repair and moves until they are resumed, also across restarts")],
  }),
  operation("resumeRepair", "POST /v1/repair/resume", {
    summary: "Resumes repair.",
    answer: schema.REPAIR,
    run: pauseRepair(false),
    commands: [repairCommand("resume", "resume repair")],
  }),
  operation("getScrub", "GET /v1/scrub", {
    summary: "Returns how far each device has been verified.",
    answer: schema.SCRUBS,
    run: async ({ status }) => scrubOf(status),
    commands: [scrubCommand("status", "progress of each device, and the age of its oldest verification")],
  }),
  operation("startScrub", "POST /v1/scrub/start", {
    request: schema.START_SCRUB,
    summary: "Resumes scrub, and starts a pass now if none is running.",
    answer: schema.SCRUBS,
    run: async ({ store, status, startedJobs }, { body, caller }) => {
      const { device } = parseBody(schema.START_SCRUB, body)
      await store.startScrub(device === undefined ? undefined : parseDeviceId(device))
      const report = status.report()
      for (const { device: each } of report.scrub ?? []) {
        if (device !== undefined && each !== device) continue
        const work = { kind: "scrub", target: targetOfScrub(report, each) }
        // The pass has begun, whether the job of it can be recorded or not.
        await startedJobs.follow(work, caller).catch(() => undefined)
      }
      return scrubOf(status)
    },
    commands: [
      scrubCommand("start", "resume scrub, and begin a pass now if none is running", {
        device: { flags: "[DEVICE]", help: "only this one", reads: "device" },
      }),
    ],
  }),
  operation("pauseScrub", "POST /v1/scrub/pause", {
    summary: "Pauses scrub until it is started again, also across restarts.",
    answer: schema.SCRUBS,
    run: async ({ store, status }) => {
      await store.pauseScrub()
      return scrubOf(status)
    },
    commands: [scrubCommand("pause", "pause scrub until it is started again, also across restarts")],
  }),
]

const RESUME_ORPHANS = operation("resumeOrphans", "POST /v1/orphans/resume", {
  summary: "Removes unreferenced blocks without the limit on their number, until the process ends.",
  answer: JOB,
  run: ({ store }) => store.resumeOrphans(),
  commands: [
    {
      name: "orphans resume",
      help: "remove orphans after a day although there are more than a crash leaves; until the process ends",
      text: job => jobsTable([job]),
    },
  ],
})

const LIST_PENDING = operation("listPendingUploads", "GET /v1/pending", {
  summary: "Lists uploads whose bytes are on devices and which no object has: interrupted by a crash, or refused.",
  answer: schema.PENDING_UPLOADS,
  run: ({ store }) => store.pending(),
  commands: [
    {
      name: "pending list",
      help: "uploads that a crash or a refusal has interrupted, whose bytes wait for their removal",
      list: "uploads",
      text: (pending, _, nowMs) => pendingText(pending, nowMs),
    },
  ],
})

function reconcilingOf({ reconciling }: AdminServices) {
  if (reconciling === undefined) throw fail("notImplemented", { message: "this store runs on one machine" })
  return reconciling
}

const RECONCILE_OPERATIONS: readonly AdminOperation[] = [
  operation("getReconciliation", "GET /v1/reconciliation", {
    summary: "Returns what this node does to reconcile a store whose database was rolled back.",
    answer: schema.RECONCILIATION,
    run: async services => reconcilingOf(services).report(),
  }),
  operation("reconcile", "POST /v1/reconciliation", {
    request: schema.RECONCILE,
    summary: "Begins to compare bytes and rows, or carries out the plan that this has made.",
    answer: schema.RECONCILIATION,
    run: async (services, { body }) => {
      const { without = [], confirm } = parseBody(schema.RECONCILE, body)
      const reconciling = reconcilingOf(services)
      return confirm === undefined ? reconciling.compare(without.map(parseDeviceId)) : reconciling.apply(confirm)
    },
  }),
  operation("listReconciliation", "GET /v1/reconciliation/entries", {
    summary: "Lists what a reconciliation puts back, what it only lists, and what is missing.",
    answer: schema.RECONCILE_ENTRIES,
    run: async (services, { query }) => reconcilingOf(services).entries(entryNumber(query.get("from"))),
    parameters: [{ name: "from", description: "`next` of the previous page" }],
  }),
]

function entryNumber(text = "0"): number {
  if (!/^\d{1,9}$/.test(text)) throw fail("invalidArgument", { message: "from must be a number" })
  return Number(text)
}

/** The core does not know their names: its own type of the status is without them. */
const FEATURE_FIELDS: Readonly<Record<never, never>> = Object.fromEntries(
  FEATURE_STATUS.map(({ name, schema: ofField }) => {
    assert(!(name in schema.STATUS.shape), () => `the status has a field ${name} already`)
    return [name, ofField]
  }),
)
const STATUS = schema.STATUS.extend(FEATURE_FIELDS).meta({ id: "Status" })

function featureLines(status: object, nowMs: number): readonly StatusLine[] {
  const fields = new Map<string, unknown>(Object.entries(status))
  return FEATURE_STATUS.flatMap(part => part.lines(fields.get(part.name), nowMs))
}

export const STORE_OPERATIONS: readonly AdminOperation[] = [
  operation("getStatus", "GET /v1/status", {
    summary: "Returns the store's status: what may fail now, health, devices, background jobs, queues.",
    answer: STATUS,
    run: async ({ status }) => status.report(),
    commands: [
      {
        name: "status",
        help: "how many disks may fail now, and every problem of a running store; exit code 1 while it is not ready",
        text: (status, _, nowMs) => statusText(status, nowMs, featureLines(status, nowMs)),
        failure: ({ health }) => (health.ready ? undefined : `not ready: ${health.reasons.join("; ")}`),
      },
    ],
  }),
  ...STORE_PART_OPERATIONS,
  ...WORK_OPERATIONS,
  LIST_PENDING,
  RESUME_ORPHANS,
  ...JOB_OPERATIONS,
  ...BACKUP_OPERATIONS,
  ...RECONCILE_OPERATIONS,
]
