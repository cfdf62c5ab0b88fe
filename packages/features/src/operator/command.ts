/**
 * Commands of the command line that are operations: what is typed, what is sent, and what is shown. Pure.
 *
 * Promises  An operation has its commands in its definition. The program of the command line is built from them: it reads
 *           what is typed, sends the request, checks the answer and prints. This module does none of it.
 */
import type { z } from "zod"

/**
 * How the text of an argument or option is read. By default it is sent as it is; a function returns what is sent, and
 * throws a `CommandProblem`. The document, bytes and text are those of the file that is named; a duration is sent in
 * seconds, an expiry as the time when its duration is over by the store's clock, and a folder by its absolute path.
 */
type Reading =
  | "number"
  | "past"
  | "moment"
  | "expiry"
  | "seconds"
  | "size"
  | "document"
  | "policy"
  | "fileText"
  | "bytes"
  | "device"
  | "folder"
  | ((text: string) => unknown)

/** An argument or option. Its name is that of a segment of the path, a parameter or a member of the body. */
export interface CommandInput {
  /** `<QUEUE>`, `[KEY]`, `--account <ID>`; an option without a value is a switch: `--shared`. */
  readonly flags: string
  /** By default the description that the parameter or the member of the body has. */
  readonly help?: string
  readonly reads?: Reading
  /** This is sent if the option is not given. */
  readonly otherwise?: string
  /** The same, and the help shows it. */
  readonly preset?: string
  readonly isRequired?: true
  /** It may be given several times: this reads all of its texts together, and throws a `CommandProblem`. */
  readonly readsAll?: (texts: readonly string[]) => unknown
}

/** Parts of a request by their names. Undefined ones are not sent. */
export type Values = Readonly<Record<string, unknown>>

/** Returns the text that was typed for an input; "" if none was, "true" for a switch. */
export type Given = (name: string) => string

/** The result of a command: `json` is printed with `--json`, one line for each if `isEach`; otherwise the text. */
export interface Shown {
  readonly json: unknown
  readonly isEach?: boolean
  /** It is only asked for if it is printed. */
  readonly text: string | (() => string)
  /** The command has failed, as what it has shown says: it ends with the exit code 1 and this message. */
  readonly failure?: string | undefined
}

/** An operation with the type of its answers. */
export interface Answering<Answer> {
  readonly id: string
  readonly answer: z.ZodType<Answer>
}

/** Calls of a running command, each with what was typed, as far as the operation has parts of these names. */
export interface Calls {
  readonly given: Given
  /** The values that were read from what was typed. */
  readonly values: Values
  /** The store's clock at its last response. */
  readonly nowMs: () => number
  /** `more`: in addition to what was typed, or in place of it. */
  readonly call: <Answer>(operation: Answering<Answer>, more?: Values) => Promise<Answer>
  /** Returns undefined if the store does not have what the operation is about. */
  readonly find: <Answer>(operation: Answering<Answer>, more?: Values) => Promise<Answer | undefined>
  /** Prints a part of a long answer before the command has ended. */
  readonly print: (part: Omit<Shown, "failure">) => Promise<void>
  /** Rejects if the command is interrupted. */
  readonly sleep: (durationMs: number) => Promise<void>
  /** Joins all pages of a list: `member` has the items of each. */
  readonly all: <Answer>(operation: Answering<Answer>, member: string, more?: Values) => Promise<Answer>
}

/** A command as the program runs it. */
export interface OperatorCommand {
  /** `queue purge`. */
  readonly name: string
  readonly help: string
  readonly inputs: Readonly<Record<string, CommandInput>>
  /** It starts a job on rows, and waits until that has ended, unless it is told not to. */
  readonly isJob: boolean
  /** Sent in addition to what is typed, and has these values. */
  sends(given: Given, values: Values): Values
  run(calls: Calls): Promise<Shown>
}

/** A command as the definition of an operation with this answer has it. */
export interface CommandOf<Answer> {
  readonly name: string
  readonly help: string
  readonly inputs?: Readonly<Record<string, CommandInput>>
  readonly isJob?: true
  /** A function may throw a `CommandProblem`, before the store is contacted. */
  readonly sends?: Values | ((given: Given, values: Values) => Values)
  /** The member of the answer that is a list: all pages are joined, and `--json` prints each item. */
  readonly list?: string
  readonly text?: (answer: Answer, given: Given, nowMs: number) => string
  /** By default the answer. */
  readonly json?: (answer: Answer, given: Given) => unknown
  readonly failure?: (answer: Answer, given: Given) => string | undefined
  /**
   * For a command that makes several calls, in place of `text`, `json` and `failure`; `own` is the call of the operation,
   * which joins all pages of a `list`.
   */
  readonly run?: (calls: Calls, own: (more?: Values) => Promise<Answer>) => Promise<Shown>
}

/** A command cannot be carried out as it was typed, or does not find what it is about. */
export class CommandProblem extends Error {
  override readonly name = "CommandProblem"

  constructor(
    readonly exit: "usage" | "notFound" | "conflict" | "failed",
    message: string,
  ) {
    super(message)
  }
}

/** An operation's command in the form in which the program runs it. */
export function commandOf<Answer>(operation: Answering<Answer>, definition: CommandOf<Answer>): OperatorCommand {
  const { name, help, inputs = {}, isJob = false, sends = {}, list, run } = definition
  const sent = (given: Given, values: Values): Values => (typeof sends === "function" ? sends(given, values) : sends)
  return {
    name,
    help,
    inputs,
    isJob,
    sends: sent,
    async run(calls) {
      const { given, nowMs } = calls
      const more = sent(given, calls.values)
      const own = (other: Values = {}) => {
        const values = { ...more, ...other }
        return list === undefined ? calls.call(operation, values) : calls.all(operation, list, values)
      }
      if (run !== undefined) return run(calls, own)
      const answer = await own()
      const { text, json, failure } = definition
      const isEach = list !== undefined && json === undefined
      return {
        json: json !== undefined ? json(answer, given) : isEach ? itemsOf(answer, list) : answer,
        isEach,
        text: () => text?.(answer, given, nowMs()) ?? "",
        failure: failure?.(answer, given),
      }
    },
  }
}

/** The items of a list in an answer. */
export function itemsOf(answer: unknown, member: string): readonly unknown[] {
  const found: unknown = typeof answer === "object" && answer !== null ? Reflect.get(answer, member) : undefined
  return Array.isArray(found) ? found : []
}
