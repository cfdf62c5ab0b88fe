/** Pages whose blocks are run in their order, in one shell: the hard way of installing, over a real PostgreSQL, and drills. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { findProgram, run } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { noPostgres, withPostgres } from "../harness/postgres.js"
import { ROOT } from "../harness/server.js"

const SCRIPT_SECONDS_MAX = 240
/** Ends the page's servers with its shell: they are in one process group. */
const LIMIT = ["--kill-after=10", String(SCRIPT_SECONDS_MAX)]
/** Variables that would direct a command to another store. */
const PLAIN = Object.fromEntries(
  Object.keys(process.env)
    .filter(name => /^(HAYLOFT|AWS)_|^NODE_TEST/.test(name))
    .map(name => [name, undefined]),
)

interface Markdown {
  fencedBlocks(text: string): { info: string; text: string }[]
}

const { fencedBlocks } = (await import(pathToFileURL(join(ROOT, "tools/docs/markdown.mjs")).href)) as Markdown

const missing =
  noPostgres ||
  (["curl", "openssl", "timeout"].some(name => findProgram(name) === undefined) && "no curl, openssl or timeout")

/** The blocks that are run, with ports that are free in place of those of the page. */
async function scriptOf(page: string): Promise<string> {
  const blocks = fencedBlocks(page).filter(({ info }) => info === "sh run")
  assert.ok(blocks.length > 7, `${blocks.length} blocks`)
  let script = blocks.map(({ text }) => text).join("\n")
  for (const port of new Set(script.match(/\b90[1-4][0-2]\b/g))) {
    script = script.replaceAll(new RegExp(`\\b${port}\\b`, "g"), String(await freePort()))
  }
  // However the script ends, the processes of the page end with it.
  const end = `trap 'kill -KILL $(jobs -p) 2>/dev/null || true; tail -n 5 "$LAB"/*.log >&2 || true' EXIT`
  return `set -euo pipefail\n${end}\n${script}\n`
}

/** Runs the page over a folder, and returns what it has printed. */
async function runPage(name: string, folder: string, variables: Readonly<Record<string, string>>): Promise<string> {
  const script = await scriptOf(readFileSync(join(ROOT, "docs", name), "utf8"))
  const env = { ...PLAIN, LAB: folder, HOME: folder, ...variables }
  const { code, stdout, stderr } = await run("timeout", [...LIMIT, "bash", "-c", script], {
    cwd: ROOT,
    env,
    timeoutMs: (SCRIPT_SECONDS_MAX + 30) * 1_000,
  })
  assert.equal(code, 0, `${stdout}\n${stderr}`)
  return stdout
}

test("the hard way gives one node, then three that lose one", { skip: noPostgres || missing }, () =>
  withPostgres(postgres =>
    withFolder(async folder => {
      const printed = await runPage("guide/install-the-hard-way.md", folder, { DATABASE: postgres.url })
      assert.match(printed, /shown only once/)
      assert.match(printed, /ec:4\+2 in 6 folders/)
    }, quietParent()),
  ),
)

test("the drills end as their page says", { skip: missing }, () =>
  withFolder(async folder => {
    const printed = await runPage("guide/lose-data-safely.md", folder, {})
    assert.match(printed, /1 shard rebuilt/)
    assert.match(printed, /volume_damaged/)
  }, quietParent()),
)
