/**
 * The stage of a failover: PostgreSQL servers under Patroni, and a store of three node processes whose URL names all of
 * them.
 */
import { setTimeout as wait } from "node:timers/promises"
import { haveJoined } from "../cluster/stores.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { PatroniCluster } from "../harness/patroni.js"

export const BUCKET = "bucket"

const NODES = 3
const FOLDERS_EACH = 2
const SERVERS = 3
const LOOK_MS = 200
const WAIT_MS_MAX = 300_000

export interface Stage {
  readonly patroni: PatroniCluster
  readonly nodes: TestNodes
  /** On the machine of the nodes. */
  readonly folder: string
  readonly say: (line: string) => void
}

/** `isSynchronous`: commits wait for a standby. */
export async function withStage(
  isSynchronous: boolean,
  say: (line: string) => void,
  work: (stage: Stage) => Promise<void>,
): Promise<void> {
  const patroni = await PatroniCluster.start({ members: SERVERS, isSynchronous })
  try {
    if (isSynchronous) await patroni.isSynchronous()
    await withFolder(async folder => {
      const nodes = await TestNodes.over(patroni.url, folder, ["--redundancy", "ec:4+2"])
      try {
        for (let i = 0; i < NODES; i += 1) await (await nodes.add(FOLDERS_EACH)).start()
        await haveJoined(nodes.at(1), NODES * FOLDERS_EACH)
        await work({ patroni, nodes, folder, say })
      } catch (error) {
        for (const { name, output } of nodes.all) say(`${name}:\n${output.slice(-5_000)}`)
        for (const { name, log } of patroni.all) say(`${name}:\n${log.slice(-3_000)}`)
        throw error
      } finally {
        await Promise.all(nodes.all.map(node => node.kill()))
      }
    }, quietParent())
  } finally {
    await patroni.dispose()
  }
}

/** Throws if that takes too long. */
export async function until(what: string, isSo: () => Promise<boolean>, msMax = WAIT_MS_MAX): Promise<void> {
  const untilMs = performance.now() + msMax
  while (!(await isSo())) {
    if (performance.now() > untilMs) throw new Error(`not within ${msMax / 1000} s: ${what}`)
    await wait(LOOK_MS)
  }
}

/** Returns why a node does not serve, as it says itself; undefined: it serves. */
export async function whyNotReady({ adminEndpoint }: TestNode): Promise<string | undefined> {
  const answer = await fetch(`${adminEndpoint}/health/ready`)
  const text = await answer.text()
  return answer.ok ? undefined : text
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
