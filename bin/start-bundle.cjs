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
const { cachedDataVersionTag } = require("node:v8")
const { Script } = require("node:vm")

/** Of the SHA-256, in hexadecimal digits, that the bundle begins with behind `// `, and the cache at once. */
const MARK_BYTES = 64
const MARK_AT = 3

const markOf = text => text.slice(MARK_AT, MARK_AT + MARK_BYTES)
/** Each version of V8, and each set of its flags, has a cache of its own. */
const cacheOf = file => `${file}.${cachedDataVersionTag()}.cache`

function readCache(file, text) {
  try {
    const data = readFileSync(cacheOf(file))
    return data.toString("latin1", 0, MARK_BYTES) === markOf(text) ? data.subarray(MARK_BYTES) : undefined
  } catch {
    return undefined
  }
}

const scriptOf = (file, text, cachedData) =>
  new Script(`(function (require, __dirname, $threadOf) {${text}\n})`, { filename: file, cachedData })

/** Throws if this Node does not take the file's cache. */
exports.checkCache = file => {
  const text = readFileSync(file, "latin1")
  const cachedData = readCache(file, text)
  if (cachedData === undefined || scriptOf(file, text, cachedData).cachedDataRejected !== false)
    throw new Error(`${file} has no code cache that Node ${process.version} takes`)
}

/** Runs the file; gives what makes its cache, of all that was compiled until then: path and bytes. */
exports.startBundle = file => {
  if (process.sourceMapsEnabled) return createRequire(file)(file)
  const text = readFileSync(file, "latin1")
  const script = scriptOf(file, text, readCache(file, text))
  script.runInThisContext()(createRequire(file), dirname(file))
  return () => ({
    path: cacheOf(file),
    bytes: Buffer.concat([Buffer.from(markOf(text), "latin1"), script.createCachedData()]),
  })
}
