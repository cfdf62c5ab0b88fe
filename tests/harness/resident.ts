/**
 * Programs for scripts: `hayloft` in this process, and the AWS CLI forked from a process that has imported it
 * (`python-programs.ts`). A process of its own for each command is most of the processor time of scripts with many.
 *
 * A script calls a stub of the same name, which hands over its arguments, variables, folder and streams, and ends with the
 * exit code of the command. Signals do not reach the command.
 */
import { readFileSync, readlinkSync, writeFileSync } from "node:fs"
import { createServer, type AddressInfo, type Socket } from "node:net"
import { runHere } from "@hayloft/cli/testing-here.js"
import { forkedBy } from "./commands.js"

/** A program that runs the commands of its stub. */
export interface Resident {
  /** The path that scripts call. */
  readonly stub: string
  stop(): Promise<void>
}

interface Command {
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly workingFolder: string
  readonly input: AsyncIterable<Uint8Array>
}

interface Outcome {
  readonly code: number | null
  readonly out: Uint8Array
  readonly error: Uint8Array
}

const COMMAND_MS_MAX = 120_000

/** The input is read only when the command asks for it: it may be that of a loop around the command. */
const stubOf = (port: number): string => `#!/bin/bash
at=/dev/tcp/127.0.0.1/${port}
exec 9<> $at
echo "run $$" >&9
while read -r what code out error <&9; do
  if [ "$what" = input ]; then
    { echo "input $$"; cat; } > $at
  else
    head -c "$out" <&9
    head -c "$error" <&9 >&2
    exit "$code"
  fi
done
exit 99
`

const listOf = (pid: number, name: string): readonly string[] =>
  readFileSync(`/proc/${pid}/${name}`, "utf8").split("\0").slice(0, -1)

function environmentOf(pid: number): Record<string, string> {
  const pairs = listOf(pid, "environ").map(text => {
    const at = text.indexOf("=")
    return [text.slice(0, at), text.slice(at + 1)] as const
  })
  return Object.fromEntries(pairs)
}

/** Reads the first line of a connection; what follows stays in the socket. */
async function firstLine(socket: Socket): Promise<string> {
  let line = ""
  for (;;) {
    const byte = socket.read(1) as Buffer | null
    if (byte !== null && byte.toString() === "\n") return line
    if (byte !== null) line += byte.toString()
    else await new Promise(resolve => socket.once("readable", resolve))
  }
}

/** `path`: where the stub is written. */
async function resident(path: string, perform: (command: Command) => Promise<Outcome>): Promise<Resident> {
  const inputs = new Map<number, (input: Socket) => void>()
  async function run(pid: number, socket: Socket): Promise<void> {
    async function* input(): AsyncGenerator<Uint8Array> {
      const given = new Promise<Socket>(resolve => inputs.set(pid, resolve))
      socket.write("input\n")
      for await (const chunk of await given) yield chunk as Buffer
    }
    const { code, out, error } = await perform({
      // They follow those of the shell: its own name and the stub's.
      args: listOf(pid, "cmdline").slice(2),
      environment: environmentOf(pid),
      workingFolder: readlinkSync(`/proc/${pid}/cwd`),
      input: input(),
    })
    socket.write(`end ${code ?? 99} ${out.length} ${error.length}\n`)
    socket.end(Buffer.concat([out, error]))
  }
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.on("error", () => socket.destroy())
    const serve = async (): Promise<void> => {
      const [what, pid] = (await firstLine(socket)).split(" ")
      if (what === "run") await run(Number(pid), socket)
      else inputs.get(Number(pid))?.(socket)
    }
    serve().catch(() => socket.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  writeFileSync(path, stubOf((server.address() as AddressInfo).port), { mode: 0o755 })
  return { stub: path, stop: () => new Promise<void>(resolve => server.close(() => resolve())) }
}

/** `hayloft` of this build, in this process. */
export const residentHayloft = (path: string): Promise<Resident> =>
  resident(path, async ({ args, ...options }) => {
    const { code, out, error } = await runHere(args, options)
    return { code, out, error: Buffer.from(error) }
  })

/** The AWS CLI of an interpreter (`interpreterOf`). It reads its input only where an argument is `-`. */
export const residentAws = (interpreter: string, program: string, path: string): Promise<Resident> =>
  resident(path, async ({ args, environment, workingFolder, input }) => {
    const given: Uint8Array[] = []
    if (args.includes("-")) for await (const chunk of input) given.push(chunk)
    const place = { env: environment, cwd: workingFolder, timeoutMs: COMMAND_MS_MAX, input: Buffer.concat(given) }
    const { code, stdout, stderr } = await forkedBy(interpreter, program).run({ program, args, ...place })
    return { code, out: stdout, error: stderr }
  })
