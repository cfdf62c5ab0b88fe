/**
 * Uncompresses bzip2 as it arrives, by the program of that name, which Debian's package `bzip2` has: no npm package that is kept
 * decodes it as a stream.
 *
 * Limits  `BZIP2_PROCESSES_MAX` programs run at a time, each with a few megabytes.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { Readable } from "node:stream"
import { asFailure, fail } from "@hayloft/base/failures.js"
import { damaged } from "@hayloft/base/seams/compute/decompress.js"

const BZIP2_PROCESSES_MAX = 4

/** Shared by all requests of a process. */
export class Bunzip {
  private running = 0

  constructor(private readonly program = "bzip2") {}

  /** Throws `invalidRequest` for what is not compressed so, or damaged, failures of the source as they are; `notImplemented` without the program, and `tooManyInFlight` while too many run. */
  async *of(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    if (this.running >= BZIP2_PROCESSES_MAX) throw fail("tooManyInFlight")
    this.running += 1
    const child = spawn(this.program, ["--decompress", "--stdout"], { stdio: ["pipe", "pipe", "ignore"] })
    const source = Readable.from(pieces)
    let failed: unknown
    source.on("error", error => {
      failed = error
      child.kill("SIGKILL")
    })
    // Input that it does not read any more is no failure: its status tells.
    child.stdin.on("error", () => undefined)
    const ended = once(child, "close")
    ended.catch(() => undefined)
    try {
      await this.started(child)
      source.pipe(child.stdin)
      for await (const bytes of child.stdout) {
        if (bytes instanceof Uint8Array) yield bytes
      }
      await ended
      if (failed !== undefined) throw asFailure(failed)
      if (child.exitCode !== 0) throw damaged("bzip2")
    } finally {
      this.running -= 1
      source.destroy()
      child.kill("SIGKILL")
    }
  }

  private async started(child: ReturnType<typeof spawn>): Promise<void> {
    try {
      await once(child, "spawn")
    } catch {
      throw fail("notImplemented", {
        message: "archives in tar.bz2 need the program bzip2, which this server lacks: install the package bzip2 on it",
      })
    }
  }
}
