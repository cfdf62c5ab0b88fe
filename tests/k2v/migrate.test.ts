/** The script of the page on migrating from Garage, between two buckets of one store. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { findProgram, run } from "../harness/commands.js"
import { freePort } from "../harness/free-port.js"
import { withFolder } from "../harness/folders.js"
import { base64, K2vClient, listingOf } from "../harness/k2v-client.js"
import { CREDENTIALS, REGION, ROOT, withServer } from "../harness/server.js"

/** From 7.88 on it signs the headers that it is given. */
const hasCurl = async (): Promise<boolean> => {
  const curl = findProgram("curl")
  return curl !== undefined && /^curl (?:7\.8[89]|[89]|\d\d)\./.test((await run(curl, ["--version"])).stdout)
}

test("the script copies all items with their concurrent values", { skip: !(await hasCurl()) }, () =>
  withFolder(async folder => {
    const host = `127.0.0.1:${await freePort()}`
    await withServer({ folders: [join(folder, "data")], args: ["--k2v-listen", host] }, async server => {
      const [old, next] = ["old", "next"].map(name => new K2vClient({ host, ...CREDENTIALS }, `${name}-bucket`))
      assert.ok(old !== undefined && next !== undefined)
      for (const name of ["old", "next"]) await server.hayloft(["mb", `s3://${name}-bucket`])
      const items = Array.from({ length: 25 }, (_, i) => ({ pk: `p ${i % 3}\n"é"`, sk: `k${i}`, v: base64(`${i}`) }))
      await old.insertBatch([...items, { pk: "q", sk: "a", v: base64("1") }, { pk: "q", sk: "a", v: base64("2") }])
      const page = readFileSync(join(ROOT, "docs/guide/migrate/from-garage.md"), "utf8")
      const script = /```sh k2v-copy\n(.*?)```/s.exec(page)?.[1] ?? ""
      const key = `${CREDENTIALS.accessKey}:${CREDENTIALS.secretKey}`
      const env = {
        SOURCE: `http://${host}/old-bucket`,
        TARGET: `http://${host}/next-bucket`,
        LIMIT: "7",
        SOURCE_KEY: key,
        TARGET_KEY: key,
        SOURCE_REGION: REGION,
      }
      const { code, stdout, stderr } = await run("bash", ["-euo", "pipefail", "-c", script], { env })
      assert.equal(code, 0, stdout + stderr)
      const index = async (client: K2vClient) => (await client.index()).json
      assert.deepEqual(await index(next), await index(old))
      const read = async (client: K2vClient, partitionKey: string) => {
        const { json } = await client.search([{ partitionKey }])
        assert.ok(Array.isArray(json))
        return json.map(listingOf).flatMap(({ items: found }) => found.map(({ sk, v }) => [sk, v]))
      }
      for (const partition of ["q", ...new Set(items.map(({ pk }) => pk))])
        assert.deepEqual(await read(next, partition), await read(old, partition))
    })
  }),
)
