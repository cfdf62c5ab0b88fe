/**
 * A server that is killed again and again while clients write and delete objects, most of which end: what was acknowledged
 * keeps its bytes. `npm run ttl-kills` does it with many kills.
 */
import assert from "node:assert/strict"
import { readdir } from "node:fs/promises"
import { test } from "node:test"
import { must } from "../../src/base/assert.js"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { KilledWriters, type Line } from "../harness/killed-writers.js"
import { ServerProcess } from "../harness/server.js"

const BUCKET = "ending"
const KILLS = Number(process.env["TTL_KILLS"] ?? 3)
const WRITES_BETWEEN_KILLS = 15
/** The first letters of keys, and after how many days rules remove them. */
const RULES = [
  ["a", 1],
  ["b", 6],
  ["c", 30],
] as const
const KEYS = ["a0", "a1", "b0", "b1", "c0", "stays"]

class Story extends KilledWriters {
  private async writeOn(line: Line): Promise<void> {
    while (!this.isOver) {
      const body = this.random.below(5) === 0 ? undefined : this.random.bytes(5_000 + this.random.below(60_000))
      await this.write(line, body)
    }
  }

  async run(): Promise<void> {
    const working = Promise.all(this.lines.map(line => this.writeOn(line)))
    await this.killWhile(working, { kills: KILLS, writesBetween: WRITES_BETWEEN_KILLS })
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
      const story = new Story(server, new SimRandom(TEST_SEED), BUCKET, KEYS)
      await story.run()
      await story.check()
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
