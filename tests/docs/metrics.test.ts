/** docs/operate.md lists the metrics of a running server: all of them, and no others. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ROOT, withServer } from "../harness/server.js"

test("the metrics of a running server are those documented", async () => {
  const page = readFileSync(join(ROOT, "docs/operate.md"), "utf8")
  const table = page.slice(page.indexOf("<!-- metrics -->")).split("\n\n")[1] ?? ""
  const documented = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name).sort()
  await withFolder(folder =>
    withServer({ folders: dataFolders(folder, 1) }, async server => {
      const { body } = await server.admin("GET", "/metrics")
      const shown = [...body.toString("utf8").matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name).sort()
      assert.deepEqual(documented, shown)
    }),
  )
})
