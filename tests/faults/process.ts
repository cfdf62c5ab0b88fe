/**
 * Faults under a real server: the preload shim injects faults into the file calls of the process.
 * Clients write a few objects, calls fail, the server ends in one of several ways, and the next server, without
 * faults, must return everything that was acknowledged.
 */
import { createHash } from "node:crypto"
import type { Client } from "../../conformance/client.js"
import { bodyBytes } from "../../sim/world/bodies.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"
import { Shim, type ShimHit, type ShimRule } from "./shim.js"

/** Inline, one shard each, several sub-blocks. */
const SIZES = [100, 3_000, 20_000, 300_000]
/** The errors that a client may get: retry, no space, or an internal failure; never a wrong answer. */
const REFUSALS = new Set([500, 503, 507])

export interface ProcessStory {
  readonly folders: number
  /** How the server with faults ends. A stop makes a last checkpoint. */
  readonly ending: "stop" | "kill"
  /** Objects beside the first eight: a read needs a shard of a certain disk only for two of three objects with shards. */
  readonly moreObjects?: number
  /** Calls fail only from the last request on: a server that dies at a checkpoint, which may be made at any time, answers none. */
  readonly failsLast?: boolean
  /** Rules that apply from the middle of the story on; paths begin with the folder of the disk. */
  rules(folders: readonly string[]): readonly ShimRule[]
}

export interface ProcessOutcome {
  readonly hits: readonly ShimHit[]
  readonly acknowledged: number
  readonly refused: number
  /** Counts of the requests after the first refusal. */
  readonly acknowledgedLater: number
  /** Descriptions of broken promises. */
  readonly wrong: readonly string[]
}

class Objects {
  /** The possible values of each key; the last one is acknowledged, but an earlier one may be stored. */
  private readonly allowed = new Map<string, (Buffer | undefined)[]>()
  private count = 0
  acknowledged = 0
  refused = 0
  acknowledgedLater = 0
  readonly wrong: string[] = []

  constructor(private readonly bucket: string) {}

  async put(client: Client, key: string): Promise<void> {
    this.count += 1
    const body = bodyBytes(`w${this.count}`, SIZES[this.count % SIZES.length] ?? 100)
    const response = await client.call("PUT", { bucket: this.bucket, key, body }).catch(() => undefined)
    this.take(key, body, response?.status)
  }

  async remove(client: Client, key: string): Promise<void> {
    const response = await client.call("DELETE", { bucket: this.bucket, key }).catch(() => undefined)
    this.take(key, undefined, response?.status)
  }

  private take(key: string, body: Buffer | undefined, status: number | undefined): void {
    if (status !== undefined && status < 300) {
      this.allowed.set(key, [body])
      this.acknowledged += 1
      if (this.refused > 0) this.acknowledgedLater += 1
      return
    }
    this.refused += 1
    // A write may have taken effect although it failed.
    this.allowed.set(key, [...(this.allowed.get(key) ?? [undefined]), body])
    if (status !== undefined && !REFUSALS.has(status)) this.wrong.push(`a write of ${key} was answered with ${status}`)
  }

  /** `mayFail`: the only disk is faulty, so a reader may get a retryable error. */
  async readAll(client: Client, when: string, mayFail = false): Promise<void> {
    for (const [key, allowed] of this.allowed) {
      const { status, body } = await client.call("GET", { bucket: this.bucket, key })
      if (mayFail && REFUSALS.has(status)) continue
      const isRight =
        status === 404
          ? allowed.includes(undefined)
          : status === 200 && allowed.some(each => each && Buffer.compare(each, body) === 0)
      if (!isRight) this.wrong.push(`${when}, ${key} reads ${status} with ${body.length} bytes, ${digest(body)}`)
    }
  }
}

const digest = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

/** A server on some folders, for stories one after the other: each ends it, and starts it again. */
export class FaultyServer {
  private stories = 0

  private constructor(
    private readonly server: ServerProcess,
    private readonly shim: Shim,
    private readonly disks: readonly string[],
  ) {}

  static async start(folder: string, folders: number): Promise<FaultyServer> {
    const shim = await Shim.build(folder)
    shim.set([])
    const disks = dataFolders(folder, folders)
    const server = await ServerProcess.start({ folders: disks, env: shim.env })
    return new FaultyServer(server, shim, disks)
  }

  stop(): Promise<void> {
    return this.server.kill()
  }

  /** Reports the server's faults instead of throwing. */
  async tell({
    ending,
    moreObjects = 0,
    failsLast = false,
    rules,
  }: Omit<ProcessStory, "folders">): Promise<ProcessOutcome> {
    const { server, shim, disks } = this
    try {
      const client = server.client()
      this.stories += 1
      const bucket = `faults-${this.stories}`
      const made = await client.call("PUT", { bucket })
      if (made.status !== 200) throw new Error(`the bucket could not be created: ${made.status} ${made.text}`)
      const objects = new Objects(bucket)
      for (let i = 0; i < 8; i += 1) await objects.put(client, `key-${i}`)
      for (let i = 0; i < moreObjects; i += 1) await objects.put(client, `more-${i}`)
      if (!failsLast) shim.set(rules(disks))
      for (let i = 0; i < 12; i += 1) {
        if (i % 5 === 4) await objects.remove(client, `key-${i % 7}`)
        else await objects.put(client, `key-${(i * 3) % 10}`)
      }
      await objects.readAll(client, "while file calls fail", disks.length === 1)
      if (failsLast) shim.set(rules(disks))
      if (ending === "kill") await server.kill()
      else await server.stop()
      const hits = shim.hits()
      shim.set([])
      await server.launch()
      await objects.readAll(server.client(), "after the next start")
      await objects.put(server.client(), "last")
      await objects.readAll(server.client(), "after the last write")
      const { acknowledged, refused, acknowledgedLater, wrong } = objects
      return { hits, acknowledged, refused, acknowledgedLater, wrong }
    } catch (error) {
      throw new Error(`log of the server:\n${server.log}`, { cause: error })
    }
  }
}

function tellProcessStory({ folders, ...story }: ProcessStory): Promise<ProcessOutcome> {
  return withFolder(async folder => {
    const server = await FaultyServer.start(folder, folders)
    try {
      return await server.tell(story)
    } finally {
      await server.stop()
    }
  })
}

/** Kinds of calls and their faults: the first call fails, then the second, and so on until no call remains. */
const NATIVE: readonly {
  readonly what: string
  readonly rule: Omit<ShimRule, "prefix" | "nth">
  readonly part: string
}[] = [
  { what: "a write fails", part: "base", rule: { calls: ["write"], how: { errno: "EIO" } } },
  { what: "a write finds no space", part: "base", rule: { calls: ["write"], how: { errno: "ENOSPC" } } },
  { what: "a write is torn", part: "base", rule: { calls: ["write"], how: { keptBytes: 700 } } },
  { what: "a sync fails", part: "base", rule: { calls: ["fsync", "fdatasync"], how: { errno: "EIO" } } },
  { what: "a removal fails", part: "base", rule: { calls: ["unlink"], how: { errno: "EIO" } } },
  { what: "the process is killed at a write", part: "base", rule: { calls: ["write"], how: { kill: true } } },
  {
    what: "the process is killed at a sync",
    part: "base",
    rule: { calls: ["fsync", "fdatasync"], how: { kill: true } },
  },
  { what: "the process is killed at a removal", part: "base", rule: { calls: ["unlink"], how: { kill: true } } },
  { what: "a write fails", part: "log", rule: { calls: ["write"], how: { errno: "EIO" } } },
  { what: "a write fails", part: "volumes", rule: { calls: ["write"], how: { errno: "EIO" } } },
  { what: "a rename fails", part: "", rule: { calls: ["rename"], how: { errno: "EIO" } } },
  { what: "an open fails", part: "", rule: { calls: ["open"], how: { errno: "EMFILE" } } },
]
const NTH_MAX = 200

export interface NativeCase {
  readonly what: string
  readonly outcome: ProcessOutcome
}

export async function* sweepNative(stride: number): AsyncGenerator<NativeCase> {
  for (const folders of [1, 3]) {
    for (const { what, rule, part } of NATIVE) {
      for (let nth = 1; nth <= NTH_MAX; nth += stride) {
        const rules = (disks: readonly string[]) => [{ ...rule, prefix: `${disks[0] ?? ""}/${part}`, nth }]
        const outcome = await tellProcessStory({ folders, ending: "stop", rules })
        if (outcome.hits.length === 0) break
        yield { what: `${what} (${part || "anywhere"}, call ${nth}, ${folders} folder(s))`, outcome }
      }
    }
  }
}
