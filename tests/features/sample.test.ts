/**
 * The sample of docs/how-to/add-a-feature.md in a real store: a copy of the product in which one line registers it counts the
 * changes of objects, and nothing else of the product knows it.
 */
import assert from "node:assert/strict"
import { dirname } from "node:path"
import { after, test } from "node:test"
import { z } from "zod"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { SAMPLE } from "@hayloft/features/sample/index.js"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { readVersion } from "@hayloft/cli/version.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { PlantedCopies } from "../harness/planted-copies.js"
import { HURRIED_JOBS, ServerProcess } from "../harness/server.js"

/** A report of the status costs more than a request of a client. */
const LOOK_MS = 100
const STATUS = z.object({ changes: z.unknown() })
const LIST = "const FEATURES: readonly ProductFeature[] = ["

const copies = new PlantedCopies()
after(() => copies.remove())

/** Makes a copy of the product with the sample among its features. Returns its folder. */
function productWithSample(): string {
  const registered = `import { SAMPLE } from "./${SAMPLE.name}/index.js"\n${LIST}\n  SAMPLE,`
  const edits = [{ file: "packages/features/src/store-services.ts", find: LIST, put: registered }]
  return `${dirname(dirname(copies.add(edits).command(readVersion())))}/`
}

test(
  "a feature that one line registers has its setting, row, job, operation, command and status",
  { timeout: 300_000 },
  () =>
    withFolder(async folder => {
      const root = productWithSample()
      const server = await ServerProcess.start({ folders: dataFolders(folder, 1), root, env: HURRIED_JOBS })
      try {
        const client = server.client()
        const hayloft = await server.hayloftOfRoot()
        const put = async (bucket: string, key: string) =>
          assert.equal((await client.call("PUT", { bucket, key, body: Buffer.from(key) })).status, 200)
        for (const bucket of ["counted", "other"]) assert.equal((await client.call("PUT", { bucket })).status, 200)
        await put("counted", "before")
        assert.equal((await hayloft(["bucket", "settings", "set", "counted", "changes", "{}"])).code, 0)
        for (const key of ["a", "b"]) await put("counted", key)
        await put("other", "c")
        assert.equal((await client.call("DELETE", { bucket: "counted", key: "a" })).status, 204)
        assert.equal((await hayloft(["changes", "show", "counted"])).stdout, "3 changes\n")
        const refused = await hayloft(["changes", "show", "other"])
        assert.notEqual(refused.code, 0)
        assert.match(refused.stderr, /the bucket does not count its changes/)
        await server.kill()
        await server.launch()
        await put("counted", "after")
        assert.deepEqual(await server.report("/v1/buckets/counted/changes"), { changes: 4 })
        const isCounted = async (): Promise<boolean> => {
          const { jobs } = STORE_SCHEMAS.STATUS.parse(await server.report("/v1/status"))
          const job = jobs.find(({ name }) => name === "count-changes") ?? assert.fail("there is no such job")
          return job.progress === "4 changes of objects in 1 bucket"
        }
        await until("the changes are counted", isCounted, LOOK_MS)
        const { changes } = STATUS.parse(await server.report("/v1/status"))
        assert.deepEqual(changes, { buckets: 1, changes: 4 })
        assert.match((await hayloft(["status"])).stdout, /^changes +4 in 1 bucket$/m)
        assert.equal((await hayloft(["bucket", "settings", "delete", "counted", "changes"])).code, 0)
        assert.notEqual((await hayloft(["changes", "show", "counted"])).code, 0)
      } finally {
        await server.kill()
      }
    }),
)
