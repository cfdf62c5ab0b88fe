/**
 * Starts a bundle (tools/bundle.mjs) with the code that V8 has compiled of it before.
 *
 * The cache is a gift: where it is missing, belongs to another bundle, or V8 does not want it (another
 * version of Node, other flags), the bundle is compiled anew. With --enable-source-maps Node itself loads the bundle,
 * since it maps the positions only of files that it has loaded.
 */
"use strict"

const { closeSync, fstatSync, openSync, readSync } = require("node:fs")
const { createRequire } = require("node:module")
const { dirname } = require("node:path")
const { cachedDataVersionTag } = require("node:v8")
const { Script } = require("node:vm")

/** Of the SHA-256, in hexadecimal digits, that the bundle begins with behind `// `, and the cache at once. */
const MARK_BYTES = 64
const MARK_AT = 3
/** A longer text would be in memory of the allocator, and V8 copies it. */
const PIECE_BYTES = 512 * 1024

/** Reads a file. A resizable buffer has pages of its own, which go back to the system with it; the allocator keeps them. */
function read(file) {
  const descriptor = openSync(file)
  try {
    const { size } = fstatSync(descriptor)
    const bytes = Buffer.from(new ArrayBuffer(size, { maxByteLength: size }))
    for (let at = 0, got = 1; got > 0 && at < size; at += got) got = readSync(descriptor, bytes, at, size - at, at)
    return bytes
  } finally {
    closeSync(descriptor)
  }
}

function readText(file) {
  const bytes = read(file)
  let text = ""
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) text += bytes.toString("latin1", at, at + PIECE_BYTES)
  return text
}

const markOf = text => text.slice(MARK_AT, MARK_AT + MARK_BYTES)
/** Each version of V8, and each set of its flags, has a cache of its own. */
const cacheOf = file => `${file}.${cachedDataVersionTag()}.cache`

function readCache(file, mark) {
  try {
    const data = read(cacheOf(file))
    return data.latin1Slice(0, MARK_BYTES) === mark ? data.subarray(MARK_BYTES) : undefined
  } catch {
    return undefined
  }
}

const scriptOf = (file, text, cachedData) =>
  new Script(`(function (require, __dirname, $threadOf) {${text}\n})`, { filename: file, cachedData })

/** Throws if this Node does not take the file's cache. */
exports.checkCache = file => {
  const text = readText(file)
  const mark = markOf(text)
  const cachedData = readCache(file, mark)
  if (cachedData === undefined || scriptOf(file, text, cachedData).cachedDataRejected !== false)
    throw new Error(`${file} has no code cache that Node ${process.version} takes`)
}

/** Runs the file; gives what makes its cache, of all that was compiled until then: path and bytes. */
exports.startBundle = file => {
  if (process.sourceMapsEnabled) return createRequire(file)(file)
  const text = readText(file)
  const mark = markOf(text)
  const script = scriptOf(file, text, readCache(file, mark))
  script.runInThisContext()(createRequire(file), dirname(file))
  return () => ({
    path: cacheOf(file),
    bytes: Buffer.concat([Buffer.from(mark, "latin1"), script.createCachedData()]),
  })
}
