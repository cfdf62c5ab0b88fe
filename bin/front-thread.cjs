/** Starts a front thread: it runs the bundle of the command, with the code that V8 has compiled of it before. */
"use strict"

const { join } = require("node:path")
const { startBundle } = require("./start-bundle.cjs")

startBundle(join(__dirname, "..", "dist", "bundle", "hayloft.cjs"))
