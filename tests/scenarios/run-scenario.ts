/**
 * Runs a scenario: passes each command to its subject and compares the printed output with the expected one.
 *
 * Promises  A mistake in the scenario or a bug in the subject throws an error with its line; only differences of
 *           outputs are reported, and only these can be rewritten.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { BadScenario, Call } from "./call.js"
import { difference, parseScenario, textOf } from "./scenario-file.js"

/** Runs a command and returns the lines that it prints; a thrown failure is printed as a refusal. */
type Handler = (call: Call) => readonly string[] | Promise<readonly string[]>

/** The subject of a scenario: a protocol core, and the commands that drive it. */
export interface Subject {
  readonly commands: Readonly<Record<string, Handler>>
}

/** The subjects of a folder, by the first command of a scenario. */
export type Subjects = Readonly<Record<string, () => Subject>>

interface ScenarioOutcome {
  /** The scenario with the printed outputs. */
  readonly text: string
  /** The place and the difference of each block whose output differs. */
  readonly differences: readonly string[]
}

export async function runScenario(path: string, text: string, subjects: Subjects): Promise<ScenarioOutcome> {
  const scenario = at(path, () => parseScenario(text))
  const opening = new Call(scenario.blocks[0]?.command ?? "").name
  const make = subjects[opening]
  if (!make) throw new BadScenario(`${path}: opens with ${opening}, not with ${Object.keys(subjects).join(" or ")}`)
  const subject = make()
  const differences: string[] = []
  const blocks = []
  for (const block of scenario.blocks) {
    const where = `${path}:${block.lineNumber}`
    const output = await at(where, () => printed(subject, new Call(block.command, block.input)))
    if (output.join("\n") !== block.output.join("\n")) {
      const lines = difference(block.output, output).map(line => `  ${line}`)
      differences.push([`${where}: ${block.command}`, ...lines].join("\n"))
    }
    blocks.push({ ...block, output })
  }
  return { text: textOf({ ...scenario, blocks }), differences }
}

async function printed(subject: Subject, call: Call): Promise<readonly string[]> {
  const handle = subject.commands[call.name]
  if (!handle) call.reject(`is none of: ${Object.keys(subject.commands).join(", ")}`)
  try {
    const lines = (await handle(call)).flatMap(line => line.split("\n"))
    call.checkAllRead()
    if (lines.some(line => line.trim() === "")) call.reject("printed a blank line, which would end the block")
    return lines.length > 0 ? lines : ["(nothing)"]
  } catch (error) {
    if (!isFailure(error)) throw error
    call.checkAllRead()
    return [`refused: ${error.kind}`]
  }
}

/** Adds the place to the message of a thrown error. */
function at<T>(where: string, run: () => T): T {
  const named = (error: unknown): Error =>
    new BadScenario(`${where}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  try {
    const result = run()
    if (!(result instanceof Promise)) return result
    return result.catch((error: unknown) => {
      throw named(error)
    }) as T
  } catch (error) {
    throw named(error)
  }
}
