/**
 * Runs clients that are written in Python without a new interpreter for each run: most of the time of a short run is what
 * they import. A process of Python imports it once, and forks for each run (`python_programs.py`).
 *
 * Promises  A run has its own arguments, variables, folder and output, as a process that is started has.
 * Limits    Input and output are kept whole. What a module reads from the variables while it is imported is that of the first run.
 */
import assert from "node:assert/strict"
import { ChildProcess, spawn, type ChildProcessByStdio } from "node:child_process"
import { readFileSync } from "node:fs"
import { basename } from "node:path"
import { Socket } from "node:net"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { z } from "zod"

const SERVER = fileURLToPath(new URL("../../../tests/harness/python_programs.py", import.meta.url))

/** The modules that each program imports. */
const PRELOADED: ReadonlyMap<string, readonly string[]> = new Map([
  ["aws", ["awscli.clidriver", "awscli.handlers", "awscli.customizations.s3.subcommands"]],
  ["s3cmd", ["S3.S3", "S3.Config", "S3.SortedDict", "S3.FileLists", "S3.MultiPart", "S3.CloudFront", "optparse"]],
  ["swift", ["swiftclient.shell", "swiftclient.service", "requests", "multiprocessing.pool"]],
])

const BYTES = z.base64().transform(text => Buffer.from(text, "base64"))
const RESULT = z.object({ id: z.number(), code: z.number().nullable(), stdout: BYTES, stderr: BYTES })
type Result = z.infer<typeof RESULT>

interface Run {
  readonly program: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly timeoutMs: number
  /** Standard input; default: empty. */
  readonly input?: Uint8Array
}

const found = new Map<string, string | undefined>()

/** Returns the interpreter of a program that can run so; undefined for other programs. */
export function interpreterOf(program: string): string | undefined {
  if (!program.startsWith("/") || !PRELOADED.has(basename(program))) return undefined
  if (!found.has(program)) found.set(program, /^#!(\/\S*python\S*)\n/.exec(readFileSync(program, "latin1"))?.[1])
  return found.get(program)
}

/** The process that forks, which ends with this one. */
export class PythonPrograms {
  private readonly waiting = new Map<number, (result: Result) => void>()
  private last = 0
  private readonly child: ChildProcessByStdio<Writable, Readable, null>

  constructor(interpreter: string) {
    const env = { ...process.env, LC_ALL: "C.UTF-8" }
    this.child = spawn(interpreter, [SERVER], { env, stdio: ["pipe", "pipe", "inherit"] })
    this.child.stdin.on("error", () => {})
    createInterface(this.child.stdout).on("line", line => {
      const result = RESULT.parse(JSON.parse(line))
      this.waiting.get(result.id)?.(result)
      this.waiting.delete(result.id)
      this.hold()
    })
    this.child.once("exit", () => this.fail())
    process.once("beforeExit", () => {
      this.child.stdin.end()
      this.child.ref()
    })
    this.hold()
  }

  get process(): ChildProcessByStdio<Writable, Readable, null> {
    return this.child
  }

  run({ program, args, env, cwd, timeoutMs, input = new Uint8Array(0) }: Run): Promise<Omit<Result, "id">> {
    const id = (this.last += 1)
    const preloaded = PRELOADED.get(basename(program)) ?? assert.fail(program)
    const variables = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined))
    const limits = { seconds_max: Math.ceil(timeoutMs / 1000) }
    const given = { input: Buffer.from(input).toString("base64") }
    const request = { id, program, args, env: variables, cwd, preloaded, ...limits, ...given }
    return new Promise(resolve => {
      this.waiting.set(id, resolve)
      this.hold()
      this.child.stdin.write(`${JSON.stringify(request)}\n`)
    })
  }

  /** This process waits for runs, but not for the one that forks. */
  private hold(): void {
    const isHeld = this.waiting.size > 0
    for (const handle of [this.child, this.child.stdin, this.child.stdout]) {
      if (!(handle instanceof Socket || handle instanceof ChildProcess)) continue
      if (isHeld) handle.ref()
      else handle.unref()
    }
  }

  private fail(): void {
    for (const [id, resolve] of this.waiting) {
      resolve({ id, code: null, stdout: Buffer.alloc(0), stderr: Buffer.from("the process that forks has ended") })
    }
    this.waiting.clear()
  }
}
