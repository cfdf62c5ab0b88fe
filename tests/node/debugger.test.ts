/** A debugger stops in a TypeScript file of the program as it is started, by the source map of the bundle. */
import assert from "node:assert/strict"
import { spawn, type ChildProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import { SourceMap, type SourceMapPayload } from "node:module"
import { join } from "node:path"
import { test } from "node:test"
import { bindChild } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { ROOT, ServerProcess } from "../harness/server.js"

const BUNDLE = "hayloft.cjs"
const [SOURCE, LINE] = ["packages/protocols/src/s3/operations/put-object.ts", /^export function putObject\(/]
const WAIT_MS_MAX = 60_000

/** The line of the bundle for the first statement of the method, counted from 1. */
function lineInBundle(): number {
  const wanted = readFileSync(join(ROOT, SOURCE), "utf8")
    .split("\n")
    .findIndex(line => LINE.test(line))
  assert.ok(wanted >= 0, `${SOURCE} has no such method`)
  const text = readFileSync(join(ROOT, "dist/bundle", `${BUNDLE}.map`), "utf8")
  const map = new SourceMap(JSON.parse(text) as SourceMapPayload)
  const lines = readFileSync(join(ROOT, "dist/bundle", BUNDLE), "utf8").split("\n").length
  for (let line = 0; line < lines; line += 1) {
    const entry = map.findEntry(line, 4)
    if ("originalLine" in entry && entry.originalSource.endsWith(SOURCE) && entry.originalLine > wanted) return line + 1
  }
  return assert.fail(`the source map has no line of ${SOURCE}`)
}

/** Resolves once the output of the process matches. */
function says(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let text = ""
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${String(pattern)} is not in: ${text}`)), WAIT_MS_MAX)
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk
        const found = pattern.exec(text)
        if (found === null) return
        clearTimeout(late)
        resolve(found)
      })
    }
  })
}

test("a breakpoint in the path of a write is hit, and the write goes on", () =>
  withFolder(async folder => {
    const inspector = `127.0.0.1:${await freePort()}`
    const debugged = `--enable-source-maps --inspect=${inspector}`
    const server = await ServerProcess.start({ folders: dataFolders(folder, 1), env: { NODE_OPTIONS: debugged } })
    let client: ChildProcess | undefined
    try {
      await server.client().call("PUT", { bucket: "debugged" })
      client = spawn(process.execPath, ["inspect", inspector], { stdio: "pipe" })
      bindChild(client)
      await says(client, /debug>/)
      const line = lineInBundle()
      client.stdin?.write(`setBreakpoint('${BUNDLE}', ${line})\n`)
      await says(client, new RegExp(`>\\s*${line}\\b`))
      const stopped = says(client, /break in \S*hayloft\.cjs:\d+/)
      const put = server.client().call("PUT", { bucket: "debugged", key: "k", body: "stopped once" })
      await stopped
      client.stdin?.write("cont\n")
      assert.equal((await put).status, 200)
    } finally {
      client?.kill("SIGKILL")
      await server.kill()
    }
  }))
