/**
 * The operations of `/v1` on the store itself: status, devices, redundancy, repair, scrub, jobs.
 *
 * Changes take `dryRun`: the answer is then the plan, and nothing is touched. Where the plan has a `confirmBy`, the
 * change has to say it as `confirm`.
 */
import { fail } from "../base/failures.js"
import { parseBucketName, parseDeviceId } from "../base/ids.js"
import { parsePolicy } from "../base/policy.js"
import type { StoreChange, StoreStatus } from "../node/index.js"
import { parseBody, type Operation, type OperationInput, type Services } from "./operation.js"
import * as schema from "./store-schemas.js"

type Row = Pick<Operation, "id" | "path" | "summary" | "run"> & { readonly schema: Operation["response"]["schema"] }

const read = ({ schema: answer, ...row }: Row): Operation => ({
  ...row,
  method: "GET",
  parameters: [],
  request: undefined,
  response: { status: 200, schema: answer },
})

const act = (request: Operation["request"], { schema: answer, ...row }: Row): Operation => ({
  ...row,
  method: "POST",
  parameters: [],
  request,
  response: { status: 200, schema: answer },
})

interface RequestedChange {
  readonly dryRun: boolean
  readonly confirm?: string | undefined
  readonly change: StoreChange
}

/** A row whose body becomes a change, which is planned or made. */
const change = (
  request: NonNullable<Operation["request"]>,
  row: Pick<Row, "id" | "path" | "summary">,
  read: (input: OperationInput) => RequestedChange,
): Operation =>
  act(request, {
    ...row,
    schema: schema.CHANGE,
    run: async ({ store }, input) => {
      const { dryRun, confirm, change: request } = read(input)
      return dryRun
        ? { applied: false, plan: await store.plan(request) }
        : { applied: true, ...(await store.change(request, confirm)) }
    },
  })

/** A change of one device that says no more than which. */
const deviceChange = (kind: "drainDevice" | "removeDevice", path: string, summary: string): Operation =>
  change(schema.CHANGE_DEVICE, { id: kind, path, summary }, ({ target, body }) => ({
    ...parseBody(schema.CHANGE_DEVICE, body),
    change: { kind, id: parseDeviceId(target) },
  }))

function repairOf(status: StoreStatus) {
  const { repair } = status.report()
  if (repair === undefined) throw fail("notImplemented", { message: "this process repairs nothing" })
  return repair
}

function scrubOf(status: StoreStatus) {
  const { scrub } = status.report()
  if (scrub === undefined) throw fail("notImplemented", { message: "this process scrubs nothing" })
  return { scrub }
}

function jobOf(status: StoreStatus, name: string) {
  const job = status.report().jobs.find(each => each.name === name)
  if (job === undefined) throw fail("invalidArgument", { message: "no such job", job: name })
  return job
}

const DEVICE_OPERATIONS: readonly Operation[] = [
  read({
    id: "listDevices",
    path: "/v1/devices",
    summary: "Devices with their state, space and queues.",
    schema: schema.DEVICES,
    run: async ({ status }) => ({ devices: status.report().devices }),
  }),
  change(
    schema.ADD_DEVICE,
    { id: "addDevice", path: "/v1/devices", summary: "Adds an empty folder as a device; shards move to it." },
    ({ body }) => {
      const { path, weight, ...request } = parseBody(schema.ADD_DEVICE, body)
      return { ...request, change: { kind: "addDevice", path, weight } }
    },
  ),
  deviceChange("drainDevice", "/v1/devices/{id}/drain", "Moves all shards of a device to the others."),
  deviceChange("removeDevice", "/v1/devices/{id}/remove", "Drains a device, and forgets it once it is empty."),
  change(
    schema.FORGET_DEVICE,
    {
      id: "forgetDevice",
      path: "/v1/devices/{id}/forget",
      summary: "Gives a device that is out up for ever; what it held is rebuilt on the others.",
    },
    ({ target, body }) => {
      const { acceptLoss, ...request } = parseBody(schema.FORGET_DEVICE, body)
      return { ...request, change: { kind: "forgetDevice", id: parseDeviceId(target), acceptLoss } }
    },
  ),
  change(
    schema.REPLACE_DEVICE,
    {
      id: "replaceDevice",
      path: "/v1/devices/{id}/replace",
      summary: "Puts an empty folder in the place of a device that is out.",
    },
    ({ target, body }) => {
      const { path, acceptLoss, ...request } = parseBody(schema.REPLACE_DEVICE, body)
      return { ...request, change: { kind: "replaceDevice", id: parseDeviceId(target), path, acceptLoss } }
    },
  ),
  change(
    schema.SET_WEIGHT,
    { id: "setWeight", path: "/v1/devices/{id}/weight", summary: "Changes a device's share of the shards." },
    ({ target, body }) => {
      const { weight, ...request } = parseBody(schema.SET_WEIGHT, body)
      return { ...request, change: { kind: "setWeight", id: parseDeviceId(target), weight } }
    },
  ),
  act(undefined, {
    id: "checkDevice",
    path: "/v1/devices/{id}/check",
    summary: "Looks at a device now; one that was out and is well takes part again.",
    schema: schema.DEVICE_CHECK,
    run: ({ store }, { target }) => store.checkDevice(parseDeviceId(target)),
  }),
]

const REDUNDANCY_OPERATIONS: readonly Operation[] = [
  read({
    id: "getRedundancy",
    path: "/v1/redundancy",
    summary: "The policy of the store, what it means, and buckets with one of their own.",
    schema: schema.REDUNDANCY,
    run: ({ store }) => store.redundancy(),
  }),
  change(
    schema.SET_REDUNDANCY,
    {
      id: "setRedundancy",
      path: "/v1/redundancy",
      summary: "Changes the policy of the store or of a bucket; what is stored is re-encoded.",
    },
    ({ body }) => {
      const { policy: text, bucket: name, ...request } = parseBody(schema.SET_REDUNDANCY, body)
      const policy = text === "automatic" ? text : parsePolicy(text)
      const bucket = name === undefined ? undefined : parseBucketName(name)
      return { ...request, change: { kind: "setRedundancy", policy, bucket } }
    },
  ),
]

const pauseRepair = (isPaused: boolean) =>
  async function run({ store, status }: Services) {
    await store.setRepairPaused(isPaused)
    return repairOf(status)
  }

const WORK_OPERATIONS: readonly Operation[] = [
  read({
    id: "getRepair",
    path: "/v1/repair",
    summary: "What repair has done and has to do.",
    schema: schema.REPAIR,
    run: async ({ status }) => repairOf(status),
  }),
  act(undefined, {
    id: "pauseRepair",
    path: "/v1/repair/pause",
    summary: "Stops repair and moves until they are resumed, also over restarts.",
    schema: schema.REPAIR,
    run: pauseRepair(true),
  }),
  act(undefined, {
    id: "resumeRepair",
    path: "/v1/repair/resume",
    summary: "Ends a pause of repair.",
    schema: schema.REPAIR,
    run: pauseRepair(false),
  }),
  read({
    id: "getScrub",
    path: "/v1/scrub",
    summary: "How far each device has been verified.",
    schema: schema.SCRUBS,
    run: async ({ status }) => scrubOf(status),
  }),
  act(schema.START_SCRUB, {
    id: "startScrub",
    path: "/v1/scrub/start",
    summary: "Ends a pause, and begins a pass now where none is running.",
    schema: schema.SCRUBS,
    run: async ({ store, status }, { body }) => {
      const { device } = parseBody(schema.START_SCRUB, body)
      await store.startScrub(device === undefined ? undefined : parseDeviceId(device))
      return scrubOf(status)
    },
  }),
  act(undefined, {
    id: "pauseScrub",
    path: "/v1/scrub/pause",
    summary: "Stops verifying until it is started again, also over restarts.",
    schema: schema.SCRUBS,
    run: async ({ store, status }) => {
      await store.pauseScrub()
      return scrubOf(status)
    },
  }),
]

const JOB_OPERATIONS: readonly Operation[] = [
  act(undefined, {
    id: "resumeOrphans",
    path: "/v1/orphans/resume",
    summary: "Lets blocks that no row names be removed, however many there are, until the process ends.",
    schema: schema.JOB,
    run: async ({ store, status }) => {
      await store.resumeOrphans()
      return jobOf(status, "orphans")
    },
  }),
  read({
    id: "listChores",
    path: "/v1/jobs",
    summary: "Background work: state, progress, last error, throttle.",
    schema: schema.JOBS,
    run: async ({ status }) => ({ jobs: status.report().jobs }),
  }),
  act(schema.SET_THROTTLE, {
    id: "setTranquility",
    path: "/v1/jobs/{name}/throttle",
    summary: "How long a job rests after a step, as a multiple of how long the step took; 0 is full speed.",
    schema: schema.JOB,
    run: async ({ store, status }, { target, body }) => {
      store.setThrottle(target, parseBody(schema.SET_THROTTLE, body).throttle)
      return jobOf(status, target)
    },
  }),
  act(undefined, {
    id: "wakeChore",
    path: "/v1/jobs/{name}/wake",
    summary: "Has a job look for work now.",
    schema: schema.JOB,
    run: async ({ store, status }, { target }) => {
      store.wakeJob(target)
      return jobOf(status, target)
    },
  }),
]

export const STORE_OPERATIONS: readonly Operation[] = [
  read({
    id: "getStatus",
    path: "/v1/status",
    summary: "The store: what may fail now, health, devices, background work, queues.",
    schema: schema.STATUS,
    run: async ({ status }) => status.report(),
  }),
  read({
    id: "getLayout",
    path: "/v1/layout",
    summary: "The layout, and what is left to move to it.",
    schema: schema.LAYOUT,
    run: async ({ status }) => status.report().layout,
  }),
  ...DEVICE_OPERATIONS,
  ...REDUNDANCY_OPERATIONS,
  ...WORK_OPERATIONS,
  ...JOB_OPERATIONS,
]
