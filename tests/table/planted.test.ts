/**
 * Shows that the checks of tables find bugs: each planted bug (see `plants.ts`) is built into a copy of the
 * program, and its check must fail there.
 */
import assert from "node:assert/strict"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, before, test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"
import ts from "typescript"
import { TABLE_PLANTS, type TablePlant } from "./plants.js"

const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))
const FOLDERS = ["src/base", "src/format", "src/life", "src/seams", "src/simd", "src/table", "tests/table"]

type Checks = Readonly<Record<TablePlant["caughtBy"], (program: string) => Promise<unknown>>>

const load = async <T>(program: string, file: string): Promise<T> =>
  (await import(pathToFileURL(join(program, "dist/tests/table", file)).href)) as T

const CHECKS: Checks = {
  model: async program => {
    const { checkModel } = await load<typeof import("./model.js")>(program, "model.js")
    for (const seed of [1, 2, 3]) await checkModel(seed)
  },
  crashes: async program => {
    const { checkCrashes } = await load<typeof import("./crash.js")>(program, "crash.js")
    await checkCrashes(1, { subsetsMax: 3 })
  },
  salvage: async program => (await load<typeof import("./crash.js")>(program, "crash.js")).checkSalvageCrashes(2),
  rot: async program => (await load<typeof import("./rot.js")>(program, "rot.js")).checkRot(1),
  "older manifest": async program => (await load<typeof import("./rot.js")>(program, "rot.js")).checkOlderManifest(3),
  "exchanged blocks": async program =>
    (await load<typeof import("./rot.js")>(program, "rot.js")).checkExchangedBlocks(),
  failures: async program => {
    const { checkFailures, preparedCommit } = await load<typeof import("./full.js")>(program, "full.js")
    await checkFailures(await preparedCommit(3), false)
  },
}

let folder = ""
before(() => void (folder = mkdtempSync(join(tmpdir(), "hayloft-tables-"))))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Copies the build and plants the bug. Each copy has its own folder, since modules are loaded once. */
function copyWith({ edits }: TablePlant, name: string): string {
  const program = join(folder, name)
  const filter = (path: string): boolean => !/\.(map|tmp)$|\.test\.js$/.test(path)
  for (const part of FOLDERS) cpSync(join(ROOT, "dist", part), join(program, "dist", part), { recursive: true, filter })
  symlinkSync(join(ROOT, "node_modules"), join(program, "node_modules"))
  writeFileSync(join(program, "package.json"), JSON.stringify({ type: "module" }))
  const sources = new Map<string, string>()
  for (const { file, find, put } of edits) {
    const source = sources.get(file) ?? readFileSync(join(ROOT, file), "utf8")
    assert.equal(source.split(find).length, 2, `${file} has changed: "${find}" does not occur exactly once`)
    sources.set(
      file,
      source.replace(find, () => put),
    )
  }
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  for (const [file, source] of sources) {
    const { outputText } = ts.transpileModule(source, { compilerOptions, fileName: file })
    writeFileSync(join(program, "dist", file.replace(/\.ts$/, ".js")), outputText)
  }
  return program
}

for (const [i, plant] of TABLE_PLANTS.entries()) {
  test(`caught by ${plant.caughtBy}: ${plant.bug}`, async t => {
    const program = copyWith(plant, String(i))
    const error = await CHECKS[plant.caughtBy](program).then(
      () => undefined,
      (thrown: unknown) => (thrown instanceof Error ? thrown : new Error("something else was thrown")),
    )
    assert.ok(error !== undefined, "no check finds the bug")
    t.diagnostic(error.message.split("\n")[0] ?? "")
    // Failures and assertions are findings; any other error is a bug of the check.
    assert.ok(["AssertionError", "Failure"].includes(error.name), `the check broke: ${error.stack}`)
  })
}
