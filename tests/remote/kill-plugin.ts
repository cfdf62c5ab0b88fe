/**
 * Remote buckets in the run of kills, which kills the remote store too: what was acknowledged is never lost or read as it was
 * before, and in the end both stores have the same.
 */
import assert from "node:assert/strict"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import type { ServerProcess } from "../harness/server.js"
import type { KillPlugin, KillWorld } from "../kill/plugin.js"
import { md5Of, remoteDocument } from "./worlds.js"

const KEYS = 2
const POLL_MS = 100
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
async function numberAt(server: ServerProcess, bucket: string, key: string): Promise<number | undefined> {
  const answer = await server
    .client()
    .call("GET", { bucket, key })
    .catch(() => undefined)
  if (answer?.status === 404) return 0
  if (answer?.status !== 200) return undefined
  const [, number = "", rest = ""] = /^(\d+) (x*)$/.exec(answer.body.toString()) ?? []
  assert.equal(rest.length, (Number(number) * 997) % 20_000, "whole writes are read")
  return Number(number)
}

/** Returns true if the value read is possible, given that writes from one to another number may have been the last. */
function canBe(found: number, from: number, to: number): boolean {
  if (found === 0) return from === 0 || Array.from({ length: to - from + 1 }, (_, i) => from + i).some(isDeletion)
  return found >= from && found <= to && !isDeletion(found)
}

export class RemoteBucket implements KillPlugin {
  done = 0
  private readonly bucket: string
  private readonly target: string
  private readonly lines: readonly Line[] = Array.from({ length: KEYS }, (_, i) => ({
    key: `k${i}`,
    acknowledged: 0,
    sent: 0,
  }))

  constructor(
    private readonly world: KillWorld,
    private readonly writes: "Through" | "Back",
  ) {
    this.bucket = writes.toLowerCase()
    this.target = `${this.bucket}-data`
  }

  async begin(): Promise<void> {
    const { near, far } = this.world
    assert.equal((await far.client().call("PUT", { bucket: this.target })).status, 200)
    assert.equal((await near.client().call("PUT", { bucket: this.bucket })).status, 200)
    const body = remoteDocument({ bucket: this.target, writes: this.writes })
    const put = await near.client().call("PUT", { bucket: this.bucket, query: "remote", body, headers: md5Of(body) })
    assert.ok(put.status < 300, put.text)
  }

  async work(): Promise<void> {
    await Promise.all(this.lines.flatMap(line => [this.write(line), this.read(line)]))
  }

  private async write(line: Line): Promise<void> {
    while (!this.world.isOver) {
      await this.world.turn()
      const number = (line.sent += 1)
      const call = { bucket: this.bucket, key: line.key, ...(isDeletion(number) ? {} : { body: textOf(number) }) }
      const answer = await this.world.near
        .client()
        .call(isDeletion(number) ? "DELETE" : "PUT", call)
        .catch(() => undefined)
      if (answer === undefined || answer.status >= 300) continue
      line.acknowledged = number
      this.done += 1
    }
  }

  private async read(line: Line): Promise<void> {
    while (!this.world.isOver) {
      await this.world.turn()
      const from = line.acknowledged
      const found = await numberAt(this.world.near, this.bucket, line.key)
      if (found !== undefined)
        assert.ok(canBe(found, from, line.sent), `${line.key}: read ${found} after ${from}, sent ${line.sent}`)
    }
  }

  async end(): Promise<void> {
    const { near, far } = this.world
    const isWritten = async (): Promise<boolean> => (await near.usage(this.bucket)).versions <= 0
    if (this.writes === "Back") await until("pending writes are written back", isWritten, POLL_MS)
    for (const { key, acknowledged, sent } of this.lines) {
      const [here, there] = [await numberAt(near, this.bucket, key), await numberAt(far, this.target, key)]
      assert.equal(here, there, key)
      assert.ok(canBe(there ?? -1, acknowledged, sent), `${key}: ${there} after ${acknowledged}, sent ${sent}`)
    }
  }
}
