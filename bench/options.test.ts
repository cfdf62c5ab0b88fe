import { test } from "node:test"
import assert from "node:assert/strict"
import { GIB, MIB } from "@hayloft/base/limits.js"
import { ON_REQUEST, parseOptions, SCENARIOS, type BenchOptions } from "./options.js"

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
    SCENARIOS.filter(name => !ON_REQUEST.includes(name)),
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

test("words of --rows are separated by |", () => {
  const { isWanted } = options("--rows", "chunks|HEAD")
  assert.deepEqual(["PUT in signed chunks", "HEAD", "GET"].map(isWanted), [true, true, false])
})

test("beside another checkout only forms are measured, in more and shorter rounds", () => {
  const beside = options("--beside", "/elsewhere")
  assert.deepEqual(names(beside), ["forms"])
  assert.ok(beside.scale.rounds > options().scale.rounds && beside.scale.seconds < options().scale.seconds)
  assert.equal(options("--beside", "/elsewhere", "--rounds", "2").scale.rounds, 2)
  assert.throws(() => parseOptions(["--beside", "/elsewhere", "--scenario", "forms,small"]), /--scenario forms only/)
})

test("unknown options and values are refused", () => {
  for (const bad of [
    ["--scenario", "everything"],
    ["--rounds", "0"],
    ["--seconds", "x"],
    ["--large", "big"],
    ["--large", "1MiB"],
    ["--devices-on", "3"],
    ["--forms-on", "2"],
    ["--full", "--quick"],
    ["--what"],
    ["a.json", "b.json"],
  ]) {
    assert.throws(() => parseOptions(bad), Error, bad.join(" "))
  }
})
