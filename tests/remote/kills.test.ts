/**
 * Remote buckets of a server that is killed again and again while clients write: what was acknowledged is never lost or read as it was
 * before, and in the end both stores have the same. `npm run remote-kills` does it with many kills.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { withFolder } from "../harness/folders.js"
import { RemoteWorld } from "./worlds.js"

const KILLS = Number(process.env["REMOTE_KILLS"] ?? 3)
const KEYS = 6
const WRITES_BETWEEN_KILLS = 60
const RETRY_MS = 20
/** One write in so many is a deletion. */
const DELETE_EVERY = 6

/** A key with one writer: the number of the write that was acknowledged last, and of the one that was sent last. */
interface Line {
  readonly key: string
  acknowledged: number
  sent: number
}

const isDeletion = (number: number): boolean => number % DELETE_EVERY === 0
const textOf = (number: number): string => `${number} ${"x".repeat((number * 997) % 20_000)}`

/** The number of the write that a response has; 0: the object does not exist. Undefined: no response that says it. */
async function numberAt(
  world: RemoteWorld,
  where: "far" | "near",
  bucket: string,
  key: string,
): Promise<number | undefined> {
  try {
    const { status, body } = await world.clientOf(where).call("GET", { bucket, key })
    if (status === 404) return 0
    if (status !== 200) return undefined
    const [, number = "", rest = ""] = /^(\d+) (x*)$/.exec(body.toString()) ?? []
    assert.equal(rest.length, (Number(number) * 997) % 20_000, "whole writes are read")
    return Number(number)
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    return undefined
  }
}

/** Returns true if the value read is possible, given that writes from one to another number may have been the last. */
function canBe(found: number, from: number, to: number): boolean {
  if (found === 0) return from === 0 || Array.from({ length: to - from + 1 }, (_, i) => from + i).some(isDeletion)
  return found >= from && found <= to && !isDeletion(found)
}

class Story {
  readonly lines: readonly Line[] = Array.from({ length: KEYS }, (_, i) => ({ key: `k${i}`, acknowledged: 0, sent: 0 }))
  writes = 0
  private isOver = false

  constructor(
    private readonly world: RemoteWorld,
    private readonly bucket: string,
  ) {}

  async write(line: Line): Promise<void> {
    while (!this.isOver) {
      const number = (line.sent += 1)
      const { bucket, world } = this
      const call = { bucket, key: line.key, ...(isDeletion(number) ? {} : { body: textOf(number) }) }
      try {
        const { status } = await world.clientOf("near").call(isDeletion(number) ? "DELETE" : "PUT", call)
        if (status < 300) {
          line.acknowledged = number
          this.writes += 1
        } else await later(RETRY_MS)
      } catch {
        await later(RETRY_MS)
      }
    }
  }

  async read(line: Line): Promise<void> {
    while (!this.isOver) {
      const from = line.acknowledged
      const found = await numberAt(this.world, "near", this.bucket, line.key)
      if (found === undefined) await later(RETRY_MS)
      else assert.ok(canBe(found, from, line.sent), `${line.key}: read ${found} after ${from}, sent ${line.sent}`)
    }
  }

  async run(random: SimRandom): Promise<void> {
    const working = Promise.all(this.lines.flatMap(line => [this.write(line), this.read(line)]))
    try {
      for (let kills = 0; kills < KILLS; kills += 1) {
        const until = this.writes + WRITES_BETWEEN_KILLS + random.below(WRITES_BETWEEN_KILLS)
        while (this.writes < until) await Promise.race([later(5), working])
        await this.world.near.kill()
        await this.world.near.launch()
      }
    } finally {
      this.isOver = true
    }
    await working
  }
}

for (const writes of ["Through", "Back"]) {
  test(`killed ${KILLS} times, with Writes ${writes}: nothing acknowledged is lost`, { timeout: 600_000 }, () =>
    withFolder(async folder => {
      const world = await RemoteWorld.start(folder)
      try {
        const bucket = writes.toLowerCase()
        await world.remote(bucket, { writes })
        const story = new Story(world, bucket)
        await story.run(new SimRandom(TEST_SEED))
        if (writes === "Back") while ((await world.near.usage(bucket)).versions > 0) await later(RETRY_MS)
        for (const { key, acknowledged, sent } of story.lines) {
          const [near, far] = [await numberAt(world, "near", bucket, key), await numberAt(world, "far", "data", key)]
          assert.equal(near, far, key)
          assert.ok(canBe(far ?? -1, acknowledged, sent), `${key}: ${far} after ${acknowledged}, sent ${sent}`)
        }
      } finally {
        await world.stop()
      }
    }),
  )
}
