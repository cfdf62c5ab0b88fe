/** A wrong scenario fails with its line and a readable message, and only outputs are rewritten. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { BadScenario, type Call } from "./call.js"
import { runScenario } from "./run-scenario.js"
import { difference, parseScenario, textOf } from "./scenario-file.js"

const SUBJECTS = {
  begin: () => ({
    commands: {
      begin: () => [],
      say: (call: Call) => [...call.rest(), ...call.input],
      sum: (call: Call) => [String(call.number("a") + call.number("b", 1))],
      refuse: () => {
        throw fail("conflict")
      },
      break: () => {
        throw new Error("a bug")
      },
    },
  }),
}

const TEXT = `# It prints its words.
begin
----
(nothing)

say one two
three
----
one
two
three


# Between.
refuse
----
refused: conflict

# At the end.
`

const run = (text: string) => runScenario("some.txt", text, SUBJECTS)

test("a correct scenario runs without a difference, and its text stays unchanged", async () => {
  assert.equal(textOf(parseScenario(TEXT)), TEXT)
  assert.deepEqual(await run(TEXT), { text: TEXT, differences: [] })
})

test("an output that differs is shown with its place and rewritten; everything else stays", async () => {
  const wrong = TEXT.replace("one\ntwo\nthree\n\n", "one\n2\nthree\nfour\n\n")
  const { text, differences } = await run(wrong)
  assert.equal(text, TEXT)
  assert.deepEqual(differences, [
    ["some.txt:6: say one two", "    one", "  - 2", "  + two", "    three", "  - four"].join("\n"),
  ])
})

const BAD: readonly (readonly [what: string, block: string, message: RegExp])[] = [
  ["an unknown command", "shout\n----", /some\.txt:5: "shout" is none of: begin, say, sum/],
  ["an unknown option", "sum a=1 c=2\n----", /some\.txt:5: .* does not know: c/],
  ["a missing option", "sum b=2\n----", /some\.txt:5: .* needs a=/],
  ["no number", "sum a=x\n----", /some\.txt:5: .* is not a number/],
  ["no separator", "say one\nhello", /some\.txt: line 5: "say one" has no ----/],
  ["a bug", "break\n----", /some\.txt:5: a bug/],
]

for (const [what, block, message] of BAD) {
  test(`a scenario with ${what} fails at its line`, async () => {
    const text = `# What.\nbegin\n----\n\n${block}\n`
    await assert.rejects(run(text), error => error instanceof BadScenario && message.test(error.message))
  })
}

test("a scenario begins with a comment and with a command that names its subject", async () => {
  await assert.rejects(run("begin\n----\n"), /begins with a comment/)
  await assert.rejects(run("# What.\nsay\n----\n"), /opens with say, not with begin/)
  await assert.rejects(run("# What.\n"), /no command/)
})

test("common lines are indented, the others are marked", () => {
  assert.deepEqual(difference(["a", "b", "c"], ["b", "x", "c", "d"]), ["- a", "  b", "+ x", "  c", "+ d"])
  assert.deepEqual(difference([], ["a"]), ["+ a"])
})
