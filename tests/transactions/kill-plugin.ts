/** Transactions in the run of kills: each is done once, as a whole, although its answer may have been lost. */
import assert from "node:assert/strict"
import { RemoteFailure, S3Client, type TransactionEntry } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { CREDENTIALS, REGION } from "../harness/server.js"
import type { KillPlugin, KillWorld } from "../kill/plugin.js"

const WORKERS = 2
/** A size that is stored in blocks, so that a rename copies bytes. */
const COIN_BYTES = 50_000
const BUCKETS = ["left", "right"] as const
type Side = (typeof BUCKETS)[number]

const sideOf = (number: number): Side => (number % 2 === 0 ? "left" : "right")
/** Repeats the request until the server is there. */
async function until<T>(world: KillWorld, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const isAnswer = error instanceof RemoteFailure && error.status < 500
      if (isAnswer || error instanceof assert.AssertionError) throw error
      await world.turn()
    }
  }
}

async function textOf(client: S3Client, bucket: string, key: string): Promise<string | undefined> {
  try {
    const { body } = await client.get(bucket, key)
    const pieces: Uint8Array[] = []
    for await (const piece of body) pieces.push(piece)
    return Buffer.concat(pieces).toString("utf8")
  } catch (error) {
    if (error instanceof RemoteFailure && error.status === 404) return undefined
    throw error
  }
}

/** Moves a coin to and fro; with each move a ledger says how many there were, and a note of the last one goes. */
class Mover {
  done = 0
  isAtRisk = false
  private readonly coin: string
  private readonly ledger: string

  constructor(
    private readonly world: KillWorld,
    private readonly client: S3Client,
    private readonly name: number,
  ) {
    this.coin = `coin ${name}`
    this.ledger = `ledger ${name}`
  }

  private note(number: number): string {
    return `note ${this.name} ${number}`
  }

  async begin(): Promise<void> {
    await this.client.put({ bucket: "left", key: this.coin, body: Buffer.alloc(COIN_BYTES, "c") })
    await this.client.put({ bucket: "right", key: this.ledger, body: Buffer.from("0") })
    await this.client.put({ bucket: "left", key: this.note(0), body: Buffer.from("0") })
  }

  async work(): Promise<void> {
    while (!this.world.isOver) {
      await this.world.turn()
      const number = this.done + 1
      const operations = await until(this.world, () => this.operations(number))
      const token = `${this.name}-${number}`
      await until(this.world, async () => {
        try {
          this.isAtRisk = true
          await this.client.transaction(operations, { token })
        } finally {
          this.isAtRisk = false
          await this.assertWhole(number)
        }
      })
      this.done = number
      assert.equal(await until(this.world, () => this.stateNow()), number, "what was acknowledged is there")
    }
  }

  private async operations(number: number): Promise<readonly TransactionEntry[]> {
    const puts = await Promise.all(
      (
        [
          ["right", this.ledger],
          ["left", this.note(number)],
        ] as const
      ).map(async ([bucket, key]) => {
        const uploadId = await this.client.createMultipart({ bucket, key })
        const etag = await this.client.putPart({ bucket, key, uploadId, partNumber: 1, body: Buffer.from(`${number}`) })
        return { put: { bucket, key, uploadId, parts: [{ partNumber: 1, etag }] } }
      }),
    )
    const rename = { bucket: sideOf(number - 1), key: this.coin, toBucket: sideOf(number), toKey: this.coin }
    const gone = { bucket: "left", key: this.note(number - 1), ifMatch: "*" }
    return [...puts, { rename: { ...rename, destinationIfNoneMatch: "*" } }, { delete: gone }]
  }

  /** The number of transactions that are there as a whole. */
  private async stateNow(): Promise<number> {
    const ledger = Number(await textOf(this.client, "right", this.ledger))
    const coins = await Promise.all(BUCKETS.map(side => textOf(this.client, side, this.coin)))
    const sides = BUCKETS.filter((_, at) => coins[at]?.length === COIN_BYTES)
    const { keys } = await this.client.list("left", { prefix: `note ${this.name} `, delimiter: "" })
    assert.deepEqual(
      [sides, keys.map(({ key }) => key)],
      [[sideOf(ledger)], [this.note(ledger)]],
      `all of transaction ${ledger} is there, and nothing else`,
    )
    return ledger
  }

  /** Nothing else changes these keys before or after the transaction. */
  private async assertWhole(number: number): Promise<void> {
    const state = await until(this.world, () => this.stateNow())
    assert.ok(state === number || state === number - 1, `transaction ${state}, while ${number} is under way`)
  }
}

export class Transactions implements KillPlugin {
  private readonly stop = new AbortController()
  private readonly client: S3Client
  private readonly movers: readonly Mover[]

  constructor(world: KillWorld) {
    const access = {
      endpoint: world.near.endpoint,
      region: REGION,
      accessKeyId: CREDENTIALS.accessKey,
      secretAccessKey: CREDENTIALS.secretKey,
    }
    this.client = new S3Client(access, new RealClock(), this.stop.signal, { attemptsMax: 1 })
    this.movers = Array.from({ length: WORKERS }, (_, name) => new Mover(world, this.client, name))
  }

  get done(): number {
    return this.movers.reduce((sum, { done }) => sum + done, 0)
  }

  get isAtRisk(): boolean {
    return this.movers.some(({ isAtRisk }) => isAtRisk)
  }

  async begin(): Promise<void> {
    for (const bucket of BUCKETS) await this.client.createBucket(bucket)
    for (const mover of this.movers) await mover.begin()
  }

  async work(): Promise<void> {
    await Promise.all(this.movers.map(mover => mover.work()))
  }

  async end(): Promise<void> {
    for (const { done } of this.movers) assert.ok(done > 0, "each has moved its coin")
    for (const bucket of BUCKETS) {
      const { keys } = await this.client.list(bucket, { prefix: "", delimiter: "" })
      assert.equal(keys.filter(({ key }) => key.startsWith("note")).length, bucket === "left" ? WORKERS : 0)
    }
    this.stop.abort()
    this.client.close()
  }
}
