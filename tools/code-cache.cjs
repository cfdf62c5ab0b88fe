/**
 * Writes the code cache of a bundle: starts a store from it in the given folder, sends it the usual requests, and saves the
 * code that V8 has compiled until then, so that a new process compiles none of it. Listens only on free ports of the
 * loopback address.
 */
"use strict"

const { spawn } = require("node:child_process")
const { renameSync, writeFileSync } = require("node:fs")
const { startBundle } = require("../bin/start-bundle.cjs")

const ANY_PORT = "127.0.0.1:0"
const COMMAND_MS_MAX = 8_000

const [, , bundle, folder] = process.argv
const server = ["serve", "--data", folder, "--listen", ANY_PORT, "--admin-listen", ANY_PORT, "--log-level", "error"]
const load = ["--seconds", "0.1", "--keys", "20", "--concurrency", "4", "--sizes", "4KiB,1MiB"]
const clients = [
  ["bench", "--data", folder, ...load],
  ["status", "--data", folder],
]
for (const name of Object.keys(process.env)) if (name.startsWith("HAYLOFT_")) delete process.env[name]
process.argv.splice(2, 2, ...server)

const cacheOf = startBundle(bundle)
// The first output is the line that reports readiness.
process.stdout.write = () => {
  process.stdout.write = () => true
  run()
  return true
}

/** Runs the commands one after another, then saves. If one fails, its requests are only compiled later. */
function run() {
  const args = clients.shift()
  if (args === undefined) return save()
  const options = { stdio: "ignore", timeout: COMMAND_MS_MAX, killSignal: "SIGKILL" }
  spawn(process.execPath, [bundle, ...args], options).once("exit", run)
}

function save() {
  const { path, bytes } = cacheOf()
  writeFileSync(`${path}.${process.pid}.tmp`, bytes)
  renameSync(`${path}.${process.pid}.tmp`, path)
  // Not process.exit: a thread may be in the middle of a call that must not be terminated.
  process.kill(process.pid, "SIGKILL")
}
