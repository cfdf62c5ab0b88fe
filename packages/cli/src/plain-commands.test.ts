/** Tests of the commands that operations define: each is where people and programs look for it, and sends its operation. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  CommandProblem,
  openApiText,
  OPERATIONS,
  requestOf,
  type OperatorCommand,
  type AdminOperation,
  type Values,
} from "@hayloft/admin/index.js"
import { typedAs, typedTexts } from "./command-inputs.js"
import { allCommands, completedCommand } from "./completion/completion.js"
import { buildProgram } from "./program.js"
import { commandLineTables } from "./reference.js"
import { operatorOf } from "./testing-admin.js"
import { testIo } from "./testing-io.js"

/** The admin API answers everything with this. */
let page = {}
const hayloft = operatorOf(() => ({
  handle: async () => ({ operation: "", status: 200, headers: {}, body: Buffer.from(JSON.stringify(page)) }),
}))

const program = buildProgram(testIo().io, new AbortController().signal)

const PLAIN: readonly (readonly [AdminOperation, OperatorCommand])[] = OPERATIONS.flatMap(operation =>
  (operation.commands ?? []).map(command => [operation, command] as const),
)

/** One section for each command. */
const SECTIONS = new Map(
  commandLineTables(program)
    .commands.split(/^### hayloft /m)
    .map(section => [section.slice(0, section.indexOf("\n")), section] as const),
)
const COMPLETED = new Map([...allCommands(completedCommand(program))].map(each => [each.path.join(" "), each] as const))

test("each command of an operation is on the command line, with all of its arguments and options", () => {
  assert.ok(PLAIN.length > 60, "operations define commands")
  for (const [operation, { name, help, inputs }] of PLAIN) {
    const found = COMPLETED.get(name)
    assert.equal(found?.description, help, name)
    const known = [
      ...(found?.arguments ?? []).map(each => each.placeholder),
      ...(found?.options ?? []).flatMap(each => each.names),
    ]
    for (const [member, input] of Object.entries(inputs)) {
      const typed = typedAs(operation, member, input)
      const word = "long" in typed ? typed.long : typed.name()
      assert.ok(word !== undefined && word !== null && known.includes(word), `${name}: ${input.flags}`)
    }
  }
})

test("each is in the reference with the descriptions of its options, and its operation is in the OpenAPI document", () => {
  const document = openApiText()
  for (const [operation, { name, inputs }] of PLAIN) {
    const section = SECTIONS.get(name) ?? ""
    for (const [member, input] of Object.entries(inputs)) {
      if (!input.flags.startsWith("--")) continue
      const { description } = typedAs(operation, member, input)
      assert.ok(
        section.includes(`\`${input.flags.replaceAll("|", "\\|")}\` | ${description}`),
        `${name}: ${input.flags}`,
      )
    }
    assert.ok(section !== "" && document.includes(`"operationId": "${operation.id}"`), name)
  }
})

/** A command sends this in addition to what is typed if nothing is typed but what has to be. */
function sentIn({ inputs, sends }: OperatorCommand): Values {
  const given = (name: string): string => {
    const { flags = "", isRequired = false } = inputs[name] ?? {}
    return flags.startsWith("<") || isRequired ? "a/b" : ""
  }
  try {
    return sends(given, {})
  } catch (error) {
    assert.ok(error instanceof CommandProblem, "a command only refuses what was typed")
    return {}
  }
}

test("each names every part of its operation's path, and no two have one name", () => {
  for (const [operation, command] of PLAIN) {
    const { name, inputs } = command
    const typed = Object.fromEntries(Object.keys(inputs).map(member => [member, "a/b"]))
    const { path, method } = requestOf(operation, { ...typed, ...sentIn(command) })
    assert.equal(method, operation.method)
    assert.match(path, /^\/v1\/[^{}]+$/, name)
    assert.equal(path.split("/").length, operation.path.split("/").length, name)
  }
  assert.equal(new Set(PLAIN.map(([, { name }]) => name)).size, PLAIN.length)
})

test("a command of an operation with a plan can show it without a change, and asks before one", () => {
  for (const [{ mayPlan = false }, { name }] of PLAIN) {
    const words = COMPLETED.get(name)?.options.flatMap(each => each.names) ?? []
    for (const word of ["--dry-run", "--yes", "--confirm"])
      assert.equal(words.includes(word), mayPlan, `${name} ${word}`)
  }
})

test("an empty text, as of an unset variable of a shell, is refused before anything is sent", async () => {
  let refused = 0
  for (const [operation, command] of PLAIN)
    for (const [member, input] of Object.entries(command.inputs)) {
      const typed = typedAs(operation, member, input)
      if ("long" in typed && typed.isBoolean()) continue
      const isEmptyMeant = /PREFIX|TEXT|ADDRESS/.test(input.flags)
      const inputs = { [member]: input }
      const type = (text: string) =>
        "long" in typed
          ? typedTexts({ inputs }, [], { [typed.attributeName()]: input.readsAll === undefined ? text : [text] })
          : typedTexts({ inputs }, [text], {})
      assert.ok(type("x").has(member), `${command.name} ${input.flags}`)
      if (isEmptyMeant) assert.ok(type("").has(member), `${command.name} ${input.flags}`)
      else assert.throws(() => type(""), /is empty: give it a value/, `${command.name} ${input.flags}`)
      refused += Number(!isEmptyMeant)
    }
  assert.ok(refused > 100)
  for (const args of [
    ["policy", "delete", "ours", "--user", ""],
    ["account", "limit", "1", "--requests", ""],
    ["user", "create", "me", "--policy", ""],
  ]) {
    const { code, error } = await hayloft(args)
    assert.deepEqual([code, /^hayloft: --\S+ is empty: give it a value, or leave it out/.test(error)], [2, true], error)
  }
})

test("a page without its list is a broken answer, not an empty list", async () => {
  page = {}
  const broken = await hayloft(["queue", "list"])
  assert.notEqual(broken.code, 0, broken.out)
  assert.match(broken.error, /unexpected response/)
  page = { queues: [] }
  assert.equal((await hayloft(["queue", "list"])).code, 0)
})
