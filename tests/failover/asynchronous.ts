/**
 * A database whose standbys are asynchronous fails over without its last commits: every node notices it within seconds
 * and halts, nothing is removed, and after a reconciliation every acknowledged object over 4 KiB is there or was
 * reported.
 */
import { createHash, randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import type { z } from "zod"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { runOk } from "../harness/commands.js"
import { HAYLOFT } from "../harness/server.js"
import type { TestNode } from "../harness/nodes.js"
import { BUCKET, seconds, until, whyNotReady, withStage, type Stage } from "./stage.js"

const CLIENTS = 4
const REST_MS = 20
const KEYS_EACH = 8
const BEFORE_MS = 6_000
/** How long commits are made that no standby gets. */
const LOST_MS = 4_000
/** One object in so many is small enough to be in its row: its bytes are lost with it, and nothing can report it. */
const SMALL_ONE_IN = 5
const SIZES = [20_000, 70_000, 300_000, 1_200_000]
const SMALL_BYTES = 700
const HALTED = /hayloft cluster reconcile/
/** A write that is acknowledged so shortly before may be on its way to the standbys. */
const ON_ITS_WAY_MS = 500
/** A node asks the database at least every five seconds. */
const NOTICED_MS_MAX = 60_000
const UNAVAILABLE = 503

const ENTRY = STORE_SCHEMAS.RECONCILE_ENTRIES.shape.entries.element
type Entry = z.output<typeof ENTRY>

interface Written {
  readonly key: string
  readonly md5: string
  readonly bytes: number
  /** When it was requested and acknowledged; undefined: it was not acknowledged. */
  readonly startMs: number
  acknowledgedMs: number | undefined
}

const md5Of = (body: Uint8Array): string => createHash("md5").update(body).digest("hex")

class AsynchronousFailover {
  private readonly written: Written[] = []
  private readonly faults: string[] = []
  private isOver = false
  private made = 0

  constructor(private readonly stage: Stage) {}

  async run(): Promise<readonly string[]> {
    const { nodes, patroni, say } = this.stage
    await nodes.at(1).client.createBucket(BUCKET)
    const clients = Array.from({ length: CLIENTS }, (_, client) => this.write(client))
    await wait(BEFORE_MS)
    const before = await patroni.primary()
    const cutMs = performance.now()
    if (before.stopReplication() === 0) throw new Error("no standby receives commits")
    await wait(LOST_MS)
    const killedMs = performance.now()
    before.kill()
    const after = await patroni.primary(before)
    const promotedMs = performance.now()
    say(`${before.name} was killed; ${after.name} was promoted ${seconds(promotedMs - killedMs)} later`)
    const noticed = await Promise.all(nodes.all.map(node => this.halts(node)))
    say(`the nodes have halted ${noticed.map(ms => seconds(Math.max(0, ms - promotedMs))).join(", ")} after that`)
    this.isOver = true
    await Promise.all(clients)
    await this.refusesAll()
    before.start()
    await patroni.isWhole()
    const lost = this.written.filter(({ acknowledgedMs }) => (acknowledgedMs ?? 0) > cutMs)
    say(`${lost.length} acknowledged writes were in commits that no standby got`)
    if (lost.length === 0) this.fault("nothing was lost: the test shows nothing")
    const entries = await this.reconcile()
    for (const node of nodes.all)
      await until(`${node.name} is ready`, async () => (await whyNotReady(node)) === undefined)
    for (const node of nodes.all) await this.check(node, entries, cutMs)
    const again = randomBytes(SIZES[0] ?? 0)
    await nodes.at(2).client.put({ bucket: BUCKET, key: "afterwards", body: again })
    return this.faults
  }

  private fault(text: string): void {
    this.stage.say(`FAULT ${text}`)
    this.faults.push(text)
  }

  /** One client: new keys, and a few that it overwrites, each time through the next node. */
  private async write(client: number): Promise<void> {
    const { all } = this.stage.nodes
    for (let turn = 0; !this.isOver; turn += 1) {
      const node = all[(client + turn) % all.length]
      if (node === undefined) throw new Error("a store has nodes")
      this.made += 1
      const isSmall = turn % SMALL_ONE_IN === SMALL_ONE_IN - 1
      const body = randomBytes(isSmall ? SMALL_BYTES : (SIZES[turn % SIZES.length] ?? 0))
      const isOverwritten = turn % 2 === 0
      const key = isOverwritten ? `client ${client}/${isSmall ? "small " : ""}${turn % KEYS_EACH}` : `new ${this.made}`
      const write: Written = {
        key,
        md5: md5Of(body),
        bytes: body.length,
        startMs: performance.now(),
        acknowledgedMs: undefined,
      }
      this.written.push(write)
      const answer = await node.rawClient.call("PUT", { bucket: BUCKET, key, body }).catch(() => undefined)
      if (answer?.status === 200) write.acknowledgedMs = performance.now()
      else if (answer !== undefined) this.mustBeRetryable(`PUT ${key}`, answer)
      await wait(REST_MS)
    }
  }

  private mustBeRetryable(what: string, answer: { status: number; text: string; header(name: string): unknown }): void {
    if (answer.status === UNAVAILABLE && answer.header("retry-after") !== undefined) return
    this.fault(`${what}: ${answer.status} ${answer.text.slice(0, 300)}`)
  }

  /** When the node says that it has halted. */
  private async halts(node: TestNode): Promise<number> {
    const isHalted = async () => HALTED.test((await whyNotReady(node)) ?? "")
    await until(`${node.name} has halted`, isHalted, NOTICED_MS_MAX)
    return performance.now()
  }

  /** A halted node neither reads nor writes. */
  private async refusesAll(): Promise<void> {
    for (const { name, rawClient } of this.stage.nodes.all) {
      const key = this.written[0]?.key ?? ""
      for (const method of ["GET", "PUT", "DELETE"]) {
        const answer = await rawClient.call(method, { bucket: BUCKET, key, body: method === "PUT" ? "refused" : "" })
        this.mustBeRetryable(`${method} on ${name}, which has halted`, answer)
      }
    }
  }

  /** Runs `hayloft cluster reconcile` like an operator; returns the list of what it found. */
  private async reconcile(): Promise<readonly Entry[]> {
    const { nodes, folder, say } = this.stage
    const report = join(folder, "report.jsonl")
    const [data = ""] = nodes.at(1).folders
    const where = ["--data", data, "--master-key-file", nodes.masterKeyFile ?? "", "--report", report]
    const startMs = performance.now()
    const output = await runOk(process.execPath, [HAYLOFT, "cluster", "reconcile", "--yes", ...where])
    say(`hayloft cluster reconcile took ${seconds(performance.now() - startMs)}:`)
    for (const line of output.trim().split("\n")) say(`  ${line}`)
    const lines = readFileSync(report, "utf8").trim().split("\n")
    return lines.filter(line => line !== "").map(line => ENTRY.parse(JSON.parse(line)))
  }

  /** Every key that was ever written: what a client may find in it, or else a line of the report. */
  private async check(node: TestNode, entries: readonly Entry[], cutMs: number): Promise<void> {
    const byKey = new Map<string, Written[]>()
    for (const write of this.written) byKey.set(write.key, [...(byKey.get(write.key) ?? []), write])
    const listed = new Set(entries.filter(({ outcome }) => outcome === "listed").map(({ key }) => key))
    const sums = { newest: 0, listed: 0, small: 0 }
    for (const [key, writes] of byKey) {
      const answer = await node.rawClient.call("GET", { bucket: BUCKET, key })
      if (answer.status !== 200 && answer.status !== 404) this.fault(`GET ${key}: ${answer.status} ${answer.text}`)
      const found = answer.status === 200 ? md5Of(answer.body) : undefined
      const acknowledged = writes.filter(({ acknowledgedMs }) => acknowledgedMs !== undefined)
      const newest = acknowledged.at(-1)
      // One that was not acknowledged may be there too, if it came later.
      const allowed = writes.filter(write => newest === undefined || write.startMs >= newest.startMs)
      if (found === undefined ? newest === undefined : allowed.some(({ md5 }) => md5 === found)) sums.newest += 1
      else if (newest !== undefined && newest.bytes > SMALL_BYTES && listed.has(key)) sums.listed += 1
      else if (newest?.bytes === SMALL_BYTES && (newest.acknowledgedMs ?? 0) > cutMs - ON_ITS_WAY_MS) sums.small += 1
      else this.fault(`${key} on ${node.name}: ${found ?? "no object"}, neither its newest content nor reported`)
      if (found !== undefined && !writes.some(({ md5 }) => md5 === found))
        this.fault(`${key}: bytes that no client sent`)
    }
    this.stage.say(
      `${node.name}: ${sums.newest} keys have their newest content, ${sums.listed} an earlier one and a line in the ` +
        `report, ${sums.small} objects of up to 4 KiB are lost`,
    )
  }
}

/** Returns what was broken. */
export async function asynchronousFailover(say: (line: string) => void): Promise<readonly string[]> {
  let faults: readonly string[] = []
  await withStage(false, say, async stage => {
    faults = await new AsynchronousFailover(stage).run()
  })
  return faults
}
