/**
 * Starts: the time from the start of the process until a GET is answered, by the number of objects; after a clean
 * stop, and after SIGKILL in the middle of puts.
 */
import { RawConnection } from "@hayloft/client/load/raw-connection.js"
import { RequestForge } from "@hayloft/client/load/request-forge.js"
import { runLoad } from "@hayloft/client/load/raw-load.js"
import { S3Work } from "@hayloft/client/load/s3-work.js"
import { spreadKey } from "@hayloft/client/load/work-mix.js"
import type { S3Access } from "@hayloft/client/signed-call.js"
import { freePort } from "../../tests/harness/free-port.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { all, atMost, type Measured } from "../row.js"
import { theme, type Fixture } from "../theme.js"

const PREFIX = "there/"
const OBJECT_BYTES = 1024
const LOOK_EVERY_MS = 5
const START_MS_MAX = 120_000

class Starts implements Fixture {
  private readonly access: S3Access

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {
    this.access = store.access
  }

  static async open(bench: Bench): Promise<Starts> {
    const store = await OwnStore.open(bench, { name: "starts", folders: 1 })
    const keys = bench.scale.startObjects
    const work = new S3Work(store.forge, { bucket: BUCKET, prefix: PREFIX, sizeBytes: OBJECT_BYTES, keys })
    await work.fill(bench.scale.connections, bench.clock, bench.signal)
    return new Starts(bench, store)
  }

  close(): Promise<void> {
    return this.store.close()
  }

  async afterStop(): Promise<Measured> {
    await this.store.stop()
    return this.start()
  }

  async afterKill(): Promise<Measured> {
    const { scale, clock, signal } = this.bench
    const { forge } = this.store
    const prefix = "written-when-killed/"
    const work = new S3Work(forge, { bucket: BUCKET, prefix, sizeBytes: OBJECT_BYTES, keys: scale.startObjects })
    const over = new AbortController()
    const next = work.requests({ put: 1 })
    const { connections } = scale
    const load = runLoad({ endpoint: forge.endpoint, connections, next, until: over.signal }, clock, signal)
    await clock.sleep(scale.seconds * 1000, signal)
    await this.store.kill()
    over.abort()
    await load
    return this.start()
  }

  private async start(): Promise<Measured> {
    const { clock } = this.bench
    const port = await freePort()
    const beganMs = clock.monotonicMs()
    const process = this.store.spawn(`127.0.0.1:${port}`)
    try {
      await this.untilAnswered(port)
    } catch (error) {
      await process.stop()
      throw error
    }
    const seconds = (clock.monotonicMs() - beganMs) / 1000
    await this.store.adopt(process)
    return { figure: seconds, unit: "s" }
  }

  private async untilAnswered(port: number): Promise<void> {
    const { clock, signal } = this.bench
    const forge = new RequestForge({ ...this.access, endpoint: `http://127.0.0.1:${port}` }, clock)
    const request = forge.forge({ method: "GET", bucket: BUCKET, key: spreadKey(PREFIX, 0) })
    const endMs = clock.monotonicMs() + START_MS_MAX
    while (clock.monotonicMs() < endMs) {
      const connection = new RawConnection(forge.endpoint, signal)
      try {
        if ((await connection.ask(request)).status === 200) return
      } catch {
        // The server is not listening yet.
      } finally {
        connection.close()
      }
      await clock.sleep(LOOK_EVERY_MS, signal)
      signal.throwIfAborted()
    }
    throw new Error("the store does not answer")
  }
}

export const STARTS = theme({
  name: "starts",
  open: bench => Starts.open(bench),
  rows: ({ startObjects }) => [
    {
      work: `start after a stop, ${startObjects} objects`,
      target: all(atMost("figure", 1)),
      measure: it => it.afterStop(),
    },
    {
      work: `start after kill -9 under load, ${startObjects} objects`,
      target: all(atMost("figure", 3)),
      measure: it => it.afterKill(),
    },
  ],
})
