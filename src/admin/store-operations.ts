/**
 * The operations of `/v1` on the store itself: status, devices, redundancy, repair, scrub, jobs.
 *
 * Changes accept `dryRun`: the reply is then the plan, and nothing is changed. If the plan has a `confirmBy`, the
 * request must repeat it as `confirm`; if it has `lockedBuckets`, the request must repeat those.
 */
import type { z } from "zod"
import { fail } from "../base/failures.js"
import { parseBucketName, parseDeviceId, parseNodeName } from "../base/ids.js"
import { parsePolicy } from "../base/policy.js"
import type { JobStarter } from "../features/user-jobs/index.js"
import { targetOfScrub, workOfChange, type StagedChange, type StoreChange, type StoreStatus } from "../node/index.js"
import { JOB_OPERATIONS, startedJson } from "./job-operations.js"
import { JOB } from "./job-schemas.js"
import { parseBody, type Operation, type OperationInput, type Services } from "./operation.js"
import * as schema from "./store-schemas.js"

type Row = Pick<Operation, "id" | "path" | "summary" | "run"> & { readonly schema: Operation["response"]["schema"] }

const read = ({ schema: reply, ...row }: Row): Operation => ({
  ...row,
  method: "GET",
  parameters: [],
  request: undefined,
  response: { status: 200, schema: reply },
})

const act = (request: Operation["request"], { schema: reply, ...row }: Row): Operation => ({
  ...row,
  method: "POST",
  parameters: [],
  request,
  response: { status: 200, schema: reply },
})

interface RequestedChange {
  readonly dryRun: boolean
  readonly confirm?: string | undefined
  readonly lockedBuckets?: readonly string[] | undefined
  readonly change: StoreChange
}

/** A row whose body becomes a change, which is planned or made. */
const change = (
  request: NonNullable<Operation["request"]>,
  row: Pick<Row, "id" | "path" | "summary">,
  read: (input: OperationInput) => RequestedChange,
): Operation => ({
  ...act(request, {
    ...row,
    schema: schema.CHANGE,
    run: async (services, input) => {
      const { dryRun, confirm, lockedBuckets, change: request } = read(input)
      if (dryRun) return { applied: false, plan: await services.store.plan(request) }
      const applied = await services.store.change(request, confirm, lockedBuckets)
      return { applied: true, ...applied, ...(await jobOfChange(services, request, input.caller)) }
    },
  }),
  mayPlan: true,
  mayStartJob: true,
})

/** The job of the work that the change has begun; a change that is made at once has none. The change is made either way. */
async function jobOfChange({ startedJobs }: Services, change: StoreChange, caller: JobStarter) {
  const work = workOfChange(startedJobs.works(), "id" in change ? change.id : undefined)
  const job = work && (await startedJobs.follow(work, caller).catch(() => undefined))
  return job === undefined ? {} : { job: startedJson(job) }
}

/** A change of one device that needs only the device id. */
const deviceChange = (kind: "drainDevice" | "removeDevice" | "useDevice", path: string, summary: string): Operation =>
  change(schema.CHANGE_DEVICE, { id: kind, path, summary }, ({ segment, body }) => ({
    ...parseBody(schema.CHANGE_DEVICE, body),
    change: { kind, id: parseDeviceId(segment("device")) },
  }))

const onNode = (name: string | undefined) => (name === undefined ? {} : { node: parseNodeName(name) })

/** A change of all devices of a node that needs only its name. */
const nodeChange = (kind: "drainNode" | "removeNode" | "useNode", path: string, summary: string): Operation =>
  change(schema.CHANGE_NODE, { id: kind, path, summary }, ({ segment, body }) => ({
    ...parseBody(schema.CHANGE_NODE, body),
    change: { kind, node: parseNodeName(segment("node")) },
  }))

/** Throws `invalidArgument` for an id or a name that cannot be one. */
function stagedOf(staged: z.output<typeof schema.STAGED_CHANGE>): StagedChange {
  if (staged.kind === "setWeight") return { ...staged, id: parseDeviceId(staged.id) }
  return "id" in staged
    ? { kind: staged.kind, id: parseDeviceId(staged.id) }
    : { kind: staged.kind, node: parseNodeName(staged.node) }
}

function nodesOf(status: StoreStatus) {
  const { nodes } = status.report()
  if (nodes === undefined) throw fail("notImplemented", { message: "this store has no nodes: it runs on one machine" })
  return nodes
}

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

const DEVICE_OPERATIONS: readonly Operation[] = [
  read({
    id: "listDevices",
    path: "/v1/devices",
    summary: "Lists devices with their state, space and queues.",
    schema: schema.DEVICES,
    run: async ({ status }) => ({ devices: status.report().devices }),
  }),
  change(
    schema.ADD_DEVICE,
    { id: "addDevice", path: "/v1/devices", summary: "Adds an empty folder as a device; shards move to it." },
    ({ body }) => {
      const { path, node, weight, ...request } = parseBody(schema.ADD_DEVICE, body)
      return { ...request, change: { kind: "addDevice", path, weight, ...onNode(node) } }
    },
  ),
  deviceChange("drainDevice", "/v1/devices/{device}/drain", "Moves all shards of a device to the others."),
  deviceChange("removeDevice", "/v1/devices/{device}/remove", "Drains a device and forgets it once it is empty."),
  deviceChange("useDevice", "/v1/devices/{device}/use", "Takes a draining or drained device back into use."),
  change(
    schema.FORGET_DEVICE,
    {
      id: "forgetDevice",
      path: "/v1/devices/{device}/forget",
      summary: "Removes an offline device permanently; its shards are rebuilt on the others.",
    },
    ({ segment, body }) => {
      const { acceptLoss, ...request } = parseBody(schema.FORGET_DEVICE, body)
      return { ...request, change: { kind: "forgetDevice", id: parseDeviceId(segment("device")), acceptLoss } }
    },
  ),
  change(
    schema.REPLACE_DEVICE,
    {
      id: "replaceDevice",
      path: "/v1/devices/{device}/replace",
      summary: "Replaces an offline device with an empty folder.",
    },
    ({ segment, body }) => {
      const { path, node, acceptLoss, ...request } = parseBody(schema.REPLACE_DEVICE, body)
      const id = parseDeviceId(segment("device"))
      return { ...request, change: { kind: "replaceDevice", id, path, acceptLoss, ...onNode(node) } }
    },
  ),
  change(
    schema.SET_WEIGHT,
    { id: "setWeight", path: "/v1/devices/{device}/weight", summary: "Changes a device's share of the shards." },
    ({ segment, body }) => {
      const { weight, ...request } = parseBody(schema.SET_WEIGHT, body)
      return { ...request, change: { kind: "setWeight", id: parseDeviceId(segment("device")), weight } }
    },
  ),
  act(undefined, {
    id: "checkDevice",
    path: "/v1/devices/{device}/check",
    summary: "Checks a device now; an offline device that works again is put back into use.",
    schema: schema.DEVICE_CHECK,
    run: ({ store }, { segment }) => store.checkDevice(parseDeviceId(segment("device"))),
  }),
]

const NODE_OPERATIONS: readonly Operation[] = [
  read({
    id: "listNodes",
    path: "/v1/nodes",
    summary: "Lists the nodes of the store: their states, devices and jobs, and which cannot reach which.",
    schema: schema.NODES,
    run: async ({ status }) => nodesOf(status),
  }),
  nodeChange("drainNode", "/v1/nodes/{node}/drain", "Moves all shards of a node to other nodes."),
  nodeChange("removeNode", "/v1/nodes/{node}/remove", "Drains a node and removes it once its devices are empty."),
  nodeChange("useNode", "/v1/nodes/{node}/use", "Takes the devices of a node back into use."),
  change(
    schema.FORGET_NODE,
    {
      id: "forgetNode",
      path: "/v1/nodes/{node}/forget",
      summary: "Removes a lost node permanently, with its devices; their shards are rebuilt on the others.",
    },
    ({ segment, body }) => {
      const { acceptLoss, ...request } = parseBody(schema.FORGET_NODE, body)
      return { ...request, change: { kind: "forgetNode", node: parseNodeName(segment("node")), acceptLoss } }
    },
  ),
]

const CONVERSION_OPERATIONS: readonly Operation[] = [
  read({
    id: "getConversion",
    path: "/v1/cluster/conversion",
    summary: "Returns how far the metadata of the store has been moved to a database, or back.",
    schema: schema.CONVERSION,
    run: async ({ conversion }) => conversion.report(),
  }),
  act(schema.TO_DATABASE, {
    id: "initCluster",
    path: "/v1/cluster/init",
    summary: "Begins to move the metadata of a store on one machine to an empty database; clients work meanwhile.",
    schema: schema.CONVERSION,
    run: ({ conversion }, { body }) => conversion.toDatabase(parseBody(schema.TO_DATABASE, body)),
  }),
  {
    ...act(schema.TO_DEVICES, {
      id: "leaveCluster",
      path: "/v1/cluster/leave",
      summary: "Begins to move the metadata from the database to the devices of the only node that is left.",
      schema: schema.CONVERSION,
      run: ({ conversion }, { body }) => conversion.toDevices(parseBody(schema.TO_DEVICES, body).lockedBuckets),
    }),
    isBodyOptional: true,
  },
]

const LAYOUT_OPERATIONS: readonly Operation[] = [
  read({
    id: "getLayout",
    path: "/v1/layout",
    summary: "Returns the layout with the share of each device, and the remaining moves to it.",
    schema: schema.LAYOUT_DETAILS,
    run: ({ store }) => store.layout(),
  }),
  change(
    schema.CHANGE_LAYOUT,
    { id: "changeLayout", path: "/v1/layout", summary: "Makes several changes in one change of the layout." },
    ({ body }) => {
      const { changes, ...request } = parseBody(schema.CHANGE_LAYOUT, body)
      return { ...request, change: { kind: "changeLayout", changes: changes.map(stagedOf) } }
    },
  ),
  change(
    schema.REVERT_LAYOUT,
    { id: "revertLayout", path: "/v1/layout/revert", summary: "Goes back to the previous layout while shards move." },
    ({ body }) => ({ ...parseBody(schema.REVERT_LAYOUT, body), change: { kind: "revertLayout" } }),
  ),
]

const REDUNDANCY_OPERATIONS: readonly Operation[] = [
  read({
    id: "getRedundancy",
    path: "/v1/redundancy",
    summary: "Returns the store's policy, what it means, and buckets with their own policy.",
    schema: schema.REDUNDANCY,
    run: ({ store }) => store.redundancy(),
  }),
  change(
    schema.SET_REDUNDANCY,
    {
      id: "setRedundancy",
      path: "/v1/redundancy",
      summary: "Changes the policy of the store or of a bucket; stored blocks are re-encoded.",
    },
    ({ body }) => {
      const { policy: text, bucket: name, ...request } = parseBody(schema.SET_REDUNDANCY, body)
      const policy = text === "automatic" ? text : parsePolicy(text)
      const bucket = name === undefined ? undefined : parseBucketName(name)
      return { ...request, change: { kind: "setRedundancy", policy, bucket } }
    },
  ),
  change(
    schema.SET_CLASS,
    {
      id: "setClass",
      path: "/v1/redundancy/class",
      summary: "Changes the policy of a storage class; stored blocks of its objects are re-encoded.",
    },
    ({ body }) => {
      const { policy: text, storageClass, ...request } = parseBody(schema.SET_CLASS, body)
      const policy = text === "automatic" ? undefined : parsePolicy(text)
      return { ...request, change: { kind: "setClass", storageClass, policy } }
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
    summary: "Returns completed and remaining repair work.",
    schema: schema.REPAIR,
    run: async ({ status }) => repairOf(status),
  }),
  act(undefined, {
    id: "pauseRepair",
    path: "/v1/repair/pause",
    summary: "Pauses repair and moves until they are resumed, also across restarts.",
    schema: schema.REPAIR,
    run: pauseRepair(true),
  }),
  act(undefined, {
    id: "resumeRepair",
    path: "/v1/repair/resume",
    summary: "Resumes repair.",
    schema: schema.REPAIR,
    run: pauseRepair(false),
  }),
  read({
    id: "getScrub",
    path: "/v1/scrub",
    summary: "Returns how far each device has been verified.",
    schema: schema.SCRUBS,
    run: async ({ status }) => scrubOf(status),
  }),
  act(schema.START_SCRUB, {
    id: "startScrub",
    path: "/v1/scrub/start",
    summary: "Resumes scrub, and starts a pass now if none is running.",
    schema: schema.SCRUBS,
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
  }),
  act(undefined, {
    id: "pauseScrub",
    path: "/v1/scrub/pause",
    summary: "Pauses scrub until it is started again, also across restarts.",
    schema: schema.SCRUBS,
    run: async ({ store, status }) => {
      await store.pauseScrub()
      return scrubOf(status)
    },
  }),
]

const RESUME_ORPHANS = act(undefined, {
  id: "resumeOrphans",
  path: "/v1/orphans/resume",
  summary: "Removes unreferenced blocks without the limit on their number, until the process ends.",
  schema: JOB,
  run: ({ store }) => store.resumeOrphans(),
})

const LIST_PENDING = read({
  id: "listPendingUploads",
  path: "/v1/pending",
  summary: "Lists uploads whose bytes are on devices and which no object has: interrupted by a crash, or refused.",
  schema: schema.PENDING_UPLOADS,
  run: ({ store }) => store.pending(),
})

function reconcilingOf({ reconciling }: Services) {
  if (reconciling === undefined) throw fail("notImplemented", { message: "this store runs on one machine" })
  return reconciling
}

const RECONCILE_OPERATIONS: readonly Operation[] = [
  read({
    id: "getReconciliation",
    path: "/v1/reconciliation",
    summary: "Returns what this node does to reconcile a store whose database was rolled back.",
    schema: schema.RECONCILIATION,
    run: async services => reconcilingOf(services).report(),
  }),
  act(schema.RECONCILE, {
    id: "reconcile",
    path: "/v1/reconciliation",
    summary: "Begins to compare bytes and rows, or carries out the plan that this has made.",
    schema: schema.RECONCILIATION,
    run: async (services, { body }) => {
      const { without = [], confirm } = parseBody(schema.RECONCILE, body)
      const reconciling = reconcilingOf(services)
      return confirm === undefined ? reconciling.compare(without.map(parseDeviceId)) : reconciling.apply(confirm)
    },
  }),
  {
    ...read({
      id: "listReconciliation",
      path: "/v1/reconciliation/entries",
      summary: "Lists what a reconciliation puts back, what it only lists, and what is missing.",
      schema: schema.RECONCILE_ENTRIES,
      run: async (services, { query }) => reconcilingOf(services).entries(entryNumber(query.get("from"))),
    }),
    parameters: [{ name: "from", description: "`next` of the previous page" }],
  },
]

function entryNumber(text = "0"): number {
  if (!/^\d{1,9}$/.test(text)) throw fail("invalidArgument", { message: "from must be a number" })
  return Number(text)
}

export const STORE_OPERATIONS: readonly Operation[] = [
  read({
    id: "getStatus",
    path: "/v1/status",
    summary: "Returns the store's status: what may fail now, health, devices, background jobs, queues.",
    schema: schema.STATUS,
    run: async ({ status }) => status.report(),
  }),
  ...LAYOUT_OPERATIONS,
  ...NODE_OPERATIONS,
  ...CONVERSION_OPERATIONS,
  ...DEVICE_OPERATIONS,
  ...REDUNDANCY_OPERATIONS,
  ...WORK_OPERATIONS,
  LIST_PENDING,
  RESUME_ORPHANS,
  ...JOB_OPERATIONS,
  ...RECONCILE_OPERATIONS,
]
