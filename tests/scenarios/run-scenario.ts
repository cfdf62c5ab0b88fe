/**
 * Runs a scenario: hands each command to its subject and compares what it prints with what the file expects.
 *
 * Promises  A mistake in the scenario or a bug in the subject throws, with its line; only a difference of outputs is
 *           reported, and only that can be rewritten.
 */
import { isFailure } from "../../src/base/failures.js"
import { BadScenario, Call } from "./call.js"
import { difference, parseScenario, textOf } from "./scenario-file.js"

/** Carries out a command and returns the lines that it prints; a failure that it throws is printed as a refusal. */
type Handler = (call: Call) => readonly string[] | Promise<readonly string[]>

/** What a scenario is about: a protocol core, and the commands that drive it. */
export interface Subject {
  readonly commands: Readonly<Record<string, Handler>>
}

/** The subjects of a folder, by the command that a scenario opens with. */
export type Subjects = Readonly<Record<string, () => Subject>>

interface ScenarioOutcome {
  /** The scenario with the outputs as they were printed. */
  readonly text: string
  /** For each block whose output differs: where it is, and how. */
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

/** Names the place in the message of whatever is thrown. */
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
