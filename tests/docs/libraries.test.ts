/** Programs in the pages of libraries compile with the declared types, and print what the page says. */
import assert from "node:assert/strict"
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { runOk } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

const PAGES = ["erasure", "placement-library", "simulation", "volumes"]
const OPTIONS = ["--module", "nodenext", "--target", "es2022", "--strict", "--types", "node", "--skipLibCheck"]
const EXAMPLE = /```ts\n(?<program>[^]*?)```\n[^]*?```text\n(?<output>[^]*?)```/

function exampleOf(page: string): { readonly program: string; readonly output: string } {
  const groups = EXAMPLE.exec(readFileSync(join(ROOT, "docs/guide", `${page}.md`), "utf8"))?.groups
  return {
    program: must(groups?.["program"], `${page} has a program`),
    output: must(groups?.["output"], `${page} has an output`),
  }
}

test("programs of the pages run, with the package as it is published", () =>
  withFolder(async folder => {
    // The package as an installation has it.
    mkdirSync(join(folder, "node_modules"))
    symlinkSync(ROOT, join(folder, "node_modules", "hayloft"))
    const examples = PAGES.map(page => ({ page, ...exampleOf(page) }))
    for (const { page, program } of examples) writeFileSync(join(folder, `${page}.mts`), program)
    const files = PAGES.map(page => join(folder, `${page}.mts`))
    const types = ["--typeRoots", join(ROOT, "node_modules/@types")]
    await runOk(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), ...OPTIONS, ...types, ...files], {
      cwd: folder,
    })
    for (const { page, output } of examples)
      assert.equal(await runOk(process.execPath, [join(folder, `${page}.mjs`)], { cwd: folder }), output, page)
  }))
