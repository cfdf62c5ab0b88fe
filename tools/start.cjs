/**
 * `npm start`: prepares the checkout (installs if needed, builds), then runs `hayloft serve` in this process, so
 * that Ctrl-C and SIGTERM, which npm passes on, reach the server, and npm returns its exit code. The build runs in
 * a separate process, so that the compiler's memory is freed.
 */
"use strict"

var NODE_MAJOR_MIN = 20

if (Number(process.versions.node.split(".")[0]) < NODE_MAJOR_MIN) {
  process.stderr.write(
    "hayloft: Node " +
      process.versions.node +
      " is too old; install Node " +
      NODE_MAJOR_MIN +
      " or newer (https://nodejs.org)\n",
  )
  process.exit(2)
}

var path = require("path")
var root = path.dirname(__dirname)
var ensure = require("url").pathToFileURL(path.join(__dirname, "ensure.mjs")).href
var script = "import { ensure } from " + JSON.stringify(ensure) + "; await ensure({ dev: false })"
var outcome = require("child_process").spawnSync(process.execPath, ["--input-type=module", "-e", script], {
  cwd: root,
  stdio: ["ignore", 2, 2],
})
if (outcome.status !== 0) process.exit(outcome.status === null ? 0 : outcome.status)

process.argv.splice(1, process.argv.length - 1, path.join(root, "bin", "hayloft"), "serve", ...process.argv.slice(2))
require(path.join(root, "bin", "hayloft"))
