/** Runs the command line as a real process, for tests: arguments and input in, code and output out. */
import { spawn } from "node:child_process"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { S3Client } from "@hayloft/client/index.js"
import { HAYLOFT_COMMAND, StoreProcess } from "@hayloft/client/testing-store-process.js"

export interface Outcome {
  readonly code: number | null
  readonly out: Buffer
  readonly error: string
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly input?: Uint8Array
  readonly workingFolder?: string
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[]
}

/** Only a hang takes so long, even on a busy machine. */
const RUN_MS_MAX = 480_000

/** The environment without variables that select another store. */
export const plainEnvironment = (): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(HAYLOFT|AWS)_|^NODE_TEST|^UV_THREADPOOL/.test(name)),
  )

export function runProcess(command: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...plainEnvironment(), ...options.environment },
      cwd: options.workingFolder,
    })
    // The option `timeout` of `spawn` would keep this process alive so long if the command does not exist.
    const cancel = new RealClock().alarm(RUN_MS_MAX, () => child.kill())
    const out: Buffer[] = []
    const error: Buffer[] = []
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => error.push(chunk))
    child.on("error", error => {
      cancel()
      reject(error)
    })
    child.on("close", code => {
      cancel()
      resolve({ code, out: Buffer.concat(out), error: Buffer.concat(error).toString("utf8") })
    })
    // A command that refuses its arguments does not read its input.
    child.stdin.on("error", () => undefined)
    child.stdin.end(options.input)
  })
}

export const runHayloft = (args: readonly string[], options: RunOptions = {}): Promise<Outcome> =>
  runProcess(process.execPath, [...(options.nodeArgs ?? []), HAYLOFT_COMMAND, ...args], options)

/** Runs a store over these folders, with a client of it, and stops the store. */
export async function withClient<T>(
  dataFolders: readonly string[],
  use: (client: S3Client, access: Awaited<ReturnType<StoreProcess["access"]>>) => Promise<T>,
): Promise<T> {
  const clock = new RealClock()
  const store = await StoreProcess.start({ dataFolders }, clock)
  const access = await store.access()
  const client = new S3Client(access, clock, new AbortController().signal)
  try {
    return await use(client, access)
  } finally {
    client.close()
    await store.stop()
  }
}
