/** Objects most of which end, in the run of kills: what was acknowledged keeps its bytes. */
import assert from "node:assert/strict"
import { readdir } from "node:fs/promises"
import { must } from "@hayloft/base/assert.js"
import type { KillPlugin, KillWorld } from "../kill/plugin.js"
import { KilledWriters, type Line } from "../kill/writers.js"

const BUCKET = "ending"
/** The first letters of keys, and after how many days rules remove them. */
const RULES = [
  ["a", 1],
  ["b", 6],
  ["c", 30],
] as const
const KEYS = ["a0", "b0", "c0", "stays"]

const ruleOf = ([prefix, days]: (typeof RULES)[number]): string =>
  `<Rule><ID>${prefix}</ID><Filter><Prefix>${prefix}</Prefix></Filter><Status>Enabled</Status><Expiration><Days>${days}</Days></Expiration></Rule>`

export class EndingObjects extends KilledWriters implements KillPlugin {
  constructor(world: KillWorld) {
    super(world, BUCKET, KEYS)
  }

  async begin(): Promise<void> {
    const client = this.world.near.client()
    assert.equal((await client.call("PUT", { bucket: BUCKET })).status, 200)
    const body = `<LifecycleConfiguration>${RULES.map(ruleOf).join("")}</LifecycleConfiguration>`
    const put = await client.call("PUT", { bucket: BUCKET, query: "lifecycle", body })
    assert.equal(put.status, 200, put.text)
    for (const line of this.lines) await this.write(line, this.body())
  }

  private body(): Uint8Array {
    const { random } = this.world
    return random.bytes(5_000 + random.below(60_000))
  }

  /** One key after the other: each has one writer. */
  async work(): Promise<void> {
    await Promise.all([this.writeOn(this.lines.slice(0, 2)), this.writeOn(this.lines.slice(2))])
  }

  private async writeOn(lines: readonly Line[]): Promise<void> {
    while (!this.world.isOver) {
      await this.write(this.pick(lines), this.world.random.below(5) === 0 ? undefined : this.body())
    }
  }

  end(): Promise<void> {
    return this.check()
  }

  async afterStop(): Promise<void> {
    const path = must(this.world.stores.folders[0], "there is a folder")
    const names = await readdir(path)
    for (const name of ["volumes-3d", "volumes-10d", "volumes-32d"]) assert.ok(names.includes(name), `${name} exists`)
    const fsck = await this.world.near.hayloft(["volume", "fsck", path])
    assert.equal(fsck.code, 0, `${fsck.stdout}${fsck.stderr}`)
  }
}
