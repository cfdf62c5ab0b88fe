/**
 * Runs other programs to their end, within a time limit, and captures their output.
 *
 * Every child ends with this process, also if the test runner abandons it.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { accessSync, constants, readdirSync } from "node:fs"
import { basename, delimiter, dirname, join } from "node:path"
import { interpreterOf, PythonPrograms } from "./python-programs.js"

const children = new Set<ChildProcess>()

const endAll = () => {
  for (const child of children) child.kill("SIGKILL")
}
process.once("exit", endAll)
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => process.exit(1))

/** Ends the child when this process ends. */
export function bindChild(child: ChildProcess): void {
  children.add(child)
  child.once("exit", () => children.delete(child))
}

export interface CommandOptions {
  /** Variables added to those of this process; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  readonly input?: string
  readonly timeoutMs?: number
  /** The user and group that run it; only root can choose them. */
  readonly uid?: number
  readonly gid?: number
}

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const COMMAND_TIMEOUT_MS = 120_000

const pythonPrograms = new Map<string, PythonPrograms>()

/**
 * Runs of a program in forks of one process, which ends with this one. Each program has its own: what s3cmd imports replaces
 * parts of Python's HTTP client, with which the AWS CLI fails.
 */
export function forkedBy(interpreter: string, program: string): PythonPrograms {
  const known = pythonPrograms.get(program)
  if (known !== undefined) return known
  const programs = new PythonPrograms(interpreter)
  bindChild(programs.process)
  pythonPrograms.set(program, programs)
  return programs
}

async function runForked(
  interpreter: string,
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const env = { ...process.env, ...options.env }
  const limits = { cwd: options.cwd ?? process.cwd(), timeoutMs: options.timeoutMs ?? COMMAND_TIMEOUT_MS }
  const { code, stdout, stderr } = await forkedBy(interpreter, program).run({ program, args, env, ...limits })
  return { code, stdout: stdout.toString("utf8"), stderr: stderr.toString("utf8") }
}

/** Runs a program to its end; a client that is written in Python, without a new interpreter (`python-programs.ts`). */
export function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { input, uid, gid } = options
  const interpreter = interpreterOf(program)
  if (interpreter !== undefined && [input, uid, gid].every(value => value === undefined))
    return runForked(interpreter, program, args, options)
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: "pipe",
      ...(options.uid !== undefined && { uid: options.uid }),
      ...(options.gid !== undefined && { gid: options.gid }),
    })
    bindChild(child)
    // The option `timeout` of `spawn` would keep this process alive so long if the program does not exist.
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? COMMAND_TIMEOUT_MS)
    let [stdout, stderr] = ["", ""]
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk))
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk))
    child.once("error", error => {
      clearTimeout(timer)
      reject(error)
    })
    child.once("close", code => {
      clearTimeout(timer)
      resolve({ code, stdout, stderr })
    })
    child.stdin.on("error", () => {})
    child.stdin.end(options.input ?? "")
  })
}

/** Runs a program that must exit with 0; returns its standard output. */
export async function runOk(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options)
  if (code === 0) return stdout
  const line = `${program} ${args.join(" ")}`
  throw new Error(`${line.slice(0, 400)} ended with ${code}\n${stderr.slice(-2000)}\n${stdout.slice(-2000)}`)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Version managers have scripts in `shims/` that find a program in `versions/`. Where there is one such program, it is called
 * without them: they cost as much as a short run, and hide that it is written in Python.
 */
function behindShim(path: string): string {
  if (basename(dirname(path)) !== "shims") return path
  const versions = join(dirname(dirname(path)), "versions")
  try {
    const programs = readdirSync(versions).map(version => join(versions, version, "bin", basename(path)))
    const [program, ...others] = programs.filter(isExecutable)
    return program === undefined || others.length > 0 ? path : program
  } catch {
    return path
  }
}

/** Returns the path of an installed program, preferring the system's; undefined if it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = ["/usr/bin", "/usr/local/bin", "/usr/sbin", ...(process.env["PATH"] ?? "").split(delimiter)]
  const found = folders.map(folder => join(folder, name)).find(isExecutable)
  return found === undefined ? undefined : behindShim(found)
}
