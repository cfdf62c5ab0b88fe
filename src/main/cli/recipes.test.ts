/** Every runnable block of docs/ runs, as written, against a real store. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { RealClock } from "../../seams/clock/real.js"
import { StoreProcess } from "../client/store-process.js"
import { runProcess } from "./process-tools.js"
import { recipesOf } from "./recipe-blocks.js"

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url))
const DOCS = join(ROOT, "docs")
let folder = ""
let store: StoreProcess | undefined

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-recipes-"))
  store = await StoreProcess.start({ dataFolders: [join(folder, "data")] }, new RealClock())
})

after(async () => {
  await store?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** `aws`: a command; `python3:boto3`: a module of it; `a/b`: a path in the checkout. */
function isInstalled(tool: string): boolean {
  if (tool.includes("/")) return existsSync(join(ROOT, tool))
  const [command = "", module] = tool.split(":")
  if (module !== undefined) return spawnSync(command, ["-c", `import ${module}`], { stdio: "ignore" }).status === 0
  return spawnSync("sh", ["-c", `command -v "$1"`, "sh", command], { stdio: "ignore" }).status === 0
}

const toolFound = new Map<string, boolean>()
function missing(needs: readonly string[]): string | undefined {
  return needs.find(tool => {
    const found = toolFound.get(tool) ?? isInstalled(tool)
    toolFound.set(tool, found)
    return !found
  })
}

const inDocs = readdirSync(DOCS, { recursive: true, encoding: "utf8" }).map(name => join("docs", name))
const documents = [...readdirSync(ROOT), ...inDocs].filter(name => name.endsWith(".md")).sort()
const recipes = documents.flatMap(name =>
  recipesOf(readFileSync(join(ROOT, name), "utf8")).map(recipe => ({ ...recipe, document: name })),
)

test("the documents have recipes", () => {
  const names = recipes.map(recipe => recipe.name)
  for (const name of ["first-object", "aws-cli", "sdk-javascript", "rclone", "restic", "terraform", "moving-in"]) {
    assert.ok(names.includes(name), name)
  }
  assert.equal(new Set(names).size, names.length, "a name belongs to one document")
})

for (const recipe of recipes) {
  test(`${recipe.document}: ${recipe.name}`, async t => {
    const tool = missing(recipe.needs)
    if (tool !== undefined) return t.skip(`${tool} is not installed`)
    // A folder that looks like the checkout, so that nothing in the real one is written to.
    const place = join(folder, recipe.name)
    await mkdir(place)
    for (const name of ["bin", "dist", "docs", "node_modules", "package.json", "README.md"]) {
      await symlink(join(ROOT, existsSync(join(ROOT, name)) ? name : "package.json"), join(place, name))
    }
    const environment = { HAYLOFT_DATA: join(folder, "data"), HOME: place, CHECKPOINT_DISABLE: "1" }
    const script = `set -euo pipefail\n${recipe.script}`
    const { code, out, error } = await runProcess("bash", ["-c", script], { environment, workingFolder: place })
    assert.equal(code, 0, `${recipe.script}\n--- output\n${out.toString("utf8")}\n${error}`)
  })
}

test("systemd accepts the unit", async t => {
  if (missing(["systemd-analyze"])) return t.skip("systemd-analyze is not installed")
  const unit = /```ini\n(\[Unit\][\s\S]*?)```/.exec(readFileSync(join(DOCS, "install.md"), "utf8"))?.[1] ?? ""
  for (const line of ["User=", "ExecStart=", "Restart=", "TimeoutStopSec=", "WantedBy="])
    assert.ok(unit.includes(line), line)
  const path = join(folder, "hayloft.service")
  // Neither the program nor the user need exist where this is checked.
  await writeFile(path, unit.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true").replace(/^(User|Group)=.*\n/gm, ""))
  const { error } = await runProcess("systemd-analyze", ["verify", path])
  assert.equal(error, "")
})

test("blocks: names gather, indentation goes, other blocks stay out", () => {
  const text =
    "```sh test=a needs=x\none\n```\n\n1. list\n\n   ```sh test=a needs=y\n   two\n     three\n   ```\n\n```sh\nno\n```\n"
  assert.deepEqual(recipesOf(text), [{ name: "a", needs: ["x", "y"], script: "one\n\ntwo\n  three\n" }])
})
