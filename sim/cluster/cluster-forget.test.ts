/** A paused node is forgotten, or not, and goes on: a refused command leaves it a member, and one that was made does not. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, parseNodeName } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { bodyBytes, putRequest, sourceOf } from "../world/bodies.js"
import { Cluster } from "./cluster.js"
import type { ServingNode } from "./cluster-node.js"

const ZONES = ["a", "b", "c", "d"]
const LOST = parseNodeName("nd")
/** A node may be forgotten once it is silent for half a minute. */
const SILENT_MS = 60_000
const RETURN_MS = 60_000
const forget = { kind: "forgetNode", node: LOST, acceptLoss: true } as const

/** A cluster of which one node is paused until the others can forget it. */
async function withPausedNode(work: (cluster: Cluster, first: ServingNode, paused: ServingNode) => Promise<void>) {
  const cluster = new Cluster(TEST_SEED)
  for (const zone of ZONES) cluster.addNode({ name: `n${zone}`, zone, devices: 1, latencyMsMax: 2 })
  const story = async (): Promise<void> => {
    await Promise.all(cluster.nodes.map(node => cluster.start(node)))
    const first = must(cluster.serving[0], "all nodes serve")
    const paused = must(
      cluster.serving.find(({ node }) => node.name === LOST),
      "all nodes serve",
    )
    // Shards move until all devices have joined.
    await cluster.sleep(SILENT_MS)
    paused.node.pauseProcess()
    await cluster.sleep(SILENT_MS)
    await work(cluster, first, paused)
    assert.deepEqual(cluster.mistakes, [])
  }
  await cluster.clock.runUntil(story())
}

const membersSeenBy = ({ membership }: ServingNode): readonly string[] =>
  membership.nodes
    .filter(({ row, trouble }) => trouble === undefined && !membership.isOver(row.incarnation))
    .map(({ name }) => name)

test("a node that was fenced for a refused command serves again by itself", () =>
  withPausedNode(async (cluster, first, paused) => {
    const { control, metadata } = paused.engine
    const before = metadata.incarnations.own
    const { generation } = first.engine.recordManager.record
    const change = first.engine.control.change.bind(first.engine.control)
    first.engine.control.change = () => Promise.reject(fail("planOutdated", { message: "a device has gone offline" }))
    const { confirmBy } = await first.operations.plan(forget)
    await assert.rejects(first.operations.change(forget, confirmBy), error => isFailure(error, "planOutdated"))
    first.engine.control.change = change
    assert.equal(first.engine.recordManager.record.generation, generation, "nothing was changed")
    assert.ok(first.membership.isOver(before), "it was fenced")
    paused.node.continueProcess()
    await cluster.sleep(RETURN_MS)
    assert.ok(metadata.incarnations.own > before)
    assert.ok(membersSeenBy(first).includes(LOST))
    const own = control.record.devices.filter(({ home }) => home?.node === LOST)
    assert.deepEqual(
      own.map(({ home, state }) => [home?.incarnation, state]),
      [[metadata.incarnations.own, "active"]],
    )
    const { buckets, objects } = paused.engine.services
    const bucket = await buckets.create({
      name: parseBucketName("bucket"),
      owner: parseAccountId("root"),
      location: "",
    })
    await objects.put(putRequest(bucket, objectKeyOfText("a"), sourceOf(bodyBytes("x", 40))))
  }))

test("a node that was forgotten while it was paused is no member once it goes on", () =>
  withPausedNode(async (cluster, first, paused) => {
    const { confirmBy } = await first.operations.plan(forget)
    await first.operations.change(forget, confirmBy)
    paused.node.continueProcess()
    await cluster.sleep(RETURN_MS)
    assert.equal(paused.membership.removed?.kind, "nodeRemoved")
    assert.deepEqual([...membersSeenBy(first)].sort(), ["nb", "nc"])
  }))
