/**
 * A database that is put back to an earlier moment, under nodes that run and while all are off: every node halts, and
 * removes and writes nothing.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { RemoteFailure, S3Client } from "../../src/client/index.js"
import { RealClock } from "../../src/seams/clock/real.js"
import { noPostgres } from "../harness/postgres.js"
import type { TestNode } from "../harness/nodes.js"
import { BUCKET, statusOf, statusSays, withNodes } from "./stores.js"

const LOOK_MS = 500
const START_TRIES = 60
const NEVER = new AbortController().signal

const isUnavailable = (error: unknown): boolean => error instanceof RemoteFailure && error.status === 503

const serves = (node: TestNode) => statusSays(node, ({ health }) => health.ready)

const isHalted = (node: TestNode, of: TestNode) =>
  statusSays(node, ({ health }) => health.reasons.some(reason => /hayloft cluster reconcile/.test(reason)), of)

/** Starts a node that does not become ready, and waits until it answers. */
async function startHalted(node: TestNode, of: TestNode): Promise<void> {
  node.process = node.spawn()
  for (let tries = 0; ; tries += 1) {
    try {
      await statusOf(node, of)
      return
    } catch (error) {
      if (tries === START_TRIES) throw error
      await wait(LOOK_MS)
    }
  }
}

test("a database that is restored halts every node, running or not", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 3, foldersEach: 1 }, async nodes => {
    const [a, b, c] = [nodes.at(1), nodes.at(2), nodes.at(3)]
    const body = randomBytes(30_000)
    await a.client.put({ bucket: BUCKET, key: "before", body })
    await nodes.databases.server.save()
    for (const node of nodes.all) await serves(node)
    await b.client.put({ bucket: BUCKET, key: "since", body })
    await nodes.databases.server.restore()
    for (const node of nodes.all) await isHalted(node, a)
    for (const { access } of nodes.all) {
      const client = new S3Client(access, new RealClock(), NEVER, { attemptsMax: 1 })
      await assert.rejects(client.get(BUCKET, "before"), isUnavailable)
      await assert.rejects(client.put({ bucket: BUCKET, key: "further", body }), isUnavailable)
      client.close()
    }
    await Promise.all(nodes.all.map(node => node.stop()))
    await startHalted(c, a)
    await isHalted(c, a)
    await startHalted(b, a)
    // It meets the others, and reports what it knows of them.
    await statusSays(
      b,
      ({ nodes: all }) => all?.nodes.every(({ state, name }) => state === "serving" || name === "node-1") ?? false,
      a,
    )
    await isHalted(b, a)
  })
})

test("a database that is restored while all nodes are off halts each of them", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 2, foldersEach: 1 }, async nodes => {
    const [a, b] = [nodes.at(1), nodes.at(2)]
    await nodes.databases.server.save()
    for (const node of nodes.all) await serves(node)
    await a.client.put({ bucket: BUCKET, key: "since", body: randomBytes(30_000) })
    await Promise.all(nodes.all.map(node => node.stop()))
    await nodes.databases.server.restore()
    await startHalted(b, a)
    await isHalted(b, a)
  })
})
