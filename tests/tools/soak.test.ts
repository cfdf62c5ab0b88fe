/** `npm run soak`: every kind has its turn, a run is one line, and a failure says what repeats it. */
import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { run } from "../harness/commands.js"
import { ROOT } from "../harness/server.js"

interface Kind {
  readonly name: string
  readonly weight: number
  args(seed: number): readonly string[]
  repeat(seed: number): string
}
interface Line {
  readonly isWell: boolean
  readonly kind: string
  readonly seed: number
  readonly seconds: number
  readonly commit: string
  readonly repeat: string
}
const core = (await import(pathToFileURL(join(ROOT, "tools/testing/soak-core.mjs")).href)) as {
  readonly SOAK_KINDS: readonly Kind[]
  nextKind(kinds: readonly Kind[], spentSeconds: ReadonlyMap<string, number>): Kind
  lineOf(line: Line): string
}
const { lineOf, nextKind, SOAK_KINDS } = core

test("each kind runs a program that exists, and has the share of the time that its weight gives it", () => {
  const spent = new Map<string, number>()
  for (let turn = 0; turn < 20_000; turn += 1) {
    const { name } = nextKind(SOAK_KINDS, spent)
    spent.set(name, (spent.get(name) ?? 0) + 10)
  }
  const weights = SOAK_KINDS.reduce((sum, { weight }) => sum + weight, 0)
  for (const { name, weight, args } of SOAK_KINDS) {
    const share = (spent.get(name) ?? 0) / 200_000
    assert.ok(Math.abs(share - weight / weights) < 0.01, `${name}: ${share}`)
    const program = args(1).find(arg => /\.m?js$/.test(arg)) ?? ""
    assert.ok(existsSync(join(ROOT, program)), `${name}: ${program}`)
  }
})

test("a run is a line with what repeats it", () => {
  const line = { isWell: false, kind: "twins", seed: 7, seconds: 1.4, commit: "abc", repeat: "npm run x -- --seed 7" }
  assert.equal(lineOf(line), "failed  abc  twins  seed 7  1 s  npm run x -- --seed 7")
})

test("a soak of a second runs from the seed that it is given, and ends", async () => {
  const args = ["--seconds", "1", "--seed", "11", "--kind", "limits", "--at-once", "1"]
  const { code, stdout } = await run(process.execPath, [join(ROOT, "tools/soak.mjs"), ...args])
  assert.equal(code, 0, stdout)
  assert.match(stdout, /^ok {6}[0-9a-f]{12} {2}limits {2}seed 11 {2}\d+ s {2}npm run sim -- --kind limits --seed 11$/m)
  assert.match(stdout, /^\d+ runs, 0 failed$/m)
  for (const wrong of [
    [],
    ["--seconds", "1", "--kind", "none"],
    ["--hours", "x"],
    ["--seconds", "1", "--at-once", "0"],
  ])
    assert.equal((await run(process.execPath, [join(ROOT, "tools/soak.mjs"), ...wrong])).code, 2)
})
