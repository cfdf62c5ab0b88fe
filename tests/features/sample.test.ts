/**
 * The sample of docs/how-to/add-a-feature.md in a real store: a copy of the product in which one line registers it counts the
 * changes of objects, and nothing else of the product knows it.
 */
import assert from "node:assert/strict"
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { z } from "zod"
import { SAMPLE } from "@hayloft/features/sample/index.js"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ROOT, ServerProcess } from "../harness/server.js"

const STATUS = z.object({ changes: z.unknown() })
const REGISTRY = "dist/packages/features/src/store-services.js"
const LINKED = ["node_modules", "docs", "dist/web", "package.json", "CHANGELOG.md", "NOTICE"]

/** Makes a copy of the product with the sample among its features. */
function productWithSample(root: string): string {
  mkdirSync(join(root, "dist"), { recursive: true })
  for (const each of ["bin", "dist/packages"]) cpSync(join(ROOT, each), join(root, each), { recursive: true })
  for (const each of LINKED) symlinkSync(join(ROOT, each), join(root, each))
  const text = readFileSync(join(root, REGISTRY), "utf8")
  const list = "const FEATURES = ["
  assert.ok(text.includes(list), "the list of features")
  const registered = `import { SAMPLE } from "./${SAMPLE.name}/index.js";\n${text.replace(list, `${list}\n    SAMPLE,`)}`
  rmSync(join(root, REGISTRY))
  writeFileSync(join(root, REGISTRY), registered)
  return `${root}/`
}

test(
  "a feature that one line registers has its setting, row, job, operation, command and status",
  { timeout: 300_000 },
  () =>
    withFolder(async folder => {
      const root = productWithSample(join(folder, "product"))
      const server = await ServerProcess.start({ folders: dataFolders(folder, 1), root })
      try {
        const client = server.client()
        const put = async (bucket: string, key: string) =>
          assert.equal((await client.call("PUT", { bucket, key, body: Buffer.from(key) })).status, 200)
        for (const bucket of ["counted", "other"]) assert.equal((await client.call("PUT", { bucket })).status, 200)
        await put("counted", "before")
        assert.equal((await server.hayloft(["bucket", "settings", "set", "counted", "changes", "{}"])).code, 0)
        for (const key of ["a", "b"]) await put("counted", key)
        await put("other", "c")
        assert.equal((await client.call("DELETE", { bucket: "counted", key: "a" })).status, 204)
        assert.equal((await server.hayloft(["changes", "show", "counted"])).stdout, "3 changes\n")
        const refused = await server.hayloft(["changes", "show", "other"])
        assert.notEqual(refused.code, 0)
        assert.match(refused.stderr, /the bucket does not count its changes/)
        await server.kill()
        await server.launch()
        await put("counted", "after")
        assert.deepEqual(await server.report("/v1/buckets/counted/changes"), { changes: 4 })
        let progress = ""
        while (progress !== "4 changes of objects in 1 bucket") {
          const { jobs } = STORE_SCHEMAS.STATUS.parse(await server.report("/v1/status"))
          progress = jobs.find(({ name }) => name === "count-changes")?.progress ?? "there is no such job"
        }
        const { changes } = STATUS.parse(await server.report("/v1/status"))
        assert.deepEqual(changes, { buckets: 1, changes: 4 })
        assert.match((await server.hayloft(["status"])).stdout, /^changes +4 in 1 bucket$/m)
        assert.equal((await server.hayloft(["bucket", "settings", "delete", "counted", "changes"])).code, 0)
        assert.notEqual((await server.hayloft(["changes", "show", "counted"])).code, 0)
      } finally {
        await server.kill()
      }
    }),
)
