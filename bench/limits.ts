/**
 * What the machine can do at most, measured in the same run: the store's figures are given as shares
 * of these, which say more than figures of one machine.
 *
 *   disk  write and sync of the same bytes, each object a place of its own in one file per writer
 *   hash  MD5 of the same bytes on one thread (every PUT needs one)
 *   http  the same client against a server in another process that drains bodies and sends bytes
 */
import { fork, type ChildProcess } from "node:child_process"
import { createHash } from "node:crypto"
import { open, rm } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Clock } from "../src/seams/clock/contract.js"
import { Latencies, type Summary } from "../src/main/client/load/latencies.js"

export interface LimitOptions {
  readonly sizeBytes: number
  readonly concurrency: number
  readonly seconds: number
}

/** A file is written from the front again after so many bytes: a bound on space. */
const FILE_BYTES_MAX = 256 * 1024 * 1024

export async function diskLimit(
  folder: string,
  clock: Clock,
  body: Uint8Array,
  options: LimitOptions,
): Promise<Summary> {
  const latencies = new Latencies()
  const startedMs = clock.monotonicMs()
  const endMs = startedMs + options.seconds * 1000
  const writer = async (_: unknown, index: number): Promise<void> => {
    const path = join(folder, `raw-${index}`)
    const file = await open(path, "w")
    try {
      for (let at = 0; clock.monotonicMs() < endMs; at = at + body.length > FILE_BYTES_MAX ? 0 : at + body.length) {
        const beganMs = clock.monotonicMs()
        await file.write(body, 0, body.length, at)
        await file.datasync()
        latencies.record(clock.monotonicMs() - beganMs, body.length)
      }
    } finally {
      await file.close()
      await rm(path, { force: true })
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, writer))
  return latencies.summary((clock.monotonicMs() - startedMs) / 1000)
}

/** Megabytes per second of one thread. */
export function hashLimit(clock: Clock, body: Uint8Array, seconds: number): number {
  const startedMs = clock.monotonicMs()
  let bytes = 0
  while (clock.monotonicMs() - startedMs < seconds * 1000) {
    createHash("md5").update(body).digest()
    bytes += body.length
  }
  return Math.round(bytes / 1e3 / (clock.monotonicMs() - startedMs))
}

const SERVER = fileURLToPath(new URL("./plain-http.js", import.meta.url))

/** The plain server in a process of its own. */
export class PlainHttp {
  private constructor(
    private readonly child: ChildProcess,
    readonly endpoint: string,
  ) {}

  static start(sizeBytes: number): Promise<PlainHttp> {
    const child = fork(SERVER, [String(sizeBytes)], { stdio: ["ignore", "ignore", "inherit", "ipc"] })
    return new Promise((resolve, reject) => {
      child.once("message", port => resolve(new PlainHttp(child, `http://127.0.0.1:${Number(port)}`)))
      child.once("error", reject)
      child.once("exit", code => reject(new Error(`the plain server ended with ${code ?? "a signal"}`)))
    })
  }

  async stop(): Promise<void> {
    const exited = new Promise(resolve => this.child.once("exit", resolve))
    this.child.kill()
    await exited
  }
}
