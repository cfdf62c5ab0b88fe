/**
 * Large objects: putting one in parts, several concurrently, compared with hashing and writing its bytes; getting
 * it compared with a plain file server; copying it; the time to its first byte; the delay of the event loop.
 *
 * Over 7 folders (4+3) and in one folder.
 */
import { createHash } from "node:crypto"
import { open, rm } from "node:fs/promises"
import { join } from "node:path"
import { must } from "@hayloft/base/assert.js"
import { GIB, KIB, MIB } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { RawConnection, type RawRequest } from "@hayloft/client/load/raw-connection.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { timed, type Bench } from "../bench.js"
import { hashSeconds, writeSeconds } from "../limits.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { PlainServer } from "../plain-server.js"
import { writtenBytesOf } from "../process-usage.js"
import { all, any, atLeast, atMost, median, type Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { signedChunks } from "../signed-chunks.js"
import { theme, type Fixture } from "../theme.js"
import { putBySdk } from "./sdk-upload.js"

const KEY = "large"
/** A bucket whose objects are encrypted. */
const SEALED = "sealed"
const SMALL_KEY = "small"
const SMALL_BYTES = MIB
const FIRST_BYTES_TIMES = 15
const CODED_FOLDERS = 7
/** Bytes written per byte at 4+3. */
const CODED_TIMES = 7 / 4
const GET_BUFFER_BYTES = MIB
const SDK_SECONDS_PER_GIB = 3

type Payload = "unsigned" | "signed chunks"

class LargeObjects implements Fixture {
  private readonly part: Buffer
  private readonly partEtag: string
  private plainFile: string | undefined

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
    private readonly folders: number,
  ) {
    this.part = noiseOf(Math.ceil(bench.scale.largeBytes / bench.scale.parts / 4) * 4)
    this.partEtag = createHash("md5").update(this.part).digest("hex")
  }

  static async open(bench: Bench, folders: number): Promise<LargeObjects> {
    const store = await OwnStore.open(bench, { name: `large-${folders}`, folders, probe: "loop" })
    return new LargeObjects(bench, store, folders)
  }

  async close(): Promise<void> {
    await this.store.close()
    if (this.plainFile !== undefined) await rm(this.plainFile, { force: true })
  }

  private get bytes(): number {
    return this.part.length * this.bench.scale.parts
  }

  async put(partsAtOnce: number, payload: Payload): Promise<Measured> {
    const limit = await this.limitSeconds()
    const cpuBefore = await this.store.cpuSeconds().catch(() => undefined)
    const seconds = await this.putOnce(partsAtOnce, payload)
    const cpuAfter = await this.store.cpuSeconds().catch(() => undefined)
    const cpu = cpuBefore === undefined || cpuAfter === undefined ? {} : { serverCpuSeconds: cpuAfter - cpuBefore }
    return { figure: seconds, unit: "s", limit, also: { megabytesPerSecond: this.bytes / 1e6 / seconds, ...cpu } }
  }

  /** The limit includes the SHA-256 that this client requests; seconds are per GiB. */
  async putBySdk(): Promise<Measured> {
    const limit = (await this.limitSeconds()) + (await hashSeconds(this.bench, "sha256", this.bytes))
    const { part, bench, store } = this
    const seconds = await putBySdk(bench.clock, store.access, {
      bucket: BUCKET,
      key: KEY,
      part,
      parts: bench.scale.parts,
    })
    return { figure: seconds, unit: "s", limit, also: { "s a GiB": (seconds * GIB) / this.bytes } }
  }

  async eventLoop(): Promise<Measured> {
    const { clock, scale } = this.bench
    const endMs = clock.monotonicMs() + 2 * scale.seconds * 1000
    const { p99Ms, maxMs } = await this.store.lateDuring(async () => {
      do await this.putOnce(4, "unsigned")
      while (clock.monotonicMs() < endMs)
    })
    return { figure: maxMs, unit: "ms", also: { p99Ms } }
  }

  async get(): Promise<Measured> {
    await this.present()
    const plain = await PlainServer.start({ file: await this.plain() })
    try {
      const request: RawRequest = { bytes: Buffer.from("GET / HTTP/1.1\r\nhost: plain\r\n\r\n"), isHead: false }
      const limit = await this.megabytesPerSecond(plain.endpoint, request)
      const { forge } = this.store
      const wanted = forge.forge({ method: "GET", bucket: BUCKET, key: KEY })
      // Both are read from the page cache, which contains large bodies after the first read.
      if (!this.isCached) await this.megabytesPerSecond(forge.endpoint, wanted)
      this.isCached = true
      return { figure: await this.megabytesPerSecond(forge.endpoint, wanted), unit: "MB/s", limit }
    } finally {
      await plain.stop()
    }
  }

  /** The speed into a bucket that encrypts, beside that into one that does not. */
  async putSealed(): Promise<Measured> {
    await this.sealedBucket()
    const megabytesPerSecond = async (bucket: string) => this.bytes / 1e6 / (await this.putOnce(4, "unsigned", bucket))
    const limit = await megabytesPerSecond(BUCKET)
    return { figure: await megabytesPerSecond(SEALED), unit: "MB/s", limit }
  }

  async getSealed(): Promise<Measured> {
    await this.sealedBucket()
    const { forge } = this.store
    const speed = async (bucket: string): Promise<number> => {
      await this.present(bucket)
      const wanted = forge.forge({ method: "GET", bucket, key: KEY })
      // The first read fills the page cache.
      await this.megabytesPerSecond(forge.endpoint, wanted)
      return this.megabytesPerSecond(forge.endpoint, wanted)
    }
    const limit = await speed(BUCKET)
    return { figure: await speed(SEALED), unit: "MB/s", limit }
  }

  private hasSealedBucket = false

  private async sealedBucket(): Promise<void> {
    if (!this.hasSealedBucket) await this.store.createSealedBucket(SEALED)
    this.hasSealedBucket = true
  }

  private isCached = false
  private isLost = false

  /** Removes three folders of the store. */
  async getWithoutThree(): Promise<Measured> {
    await this.present()
    if (!this.isLost) {
      await this.store.lose(3)
      this.isLost = true
      this.isCached = false
    }
    return this.get()
  }

  /** The bytes that the process sent to disks for a copy within the bucket, as a share of the object's. */
  async copy(): Promise<Measured> {
    await this.present()
    const before = await writtenBytesOf(this.store.pid)
    const headers = [
      ["x-amz-copy-source", `/${BUCKET}/${KEY}`],
      ["x-amz-metadata-directive", "REPLACE"],
    ] as const
    const request = this.store.forge.forge({
      method: "PUT",
      bucket: BUCKET,
      key: KEY,
      headers,
      body: Buffer.alloc(0),
    })
    const { seconds } = await timed(this.bench.clock, () => this.ask(request, 200))
    const written = (await writtenBytesOf(this.store.pid)) - before
    return { figure: written / MIB, unit: "MiB", limit: this.bytes / MIB, also: { ms: seconds * 1000 } }
  }

  async firstByte(): Promise<Measured> {
    await this.present()
    const { client } = this.store
    await client.put({ bucket: BUCKET, key: SMALL_KEY, body: this.part.subarray(0, SMALL_BYTES) })
    const times = { large: [] as number[], small: [] as number[] }
    for (let i = 0; i < shareOf(this.bench.scale, FIRST_BYTES_TIMES); i += 1) {
      times.large.push(await this.firstByteMs(KEY))
      times.small.push(await this.firstByteMs(SMALL_KEY))
    }
    return { figure: median(times.large), unit: "ms", limit: median(times.small) }
  }

  /** Uses a new connection, which it closes after the first byte. */
  private async firstByteMs(key: string): Promise<number> {
    const { clock, signal } = this.bench
    const { forge } = this.store
    const connection = new RawConnection(forge.endpoint, signal)
    await connection.open()
    const beganMs = clock.monotonicMs()
    let firstMs: number | undefined
    const leave = (): void => {
      firstMs = clock.monotonicMs()
      connection.close()
    }
    await connection.ask(forge.forge({ method: "GET", bucket: BUCKET, key }), leave).catch(() => undefined)
    return must(firstMs, "a byte came") - beganMs
  }

  /** Buckets that have the object. */
  private readonly filled = new Set<string>()

  private async present(bucket = BUCKET): Promise<void> {
    if (!this.filled.has(bucket)) await this.putOnce(4, "unsigned", bucket)
  }

  /** Times parts and completion; requests are built before. */
  private async putOnce(partsAtOnce: number, payload: Payload, bucket = BUCKET): Promise<number> {
    const { client, forge } = this.store
    const { clock } = this.bench
    const upload = { bucket, key: KEY, uploadId: await client.createMultipart({ bucket, key: KEY }) }
    const requests = Array.from({ length: this.bench.scale.parts }, (_, i) => {
      const query = [
        ["partNumber", String(i + 1)],
        ["uploadId", upload.uploadId],
      ] as const
      const request = { method: "PUT", bucket, key: KEY, query }
      return payload === "unsigned"
        ? forge.forge({ ...request, body: this.part })
        : signedChunks(forge, request, this.part, 64 * KIB)
    })
    const { seconds } = await timed(clock, async () => {
      await this.inLanes(partsAtOnce, requests)
      await client.complete({ ...upload, etags: requests.map(() => this.partEtag) })
    })
    this.filled.add(bucket)
    return seconds
  }

  /** Each worker has a connection, and sends the next part when it is free. */
  private async inLanes(lanes: number, requests: readonly RawRequest[]): Promise<void> {
    const waiting = requests.values()
    await mapBounded(Array.from({ length: lanes }), lanes, async () => {
      const connection = new RawConnection(this.store.forge.endpoint, this.bench.signal)
      try {
        for (const request of waiting) {
          const { status, head, errorText } = await connection.ask(request)
          if (status !== 200) throw new Error(`a part was refused: ${status} ${errorText}`)
          if (!head.includes(this.partEtag)) throw new Error("the ETag of a part is not the MD5 of its bytes")
        }
      } finally {
        connection.close()
      }
    })
  }

  private async ask(request: RawRequest, status: number): Promise<void> {
    const connection = new RawConnection(this.store.forge.endpoint, this.bench.signal)
    try {
      const answer = await connection.ask(request)
      if (answer.status !== status) throw new Error(`answered ${answer.status} ${answer.errorText}`)
    } finally {
      connection.close()
    }
  }

  private async megabytesPerSecond(endpoint: URL, request: RawRequest): Promise<number> {
    const connection = new RawConnection(endpoint, this.bench.signal, { bufferBytes: GET_BUFFER_BYTES })
    try {
      await connection.open()
      const { result, seconds } = await timed(this.bench.clock, () => connection.ask(request))
      if (result.bodyBytes !== this.bytes) throw new Error(`got ${result.status} and ${result.bodyBytes} bytes`)
      return this.bytes / 1e6 / seconds
    } finally {
      connection.close()
    }
  }

  /** MD5 on one core, then the writes that the store has to do. */
  private async limitSeconds(): Promise<number> {
    const isCoded = this.folders > 1
    const bytes = isCoded ? (this.bytes * CODED_TIMES) / this.folders : this.bytes
    const md5 = await hashSeconds(this.bench, "md5", this.bytes)
    return md5 + (await writeSeconds(this.bench, { files: this.folders, bytes, pieceBytes: isCoded ? MIB : 4 * MIB }))
  }

  private async plain(): Promise<string> {
    if (this.plainFile !== undefined) return this.plainFile
    const path = join(this.bench.workFolder, `plain-${this.folders}`)
    const file = await open(path, "w")
    try {
      for (let i = 0; i < this.bench.scale.parts; i += 1) await file.write(this.part)
    } finally {
      await file.close()
    }
    this.plainFile = path
    return path
  }
}

export const LARGE_CODED = theme({
  name: "large-coded",
  open: bench => LargeObjects.open(bench, CODED_FOLDERS),
  rows: () => [
    { work: "PUT at 4+3, 4 parts at once", target: all(atMost("ratio", 1)), measure: it => it.put(4, "unsigned") },
    { work: "PUT at 4+3, 8 parts at once", target: all(atMost("ratio", 0.8)), measure: it => it.put(8, "unsigned") },
    { work: "PUT at 4+3, 1 part at once", target: all(atMost("ratio", 1.3)), measure: it => it.put(1, "unsigned") },
    {
      work: "PUT at 4+3, signed chunks, 4 parts",
      target: all(atMost("ratio", 1.4)),
      measure: it => it.put(4, "signed chunks"),
    },
    {
      work: "PUT at 4+3, AWS SDK, 4 parts",
      target: any(atMost("s a GiB", SDK_SECONDS_PER_GIB), atMost("ratio", 1.4)),
      measure: it => it.putBySdk(),
    },
    {
      work: "event loop while 4 parts upload",
      target: all(atMost("p99Ms", 20), atMost("figure", 40)),
      measure: it => it.eventLoop(),
    },
    { work: "first byte, large against 1 MiB", target: all(atMost("ratio", 1.5)), measure: it => it.firstByte() },
    { work: "GET at 4+3", target: all(atLeast("ratio", 1.1)), measure: it => it.get() },
    {
      work: "GET at 4+3, three folders lost",
      target: all(atLeast("ratio", 0.65)),
      measure: it => it.getWithoutThree(),
    },
  ],
})

export const SEALED_LARGE = theme({
  name: "sealed-large",
  open: bench => LargeObjects.open(bench, CODED_FOLDERS),
  rows: () => [
    { work: "sealed PUT at 4+3, 4 parts at once", target: all(atLeast("ratio", 0.6)), measure: it => it.putSealed() },
    { work: "sealed GET at 4+3", target: all(atLeast("ratio", 0.6)), measure: it => it.getSealed() },
  ],
})

export const LARGE_SINGLE = theme({
  name: "large-single",
  open: bench => LargeObjects.open(bench, 1),
  rows: () => [
    {
      work: "PUT in one folder, 4 parts at once",
      target: all(atMost("ratio", 0.9)),
      measure: it => it.put(4, "unsigned"),
    },
    { work: "GET from one folder", target: all(atLeast("ratio", 1)), measure: it => it.get() },
    {
      work: "CopyObject onto its own key: bytes written",
      target: all(atMost("ratio", 0.05)),
      measure: it => it.copy(),
    },
  ],
})
