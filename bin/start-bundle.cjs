/**
 * Starts a bundle (tools/bundle.mjs) with the code that V8 has compiled of it before.
 *
 * The cache is a gift: where it is missing, belongs to another bundle, or V8 does not want it (another
 * version of Node, other flags), the bundle is compiled anew. With --enable-source-maps Node itself loads the bundle,
 * since it maps the positions only of files that it has loaded.
 */
"use strict"

const { readFileSync } = require("node:fs")
const { createRequire } = require("node:module")
const { dirname } = require("node:path")
const { Script } = require("node:vm")

/** Of the SHA-256, in hexadecimal digits, that the bundle begins with behind `// `, and the cache at once. */
const MARK_BYTES = 64
const MARK_AT = 3

const markOf = text => text.slice(MARK_AT, MARK_AT + MARK_BYTES)
const cacheOf = file => `${file}.cache`

function readCache(file, text) {
  try {
    const data = readFileSync(cacheOf(file))
    return data.toString("latin1", 0, MARK_BYTES) === markOf(text) ? data.subarray(MARK_BYTES) : undefined
  } catch {
    return undefined
  }
}

/** Runs the file; gives what makes its cache, of all that was compiled until then: path and bytes. */
exports.startBundle = file => {
  if (process.sourceMapsEnabled) return createRequire(file)(file)
  const text = readFileSync(file, "latin1")
  const script = new Script(`(function (require, __dirname) {${text}\n})`, {
    filename: file,
    cachedData: readCache(file, text),
  })
  script.runInThisContext()(createRequire(file), dirname(file))
  return () => ({
    path: cacheOf(file),
    bytes: Buffer.concat([Buffer.from(markOf(text), "latin1"), script.createCachedData()]),
  })
}
