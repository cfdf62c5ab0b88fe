/**
 * Writes the code cache of a bundle: starts a store from it in the given folder, and saves the code that V8 has
 * compiled until the store is ready. Listens only on free ports of the loopback address.
 */
"use strict"

const { renameSync, writeFileSync } = require("node:fs")
const { startBundle } = require("../bin/start-bundle.cjs")

const ANY_PORT = "127.0.0.1:0"

const [, , bundle, folder] = process.argv
const args = ["serve", "--data", folder, "--listen", ANY_PORT, "--admin-listen", ANY_PORT, "--log-level", "error"]
for (const name of Object.keys(process.env)) if (name.startsWith("HAYLOFT_")) delete process.env[name]
process.argv.splice(2, 2, ...args)

const cacheOf = startBundle(bundle)
// The only output is the line that reports readiness.
process.stdout.write = () => {
  const { path, bytes } = cacheOf()
  writeFileSync(`${path}.${process.pid}.tmp`, bytes)
  renameSync(`${path}.${process.pid}.tmp`, path)
  // Not process.exit: a thread may be in the middle of a call that must not be terminated.
  process.kill(process.pid, "SIGKILL")
}
