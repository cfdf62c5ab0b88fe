/**
 * Runs clients that are written in Python without a new interpreter for each run: most of the time of a short run is what
 * they import. A process of Python imports it once, and forks for each run (`python_programs.py`).
 *
 * Promises  A run has its own arguments, variables, folder and output, as a process that is started has.
 * Limits    Standard input is empty. What a module reads from the variables while it is imported is that of the first run.
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

const PYTHON = "/usr/bin/python3"
const SERVER = fileURLToPath(new URL("../../../tests/harness/python_programs.py", import.meta.url))

/** The modules that each program imports. */
const PRELOADED: ReadonlyMap<string, readonly string[]> = new Map([
  ["aws", ["awscli.clidriver", "awscli.handlers", "awscli.customizations.s3.subcommands"]],
  ["s3cmd", ["S3.S3", "S3.Config", "S3.SortedDict", "S3.FileLists", "S3.MultiPart", "S3.CloudFront", "optparse"]],
  ["swift", ["swiftclient.shell", "swiftclient.service", "requests", "multiprocessing.pool"]],
])

const RESULT = z.object({ id: z.number(), code: z.number().nullable(), stdout: z.string(), stderr: z.string() })
type Result = z.infer<typeof RESULT>

interface Run {
  readonly program: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly timeoutMs: number
}

const found = new Map<string, boolean>()

/** Returns true for the path of a program that can run so. */
export function isPreloaded(program: string): boolean {
  if (!program.startsWith("/") || !PRELOADED.has(basename(program))) return false
  const known = found.get(program)
  if (known !== undefined) return known
  const isOfPython = readFileSync(program, "utf8").startsWith(`#!${PYTHON}\n`)
  found.set(program, isOfPython)
  return isOfPython
}

/** The process that forks, which ends with this one. */
export class PythonPrograms {
  private readonly waiting = new Map<number, (result: Result) => void>()
  private last = 0
  private readonly child: ChildProcessByStdio<Writable, Readable, null>

  constructor() {
    const env = { ...process.env, LC_ALL: "C.UTF-8" }
    this.child = spawn(PYTHON, [SERVER], { env, stdio: ["pipe", "pipe", "inherit"] })
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

  run({ program, args, env, cwd, timeoutMs }: Run): Promise<Omit<Result, "id">> {
    const id = (this.last += 1)
    const preloaded = PRELOADED.get(basename(program)) ?? assert.fail(program)
    const variables = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined))
    const request = { id, program, args, env: variables, cwd, preloaded, seconds_max: Math.ceil(timeoutMs / 1000) }
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
      resolve({ id, code: null, stdout: "", stderr: "the process that forks has ended" })
    }
    this.waiting.clear()
  }
}
