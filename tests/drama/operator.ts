/** An operator at the command line of a running store: commands that change it, and checks of its state. */
import { setTimeout as later } from "node:timers/promises"
import type { z } from "zod"
import * as STORE_SCHEMAS from "@hayloft/admin/store/store-schemas.js"
import type { ServerProcess } from "../harness/server.js"
import { placeName } from "./shards.js"

export type Status = z.output<typeof STORE_SCHEMAS.STATUS>
export type Device = Status["devices"][number]

const LOOK_EVERY_MS = 300
/** Looks use a quarter of the time at most: each computes a whole status. */
const REST_OF_LOOKS = 3
/** Short enough not to miss a layout transition between two polls. */
const LOOKS_IN_A_ROW = 2

/** These jobs remove deleted, re-encoded and abandoned blocks, some time after the store is fully redundant. */
const COLLECTING_JOBS = ["collector", "orphans", "reencode", "repair"]

function whyNotCollected({ jobs }: Status): string | undefined {
  const working = jobs.filter(({ name, state }) => COLLECTING_JOBS.includes(name) && state !== "idle")
  return working.length > 0 ? working.map(({ name, progress }) => `${name}: ${progress}`).join("; ") : undefined
}

/** Returns why the store is not fully redundant; undefined if it is. */
export function whyNotWhole({
  devices,
  layout,
  reencoding,
  repair,
  safety,
  metadata,
  health,
}: Status): string | undefined {
  const others = devices.filter(({ state }) => state !== "active")
  if (others.length > 0) return others.map(({ id, state, reason }) => `${id} is ${state} (${reason})`).join(", ")
  if (layout.transition !== undefined) return `shards move: ${JSON.stringify(layout.transition)}`
  if (reencoding !== undefined) return `re-encoding: ${JSON.stringify(reencoding)}`
  if (repair === undefined || repair.partitionsScanned < 65_536) return "repair has not scanned all partitions"
  if (repair.progress.remainingBytes > 0) return `repair: ${JSON.stringify(repair.progress)}`
  if (metadata.copies !== metadata.copiesWanted || metadata.learning > 0) return `metadata: ${JSON.stringify(metadata)}`
  const { safeFolderLosses: now, safeFolderLossesWhenWhole: whole } = safety
  if (now < whole) return `${now} folders may be lost, not ${whole}: ${safety.reasons.join("; ")}`
  return health.reasons.length > 0 ? health.reasons.join("; ") : undefined
}

/** Unreferenced blocks, which are removed after a day. */
export function waitingBlocks({ jobs }: Status): number {
  const progress = jobs.find(({ name }) => name === "orphans")?.progress ?? ""
  return Number(/(\d+) aborted blocks wait/.exec(progress)?.[1] ?? 0)
}

export class Operator {
  constructor(
    readonly server: ServerProcess,
    private readonly log: (line: string) => void,
  ) {}

  async status(): Promise<Status> {
    return STORE_SCHEMAS.STATUS.parse(await this.server.report("/v1/status"))
  }

  /** Runs `hayloft WORDS`; throws if the exit code is not 0. */
  async run(...words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.server.hayloft(words)
    this.log(`hayloft ${words.join(" ")}: ${code}`)
    const confirmBy = words.includes("--confirm") ? undefined : /add --confirm (\S+)/.exec(stderr)?.[1]
    if (confirmBy !== undefined) return this.run(...words, "--confirm", confirmBy)
    if (code !== 0) throw new Error(`hayloft ${words.join(" ")} ended with ${code}: ${stderr}${stdout}`)
    return stdout
  }

  /** Lets a job look for work now. */
  async wake(job: string): Promise<void> {
    const headers = { Authorization: `Bearer ${await this.server.adminToken()}` }
    const { status, text } = await this.server.admin("POST", `/v1/jobs/${job}/wake`, headers)
    if (status !== 200) throw new Error(`the job ${job} does not wake: ${status} ${text}`)
  }

  /**
   * Only dead needles may be damaged in a folder: the last rotten ones stay there until compaction removes their
   * volume.
   */
  async fsck(folder: string, live: ReadonlySet<string>): Promise<void> {
    const { code, stdout, stderr } = await this.server.hayloft(["volume", "fsck", folder])
    const damaged = stdout.split("\n").filter(line => line.startsWith("DAMAGED"))
    this.log(`hayloft volume fsck ${folder}: ${code}, ${damaged.length} damaged`)
    const isDead = (line: string): boolean => {
      const [, file = "", at = ""] = /^DAMAGED needle file=(\S+) atBytes=(\d+) /.exec(line) ?? []
      return file !== "" && !live.has(placeName(file, Number(at)))
    }
    if (code === 0 || (damaged.length > 0 && damaged.every(isDead))) return
    throw new Error(`hayloft volume fsck ${folder} ended with ${code}: ${stderr}${stdout}`)
  }

  /** Like `run`, but repeats the command while the store answers that it has to wait. */
  async runOnceMay(timeoutMs: number, ...words: readonly string[]): Promise<string> {
    const deadlineMs = performance.now() + timeoutMs
    for (;;) {
      try {
        return await this.run(...words)
      } catch (error) {
        if (!String(error).includes("wait until") || performance.now() > deadlineMs) throw error
      }
      await later(LOOK_EVERY_MS)
    }
  }

  /** Waits until `whyNot` returns undefined; throws its last reason after `timeoutMs`. */
  async until(what: string, timeoutMs: number, whyNot: (status: Status) => string | undefined): Promise<Status> {
    const deadlineMs = performance.now() + timeoutMs
    let [quiet, last] = [0, ""]
    for (;;) {
      const beganMs = performance.now()
      const status = await this.status()
      const why = whyNot(status)
      quiet = why === undefined ? quiet + 1 : 0
      if (quiet === LOOKS_IN_A_ROW) return status
      last = why ?? last
      if (performance.now() > deadlineMs) {
        const { safety, repair, reencoding, jobs } = status
        const facts = JSON.stringify({ safety, repair, reencoding, jobs })
        throw new Error(`not ${what} after ${timeoutMs} ms: ${last}\n${facts}`)
      }
      await later(Math.max(LOOK_EVERY_MS, REST_OF_LOOKS * (performance.now() - beganMs)))
    }
  }

  whole(timeoutMs: number): Promise<Status> {
    return this.until("whole", timeoutMs, whyNotWhole)
  }

  /** Waits until no unreferenced block remains. */
  collected(timeoutMs: number): Promise<Status> {
    return this.until("collected", timeoutMs, status => whyNotWhole(status) ?? whyNotCollected(status))
  }

  async waitingBlocks(): Promise<number> {
    return waitingBlocks(await this.status())
  }

  deviceAt(path: string): Promise<Device> {
    return this.status().then(({ devices }) => {
      const found = devices.find(device => device.path === path)
      if (found === undefined) throw new Error(`no device at ${path}: ${devices.map(each => each.path).join()}`)
      return found
    })
  }
}
