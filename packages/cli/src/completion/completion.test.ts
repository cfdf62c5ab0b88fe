/** The completion scripts, in the shells that they are for. zsh and fish are used where they are installed. */
import { after, before, test, type TestContext } from "node:test"
import assert from "node:assert/strict"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Command } from "commander"
import { SETTINGS } from "@hayloft/node/config/index.js"
import { valuesOf } from "./completion.js"
import { buildProgram, run } from "../program.js"
import { runProcess } from "../testing-process.js"
import { shellWord } from "../text.js"
import { testIo } from "../testing-io.js"

const never = new AbortController().signal
let folder = ""

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-completion-"))
  await mkdir(join(folder, "disk one"))
  await writeFile(join(folder, "policy file.json"), "{}")
  for (const shell of ["bash", "zsh", "fish"]) await writeFile(join(folder, `hayloft.${shell}`), await scriptOf(shell))
})
after(() => rm(folder, { recursive: true, force: true }))

async function scriptOf(shell: string): Promise<string> {
  const { io, written } = testIo()
  assert.equal(await run(["completion", shell], io, never), 0, written.error)
  return written.out
}

/** Calls the function of the script as bash does, with the words that it makes of each line. Returns what it offers. */
async function offeredByBash(lines: readonly (readonly string[])[]): Promise<readonly (readonly string[])[]> {
  const script = [
    "source ./hayloft.bash",
    `press() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hayloft; local IFS=$'\\t'; echo "\${COMPREPLY[*]}"; }`,
    ...lines.map(words => `press hayloft ${words.map(shellWord).join(" ")}`),
  ]
  const done = await runProcess("bash", ["--norc", "--noprofile", "-c", script.join("\n")], { workingFolder: folder })
  assert.equal(done.error, "")
  const answers = done.out.toString("utf8").trimEnd().split("\n")
  return lines.map((_, at) => (answers[at] ?? "").split("\t").filter(word => word !== ""))
}

function* all(command: Command, path: readonly string[] = []): Generator<readonly [readonly string[], Command]> {
  yield [path, command]
  for (const inner of command.commands) yield* all(inner, [...path, inner.name()])
}

test("bash is offered every command, and every option of each", async () => {
  const commands = [...all(buildProgram(testIo().io, never))]
  const groups = commands.filter(([, command]) => command.commands.length > 0)
  const found = await offeredByBash(groups.map(([path]) => [...path, ""]))
  groups.forEach(([path, command], at) => {
    const names = command.commands.map(inner => inner.name())
    assert.deepEqual(found[at], path.length === 0 ? [...names, "help"] : names, path.join(" "))
  })
  const options = await offeredByBash(commands.map(([path]) => [...path, "--"]))
  commands.forEach(([path, command], at) => {
    const names = command.options.flatMap(({ long, hidden }) => (hidden ? [] : (long ?? [])))
    assert.deepEqual(options[at]?.toSorted(), [...names, "--help"].toSorted(), path.join(" "))
  })
})

/** Words as bash separates them, and what is offered. */
const PRESSED: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
  [["devi"], ["device"]],
  [
    ["device", "re"],
    ["remove", "replace"],
  ],
  [["nonsense", ""], []],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [["status", ""], []],
  [
    ["serve", "--allow-acls", ""],
    ["yes", "no"],
  ],
  [["serve", "--allow-acls", "--log-l"], ["--log-level"]],
  [["serve", "--log-level", "w"], ["warn"]],
  [["serve", "--log-level", "=", "w"], ["warn"]],
  [
    ["serve", "--log-level", "="],
    ["debug", "info", "warn", "error"],
  ],
  [
    ["serve", "--redundancy", "replica", ":"],
    ["2", "3"],
  ],
  [["redundancy", "set", "ec", ":", "4"], ["4+2"]],
  [["redundancy", "set", "--json", "auto"], ["automatic"]],
  [
    ["class", "set", "GLA"],
    ["GLACIER", "GLACIER_IR"],
  ],
  [
    ["class", "set", "GLACIER", "rep"],
    ["replica:2", "replica:3"],
  ],
  [["class", "set", "GLACIER", "replica", ":", "2", ""], []],
  [["device", "add", ""], ["disk one"]],
  [["device", "add", "--node", "n1", ""], ["disk one"]],
  [["device", "add", "--node", ""], []],
  [["device", "add", "folder", ""], []],
  [["device", "list", "--data", "=", "di"], ["disk one"]],
  [["rescue", "--from", "a", "b", "di"], ["disk one"]],
  [["rescue", "--from", "a", "b", "--dry"], ["--dry-run"]],
  [["key", "create", "--policy", "po"], ["policy file.json"]],
  [["cp", "s3"], ["s3://"]],
  [["explain", "SlowD"], ["SlowDown"]],
  [
    ["presign", "--method", ""],
    ["GET", "PUT"],
  ],
  [["cp", "po"], ["policy file.json"]],
  [["cp", "s3", ":", "//first/key", "di"], ["disk one"]],
  [["rm", ""], ["s3://"]],
]

test("bash is offered the values of options and arguments where they belong", async () => {
  const found = await offeredByBash(PRESSED.map(([words]) => words))
  PRESSED.forEach(([words, offered], at) => assert.deepEqual(found[at], offered, words.join(" ")))
})

test("the Tab key of an interactive bash completes commands, values with : and =, and names with spaces", async () => {
  const lines = [
    "source ./hayloft.bash",
    'hayloft() { printf "<%s>" "$@"; echo; }',
    "hayloft device a\tdi\t",
    "hayloft serve --log-level=w\t--redundancy ec:4\t",
    "hayloft key create --policy po\t",
    "hayloft cp s3\tbucket",
  ]
  const done = await runProcess("bash", ["--norc", "--noprofile", "-i"], {
    workingFolder: folder,
    input: Buffer.from(lines.map(line => `${line}\n`).join("")),
    environment: { TERM: "dumb", INPUTRC: "/dev/null" },
  })
  const out = done.out.toString("utf8")
  for (const typed of [
    "<device><add><disk one/>",
    "<serve><--log-level=warn><--redundancy><ec:4+2>",
    "<key><create><--policy><policy file.json>",
    "<cp><s3://bucket>",
  ]) {
    assert.ok(out.split("\n").includes(typed), `${typed} is not in\n${out}`)
  }
})

async function unlessAbsent(context: TestContext, shell: string, use: () => Promise<void>): Promise<void> {
  const isThere = await runProcess(shell, ["--version"]).then(
    () => true,
    () => false,
  )
  if (isThere) await use()
  else context.skip(`${shell} is not installed`)
}

test("fish is offered commands, options and values with their descriptions", context =>
  unlessAbsent(context, "fish", async () => {
    const pressed = ["hayloft redund", "hayloft device a", "hayloft device add --no", "hayloft serve --log-format "]
    const script = ["source ./hayloft.fish", ...pressed.map(line => `complete -C ${shellWord(line)}`)].join("\n")
    const options = { workingFolder: folder, environment: { HOME: folder } }
    const done = await runProcess("fish", ["--no-config", "-c", script], options)
    assert.equal(done.error, "")
    const offered = done.out.toString("utf8").trimEnd().split("\n")
    assert.deepEqual(
      offered.map(line => line.split("\t")[0]),
      ["redundancy", "add", "--node", "json", "text"],
    )
    assert.match(offered[1] ?? "", /\tadd an empty folder as a device/)
  }))

/** Types lines into an interactive zsh in a pseudo-terminal, with a Tab at their ends, and prints the lines it makes. */
const ZSH = `
zmodload zsh/zpty
zpty typist 'zsh -f -i'
zpty -w typist 'PS1= ; unsetopt zle_bracketed_paste; stty -echo; autoload -Uz compinit; compinit -D -u; source ./hayloft.zsh'
zpty -w typist 'made() { print -r -- "MADE:$BUFFER"; BUFFER=; }; zle -N made; bindkey "^X" made; print READY'
zpty -r typist seen '*READY*READY*'
for line in "$@"; do
  zpty -w -n typist "$line"$'\\t\\x18'
  zpty -r typist seen '*MADE:*'$'\\n'
  print -r -- "\${\${seen##*MADE:}%%$'\\r'*}"
done
zpty -d typist
`

test("zsh completes commands, options and values when Tab is pressed", context =>
  unlessAbsent(context, "zsh", async () => {
    const pressed = [
      "hayloft redund",
      "hayloft device a",
      "hayloft redundancy set auto",
      "hayloft serve --log-level=w",
      "hayloft rescue --from a di",
      "hayloft rescue --from a b --dry",
    ]
    const options = { workingFolder: folder, environment: { HOME: folder, TERM: "dumb" } }
    const done = await runProcess("zsh", ["-f", "-c", ZSH, "zsh", ...pressed], options)
    const lines = done.out
      .toString("utf8")
      .trimEnd()
      .split("\n")
      .map(line => line.trimEnd())
    assert.deepEqual(lines, [
      "hayloft redundancy",
      "hayloft device add",
      "hayloft redundancy set automatic",
      "hayloft serve --log-level=warn",
      "hayloft rescue --from a disk\\ one/",
      "hayloft rescue --from a b --dry-run",
    ])
  }))

test("the words of a placeholder are those that the setting takes", () => {
  assert.deepEqual(valuesOf(SETTINGS.logLevel.value), ["debug", "info", "warn", "error"])
  assert.deepEqual(valuesOf("FOLDER..."), "folder")
  assert.deepEqual(valuesOf("s3://BUCKET/KEY"), "object")
  assert.deepEqual(valuesOf("NAME"), "text")
})

test("another shell is refused: exit code 2", async () => {
  const { io, written } = testIo()
  assert.equal(await run(["completion", "csh"], io, never), 2)
  assert.match(written.error, /Allowed choices are bash, zsh, fish/)
})
