import { test } from "node:test"
import assert from "node:assert/strict"
import { GIB, MIB } from "../src/base/limits.js"
import { parseOptions, SCENARIOS, type BenchOptions } from "./options.js"

function options(...args: string[]): BenchOptions {
  const parsed = parseOptions(args)
  assert.ok(parsed !== "help")
  return parsed
}

const names = ({ themes }: BenchOptions): string[] => [...new Set(themes.map(({ name }) => name))]

test("minutes by default, everything with --full, and each figure of the scale can be given", () => {
  const plain = options()
  assert.equal(plain.scale.largeBytes, 256 * MIB)
  assert.deepEqual(
    names(plain),
    SCENARIOS.filter(name => name !== "devices"),
  )
  const full = options("--full")
  assert.deepEqual([full.scale.largeBytes, full.scale.rounds, names(full)], [GIB, 5, SCENARIOS])
  const own = options(
    "--quick",
    "--rounds",
    "2",
    "--large",
    "128MiB",
    "--scenario",
    "devices,small",
    "--json",
    "x.json",
  )
  assert.deepEqual([own.scale.rounds, own.scale.largeBytes, own.out, own.json], [2, 128 * MIB, "x.json", true])
  assert.deepEqual(names(own).sort(), ["devices", "small"])
  assert.deepEqual(
    [options("--rows", "GET").isWanted("GET 4 KiB"), options("--rows", "GET").isWanted("PUT")],
    [true, false],
  )
  assert.equal(parseOptions(["-h"]), "help")
})

test("what is not understood is refused", () => {
  for (const bad of [
    ["--scenario", "everything"],
    ["--rounds", "0"],
    ["--seconds", "x"],
    ["--large", "big"],
    ["--large", "1MiB"],
    ["--devices-on", "3"],
    ["--full", "--quick"],
    ["--what"],
    ["a.json", "b.json"],
  ]) {
    assert.throws(() => parseOptions(bad), Error, bad.join(" "))
  }
})
