/** Memory of the server's process: idle, during many uploads, with many idle connections, after very many requests. */
import { MIB } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { RawConnection } from "@hayloft/client/load/raw-connection.js"
import { runLoad } from "@hayloft/client/load/raw-load.js"
import { S3Work } from "@hayloft/client/load/s3-work.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { peakMegabytes, residentMegabytes } from "../process-usage.js"
import { all, atMost, type Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

/** 4+3. */
const FOLDERS = 7
const CONNECT_AT_ONCE = 64
const SMALL_BYTES = 4096
/** The beginning of the soak test, during which caches fill, and the whole of it. */
const WARM_SHARE = 0.25

class Memory implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<Memory> {
    return new Memory(bench, await OwnStore.open(bench, { name: "memory", folders: FOLDERS }))
  }

  close(): Promise<void> {
    return this.store.close()
  }

  async idle(): Promise<Measured> {
    await this.bench.clock.sleep(this.bench.scale.idleSeconds * 1000, this.bench.signal)
    return { figure: await residentMegabytes(this.store.pid), unit: "MB" }
  }

  async uploads(): Promise<Measured> {
    const { uploads, uploadBytes } = this.bench.scale
    const { forge, pid } = this.store
    const body = noiseOf(uploadBytes)
    let made = 0
    const next = () => {
      if (made === uploads) return undefined
      made += 1
      return {
        request: forge.forge({ method: "PUT", bucket: BUCKET, key: `upload-${made}`, body }),
        bytes: uploadBytes,
      }
    }
    const plan = { endpoint: forge.endpoint, connections: uploads, next }
    const { firstError, megabytesPerSecond } = await runLoad(plan, this.bench.clock, this.bench.signal)
    if (firstError !== undefined) throw new Error(`an upload failed: ${firstError}`)
    return { figure: await peakMegabytes(pid), unit: "MB", also: { megabytesPerSecond } }
  }

  /** Each connection has sent one request, so that the store does not treat it as unauthenticated. */
  async connections(): Promise<Measured> {
    const { idleConnections } = this.bench.scale
    const { forge, pid } = this.store
    // Its idle connections count against the store's limit, which is as many as are opened here.
    this.store.client.close()
    const before = await residentMegabytes(pid)
    const request = forge.forge({ method: "HEAD", bucket: BUCKET })
    const connections = Array.from(
      { length: idleConnections },
      () => new RawConnection(forge.endpoint, this.bench.signal, { bufferBytes: SMALL_BYTES }),
    )
    try {
      await mapBounded(connections, CONNECT_AT_ONCE, async connection => {
        const { status } = await connection.ask(request)
        if (status !== 200) throw new Error(`a connection was answered ${status}`)
      })
      return { figure: (await residentMegabytes(pid)) - before, unit: "MB more" }
    } finally {
      for (const connection of connections) connection.close()
    }
  }

  /** Megabytes after all requests, compared with those after the first quarter. */
  async soak(): Promise<Measured> {
    const { clock, signal, scale } = this.bench
    const { forge, pid } = this.store
    const keys = shareOf(scale, 1000)
    const work = new S3Work(forge, { bucket: BUCKET, prefix: "soak/", sizeBytes: SMALL_BYTES, keys })
    await work.fill(scale.connections, clock, signal)
    const requests = work.requests({ get: 60, put: 18, head: 4, delete: 18 })
    const run = async (count: number): Promise<number> => {
      let left = count
      const next = () => (left-- > 0 ? requests() : undefined)
      const plan = { endpoint: forge.endpoint, connections: scale.connections, next }
      const { firstError } = await runLoad(plan, clock, signal)
      if (firstError !== undefined) throw new Error(`a request failed: ${firstError}`)
      return residentMegabytes(pid)
    }
    const limit = await run(Math.ceil(scale.soakRequests * WARM_SHARE))
    return { figure: await run(Math.floor(scale.soakRequests * (1 - WARM_SHARE))), unit: "MB", limit }
  }
}

export const MEMORY = theme({
  name: "memory",
  open: bench => Memory.open(bench),
  rows: ({ uploads, uploadBytes, idleConnections, soakRequests }) => [
    { work: "memory, idle", target: all(atMost("figure", 120)), measure: it => it.idle(), isOnce: true },
    {
      work: `memory, ${uploads} uploads of ${uploadBytes / MIB} MiB at once`,
      target: all(atMost("figure", 1000)),
      measure: it => it.uploads(),
      isOnce: true,
    },
    {
      work: `memory, ${idleConnections} idle connections`,
      target: all(atMost("figure", 200)),
      measure: it => it.connections(),
      isOnce: true,
    },
    {
      work: `memory after ${soakRequests} requests`,
      target: all(atMost("ratio", 1.1)),
      measure: it => it.soak(),
      isOnce: true,
    },
  ],
})
