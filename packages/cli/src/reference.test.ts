import { test } from "node:test"
import assert from "node:assert/strict"
import type { Command } from "commander"
import { SETTINGS, SETTING_NAMES } from "@hayloft/node/config/index.js"
import { buildProgram, run } from "./program.js"
import { commandLineTables } from "./reference.js"
import { settingsOf } from "./serve-command.js"
import { testIo } from "./testing-io.js"

const ioOf = (environment: Record<string, string> = {}) => testIo({ environment })

const never = new AbortController().signal

test("the reference has every command, every setting and every exit code", () => {
  const tables = commandLineTables(buildProgram(ioOf().io, never))
  for (const command of ["serve", "cp", "bucket stat", "key import", "volume inspect", "device add", "scrub start"]) {
    assert.ok(tables.commands.includes(`### hayloft ${command}\n`), command)
  }
  for (const name of SETTING_NAMES) assert.ok(tables.settings.includes(`\`${SETTINGS[name].environment}\``), name)
  assert.match(tables.exitCodes, /\| `130` \| interrupted \|/)
  assert.match(tables.clientVariables, /`HAYLOFT_ADMIN_TOKEN`/)
})

test("every flag sets the setting of its name", () => {
  const serve = buildProgram(ioOf().io, never).commands.find(command => command.name() === "serve")
  const args = SETTING_NAMES.flatMap(name =>
    SETTINGS[name].flag === undefined ? [] : [SETTINGS[name].flag, `of-${name}`],
  )
  serve?.parseOptions(args)
  const given = settingsOf(serve?.opts() ?? {})
  for (const name of SETTING_NAMES) {
    assert.deepEqual(given[name], SETTINGS[name].flag === undefined ? undefined : [`of-${name}`], name)
  }
})

/** Commands that print nothing for people, or only for a shell. */
const WITHOUT_JSON: Readonly<Record<string, string>> = {
  "hayloft serve": "prints a log, as JSON with --log-format json",
  "hayloft completion": "prints a script",
}

function* leaves(command: Command, path: string): Generator<readonly [string, Command]> {
  if (command.commands.length === 0) yield [path, command]
  for (const inner of command.commands) yield* leaves(inner, `${path} ${inner.name()}`)
}

test("every command has --json", () => {
  const without = [...leaves(buildProgram(ioOf().io, never), "hayloft")]
    .filter(([, command]) => command.options.every(({ long }) => long !== "--json"))
    .map(([path]) => path)
  assert.deepEqual(without.toSorted(), Object.keys(WITHOUT_JSON).toSorted())
})

const USAGE_ERRORS: readonly (readonly [args: string[], pattern: RegExp])[] = [
  [["frobnicate"], /unknown command 'frobnicate'; see hayloft --help/],
  [["settings", "set", "photos", "policy"], /unknown command 'settings'.*; see hayloft --help/],
  [["serve", "--lisen", "x"], /unknown option '--lisen' \(Did you mean --listen\?\); see hayloft serve --help/],
  [["serve", "extra"], /too many arguments/],
  [["serve", "--listen"], /argument missing/],
  [["serve", "--listen", "nowhere"], /--listen: "nowhere" is not HOST:PORT/],
  [["serve", "--config", "/no/such.json"], /cannot read the config file \/no\/such\.json \(ENOENT\)/],
  [["cp", "a"], /missing required argument 'TO'; see hayloft cp --help/],
  [["cp", "a", "b"], /one side must be s3:/],
  [["rm", "s3://"], /not s3:\/\/bucket\/key/],
  [["bucket", "lst"], /unknown command 'lst' \(Did you mean list\?\)/],
]
for (const [args, pattern] of USAGE_ERRORS) {
  test(`${args.join(" ")}: exit code 2, one line, nothing on standard output`, async () => {
    const { io, written } = ioOf()
    assert.equal(await run(args, io, never), 2, written.error)
    assert.match(written.error, pattern)
    assert.match(written.error, /^hayloft: [^\n]+\n$/)
    assert.equal(written.out, "")
  })
}

test("an endpoint without keys, and an admin address without a token, are refused", async () => {
  for (const environment of [{ AWS_ENDPOINT_URL: "http://127.0.0.1:1" }, { HAYLOFT_ADMIN_TOKEN: "t" }]) {
    const { io, written } = ioOf(environment)
    const args = "AWS_ENDPOINT_URL" in environment ? ["ls"] : ["status"]
    assert.equal(await run(args, io, never), 2)
    assert.match(written.error, /set (all three or none|both or neither)/)
  }
})

test("connection refused: exit code 5, and a JSON error with --json", async () => {
  const keys = { AWS_ENDPOINT_URL: "http://127.0.0.1:9", AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "secret" }
  const { io, written } = ioOf(keys)
  assert.equal(await run(["ls", "--json"], io, never), 5)
  const value: unknown = JSON.parse(written.error)
  assert.deepEqual(value, {
    error: {
      code: "unreachable",
      message: "cannot reach http://127.0.0.1:9 (connection refused; is the store running?)",
    },
  })
})

test("--help of every command prints to standard output with exit code 0", async () => {
  for (const args of [["--help"], ["serve", "--help"], ["key", "--help"], ["key", "import", "--help"], ["cp", "-h"]]) {
    const { io, written } = ioOf()
    assert.equal(await run(args, io, never), 0)
    assert.match(written.out, /^Usage: hayloft/)
    assert.equal(written.error, "")
  }
})

test("help and version in their usual forms", async () => {
  const { io, written } = ioOf()
  assert.equal(await run(["help", "cp"], io, never), 0)
  assert.match(written.out, /^Usage: hayloft cp /)
  written.out = ""
  assert.equal(await run(["--version"], io, never), 0)
  assert.match(written.out, /^hayloft \d+\.\d+\.\d+ \(Node [\d.]+\)\n$/)
  assert.equal(written.error, "")
})

test("version in both forms", async () => {
  const { io, written } = ioOf()
  assert.equal(await run(["version"], io, never), 0)
  assert.equal(await run(["version", "--json"], io, never), 0)
  assert.match(written.out, /^hayloft \d+\.\d+\.\d+ \(Node [\d.]+\)\n\{"hayloft":"\d/)
})
