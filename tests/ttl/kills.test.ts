/**
 * A server that is killed again and again while clients write and delete objects, most of which end: what was acknowledged
 * keeps its bytes. `npm run ttl-kills` does it with many kills.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { readdir } from "node:fs/promises"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { must } from "../../src/base/assert.js"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"

const BUCKET = "ending"
const KILLS = Number(process.env["TTL_KILLS"] ?? 3)
const WRITES_BETWEEN_KILLS = 15
const RETRY_MS = 20
/** The first letters of keys, and after how many days rules remove them. */
const RULES = [
  ["a", 1],
  ["b", 6],
  ["c", 30],
] as const
const KEYS = ["a0", "a1", "b0", "b1", "c0", "stays"]

/** Each key has one writer. */
interface Line {
  readonly key: string
  /** Contents that a read may return; undefined: no object. */
  may: readonly (string | undefined)[]
}

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

class Story {
  readonly lines: readonly Line[] = KEYS.map(key => ({ key, may: [undefined] }))
  private writes = 0
  private isOver = false

  constructor(
    private readonly server: ServerProcess,
    private readonly random: SimRandom,
  ) {}

  private async write(line: Line): Promise<void> {
    while (!this.isOver) {
      const body = this.random.below(5) === 0 ? undefined : this.random.bytes(5_000 + this.random.below(60_000))
      const digest = body && digestOf(body)
      line.may = [...line.may, digest]
      if (await this.attempt(line.key, body)) {
        line.may = [digest]
        this.writes += 1
      } else await later(RETRY_MS)
    }
  }

  private async attempt(key: string, body: Uint8Array | undefined): Promise<boolean> {
    const client = this.server.client()
    try {
      if (body === undefined) return (await client.call("DELETE", { bucket: BUCKET, key })).status === 204
      return (await client.call("PUT", { bucket: BUCKET, key, body })).status === 200
    } catch {
      return false
    }
  }

  async check({ key, may }: Line): Promise<void> {
    const { status, body } = await this.server.client().call("GET", { bucket: BUCKET, key })
    assert.ok(status === 200 || status === 404, `${key}: ${status}`)
    assert.ok(may.includes(status === 404 ? undefined : digestOf(body)), `${key} has other bytes than were written`)
  }

  async run(): Promise<void> {
    const working = Promise.all(this.lines.map(line => this.write(line)))
    try {
      for (let kills = 0; kills < KILLS; kills += 1) {
        const until = this.writes + WRITES_BETWEEN_KILLS + this.random.below(WRITES_BETWEEN_KILLS)
        while (this.writes < until) await Promise.race([later(5), working])
        await this.server.kill()
        await this.server.launch()
      }
    } finally {
      this.isOver = true
    }
    await working
  }
}

const ruleOf = ([prefix, days]: (typeof RULES)[number]): string =>
  `<Rule><ID>${prefix}</ID><Filter><Prefix>${prefix}</Prefix></Filter><Status>Enabled</Status><Expiration><Days>${days}</Days></Expiration></Rule>`

test(`killed ${KILLS} times: objects that end have the bytes that were acknowledged`, { timeout: 900_000 }, () =>
  withFolder(async folder => {
    const folders = dataFolders(folder, 1)
    const server = await ServerProcess.start({ folders, args: ["--redundancy", "replica:1"] })
    try {
      const client = server.client()
      assert.equal((await client.call("PUT", { bucket: BUCKET })).status, 200)
      const body = `<LifecycleConfiguration>${RULES.map(ruleOf).join("")}</LifecycleConfiguration>`
      const put = await client.call("PUT", { bucket: BUCKET, query: "lifecycle", body })
      assert.equal(put.status, 200, put.text)
      const story = new Story(server, new SimRandom(TEST_SEED))
      await story.run()
      for (const line of story.lines) await story.check(line)
    } finally {
      await server.stop()
    }
    const path = must(folders[0], "there is a folder")
    const names = await readdir(path)
    for (const name of ["volumes-3d", "volumes-10d", "volumes-32d"]) assert.ok(names.includes(name), `${name} exists`)
    const fsck = await server.hayloft(["volume", "fsck", path])
    assert.equal(fsck.code, 0, `${fsck.stdout}${fsck.stderr}`)
  }),
)
