/** Stores of several nodes for the tests of this folder, and what the tests wait for. */
import { UNDELETE_STATUS } from "@hayloft/features/undelete/status.js"
import assert from "node:assert/strict"
import { setTimeout as wait } from "node:timers/promises"
import { LOCATED_OBJECT } from "@hayloft/admin/store/placement-schemas.js"
import * as STORE_SCHEMAS from "@hayloft/admin/store/store-schemas.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"

export const BUCKET = "bucket"

const LOOK_MS = 500
const WAIT_MS_MAX = 300_000

/** A store with a bucket. What the nodes logged is shown if the test fails. */
export async function withNodes(
  options: Parameters<typeof TestNodes.start>[1],
  work: (nodes: TestNodes, folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async folder => {
    const nodes = await TestNodes.start(folder, options)
    try {
      await nodes.at(1).client.createBucket(BUCKET)
      await haveJoined(nodes.at(1), options.nodes * options.foldersEach)
      await work(nodes, folder)
    } catch (error) {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      throw error
    } finally {
      await nodes.end()
    }
  }, quietParent())
}

/** Posts to the admin API of a node, with the confirmation that a change asks for. `of`: a node with folders. */
export async function post(
  node: TestNode,
  path: string,
  body: Readonly<Record<string, unknown>> = {},
  of = node,
): Promise<void> {
  const admin = await node.admin(of)
  try {
    const { plan } = STORE_SCHEMAS.CHANGE.parse(await admin.post(path, { ...body, dryRun: true }))
    await admin.post(path, plan.confirmBy === undefined ? body : { ...body, confirm: plan.confirmBy })
  } finally {
    admin.close()
  }
}

export async function layoutOf(node: TestNode) {
  const admin = await node.admin()
  try {
    return STORE_SCHEMAS.LAYOUT_DETAILS.parse(await admin.get("/v1/layout"))
  } finally {
    admin.close()
  }
}

/** With the field of a feature that tests wait for. */
const STATUS = STORE_SCHEMAS.STATUS.extend({ undelete: UNDELETE_STATUS.optional() })

export async function statusOf(node: TestNode, of = node) {
  const admin = await node.admin(of)
  try {
    return STATUS.parse(await admin.get("/v1/status"))
  } finally {
    admin.close()
  }
}

type Status = Awaited<ReturnType<typeof statusOf>>

/** The parts of a status that most waits are for; the whole would be cut where a landing prints it. */
function shortly({ devices, jobs, layout, nodes, repair, safety }: Status): string {
  const work = jobs
    .map(({ name, state, progress }) => `${name} ${state} ${progress}`)
    .filter(text => /repair/.test(text))
  const others = nodes?.nodes.map(({ name, state }) => `${name} ${state}`)
  const stored = devices.map(({ path, state }) => `${path} ${state}`)
  return JSON.stringify({ reasons: safety.reasons, transition: layout.transition, repair, work, others, stored })
}

/** Waits until the node's status says so. Throws with its last status if that takes too long. */
export async function statusSays(
  node: TestNode,
  isSo: (status: Status) => boolean | Promise<boolean>,
  of = node,
): Promise<Status> {
  const untilMs = performance.now() + WAIT_MS_MAX
  for (;;) {
    const status = await statusOf(node, of)
    if (await isSo(status)) return status
    if (performance.now() > untilMs) throw new Error(`the status of ${node.name} stays ${shortly(status)}`)
    await wait(LOOK_MS)
  }
}

/** Waits until every device has its shards, and none moves; replaced blocks that are kept may be elsewhere. */
export const isSettled = (node: TestNode): Promise<Status> =>
  statusSays(
    node,
    ({ devices, layout, repair }) =>
      devices.every(({ state }) => state === "active") &&
      layout.transition === undefined &&
      repair?.partitionsRemaining === 0,
  )

/** Waits until this many devices have slots and no shards move: devices join one layout after another. */
export async function haveJoined(node: TestNode, count: number): Promise<void> {
  const untilMs = performance.now() + WAIT_MS_MAX
  for (;;) {
    const { devices, transition } = await layoutOf(node)
    const joined = devices.filter(({ state, slots }) => state === "active" && slots > 0)
    if (joined.length === count && transition === undefined) return
    if (performance.now() > untilMs) throw new Error(`the devices of ${node.name} stay ${JSON.stringify(devices)}`)
    await wait(LOOK_MS)
  }
}

async function blocksOf(node: TestNode, bucket: string, key: string) {
  const admin = await node.admin()
  try {
    return LOCATED_OBJECT.parse(await admin.get(`/v1/buckets/${bucket}/shards`, { key })).blocks
  } finally {
    admin.close()
  }
}

/**
 * Waits until the objects are stored under the policy, and nothing is left to re-encode. The count of a job says less: its next
 * walk begins at zero, and so does another node that takes the job over.
 */
export async function areReencoded(
  node: TestNode,
  policy: string,
  objects: readonly (readonly [bucket: string, key: string])[],
): Promise<void> {
  const untilMs = performance.now() + WAIT_MS_MAX
  for (const [bucket, key] of objects) {
    for (let found: readonly string[] = []; found.length === 0 || found.some(each => each !== policy);) {
      assert.ok(performance.now() < untilMs, `${bucket}/${key} is stored under ${found.join()}`)
      await wait(LOOK_MS)
      found = (await blocksOf(node, bucket, key)).map(block => block.policy)
    }
  }
  const isLeft = ({ name, progress }: Status["jobs"][number]): boolean =>
    name.startsWith("reencode") && /^counting|[1-9]\d* remaining/.test(progress)
  await statusSays(node, ({ jobs }) => !jobs.some(isLeft))
}

/**
 * Waits until each node writes blocks with this many shards: one that has not reached the others yet writes fewer, and
 * they are encoded again later. The bucket is left with an object.
 */
export async function writeWhole(nodes: readonly TestNode[], bucket: string, shards: number): Promise<void> {
  for (const node of nodes) {
    const untilMs = performance.now() + WAIT_MS_MAX
    for (let written = 0; written !== shards;) {
      assert.ok(performance.now() < untilMs, `${node.name} still writes ${written} shards`)
      await node.client.put({ bucket, key: "probe", body: Buffer.alloc(5_000) })
      const [block] = await blocksOf(node, bucket, "probe")
      written = block?.shards.length ?? 0
    }
  }
}

/** The same as `isSettled` once this many devices have joined. */
export async function areSettled(node: TestNode, count: number): Promise<void> {
  await haveJoined(node, count)
  await isSettled(node)
}

/** Waits until every shard is in its place, as the node knows it. */
export const isWhole = (node: TestNode, of = node): Promise<Status> =>
  statusSays(
    node,
    ({ safety, layout, repair }) =>
      safety.reasons.length === 0 && layout.transition === undefined && repair?.partitionsRemaining === 0,
    of,
  )
