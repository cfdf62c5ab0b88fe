/**
 * Writes the code cache of a bundle: starts a store from it in the folder given, and keeps what V8 has
 * compiled until the store is ready. Serves nobody: any free ports of the loopback address.
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
// Its only output says that it is ready.
process.stdout.write = () => {
  const { path, bytes } = cacheOf()
  writeFileSync(`${path}.${process.pid}.tmp`, bytes)
  renameSync(`${path}.${process.pid}.tmp`, path)
  // Not process.exit: its threads may be in the middle of a call that does not bear to be terminated.
  process.kill(process.pid, "SIGKILL")
}
