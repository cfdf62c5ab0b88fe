/** Large requests: deleting a thousand keys at a time, completing an upload of many parts. */
import { statfs } from "node:fs/promises"
import { GIB, PART_BYTES_MIN } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { RawConnection } from "@hayloft/client/load/raw-connection.js"
import { runLoad } from "@hayloft/client/load/raw-load.js"
import { noiseOf, spreadKey } from "@hayloft/client/load/work-mix.js"
import { DELETE_KEYS_MAX } from "@hayloft/client/s3-client.js"
import { timed, type Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { all, atLeast, atMost, Unmeasured, type Measured } from "../row.js"
import { theme, type Fixture } from "../theme.js"

const DELETES_AT_ONCE = 4
const PARTS_AT_ONCE = 8
const SPACE_TIMES = 1.2
const KEY = "many-parts"
const EMPTY = Buffer.alloc(0)

class Batches implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<Batches> {
    return new Batches(bench, await OwnStore.open(bench, { name: "batches", folders: 1, probe: "loop" }))
  }

  close(): Promise<void> {
    return this.store.close()
  }

  async deleteObjects(): Promise<Measured> {
    const { scale, clock, signal } = this.bench
    const { client, forge } = this.store
    const keys = Array.from({ length: scale.deleteKeys }, (_, n) => spreadKey("doomed/", n))
    const waiting = keys.values()
    const next = () => {
      const key = waiting.next().value
      if (key === undefined) return undefined
      return { request: forge.forge({ method: "PUT", bucket: BUCKET, key, body: EMPTY }), bytes: 0 }
    }
    const { connections } = scale
    const { firstError } = await runLoad({ endpoint: forge.endpoint, connections, next }, clock, signal)
    if (firstError !== undefined) throw new Error(`filling failed: ${firstError}`)
    const batches = Array.from({ length: Math.ceil(keys.length / DELETE_KEYS_MAX) }, (_, i) =>
      keys.slice(i * DELETE_KEYS_MAX, (i + 1) * DELETE_KEYS_MAX),
    )
    const remove = (batch: string[]): Promise<void> => client.removeMany(BUCKET, batch)
    let seconds = 0
    const { maxMs: stallMs } = await this.store.lateDuring(async () => {
      seconds = (await timed(clock, () => mapBounded(batches, DELETES_AT_ONCE, remove))).seconds
    })
    return { figure: keys.length / seconds, unit: "keys/s", also: { stallMs } }
  }

  async complete(): Promise<Measured> {
    const parts = this.bench.scale.completeParts
    await this.requireSpace(parts * PART_BYTES_MIN * SPACE_TIMES)
    const { client } = this.store
    const upload = { bucket: BUCKET, key: KEY, uploadId: await client.createMultipart({ bucket: BUCKET, key: KEY }) }
    const etags = await this.putParts(upload.uploadId, parts)
    let seconds = 0
    const { maxMs: stallMs } = await this.store.lateDuring(async () => {
      seconds = (await timed(this.bench.clock, () => client.complete({ ...upload, etags }))).seconds
    })
    await client.remove(BUCKET, KEY)
    return { figure: seconds * 1000, unit: "ms", also: { stallMs } }
  }

  private async requireSpace(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.bench.workFolder)
    const needed = (bytes / GIB).toFixed(0)
    if (bavail * bsize < bytes) throw new Unmeasured(`needs ${needed} GiB of space`)
  }

  private async putParts(uploadId: string, count: number): Promise<string[]> {
    const body = noiseOf(PART_BYTES_MIN)
    const numbers = Array.from({ length: count }, (_, i) => i + 1).values()
    const etags: string[] = []
    await mapBounded(Array.from({ length: PARTS_AT_ONCE }), PARTS_AT_ONCE, async () => {
      const connection = new RawConnection(this.store.forge.endpoint, this.bench.signal)
      try {
        for (const partNumber of numbers) {
          const query = [
            ["partNumber", String(partNumber)],
            ["uploadId", uploadId],
          ] as const
          const request = this.store.forge.forge({ method: "PUT", bucket: BUCKET, key: KEY, query, body })
          const { status, head, errorText } = await connection.ask(request)
          const etag = /\r\netag: *"([^"]+)"/i.exec(head)?.[1]
          if (status !== 200 || etag === undefined) throw new Error(`a part was refused: ${status} ${errorText}`)
          etags[partNumber - 1] = etag
        }
      } finally {
        connection.close()
      }
    })
    return etags
  }
}

export const BATCHES = theme({
  name: "batches",
  open: bench => Batches.open(bench),
  rows: ({ completeParts, deleteKeys }) => [
    {
      work: `DeleteObjects, ${deleteKeys} keys`,
      target: all(atLeast("figure", 20_000), atMost("stallMs", 20)),
      measure: it => it.deleteObjects(),
    },
    {
      work: `complete an upload of ${completeParts} parts`,
      target: all(atMost("figure", 500), atMost("stallMs", 20)),
      measure: it => it.complete(),
      isOnce: true,
    },
  ],
})
