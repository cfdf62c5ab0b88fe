/**
 * The main script of the executable (tools/executables.mjs): sizes the thread pool, then starts the program, which is a part of
 * the executable as everything else is that it reads: its bundles, with V8's code cache, documents and the console.
 *
 * A module that is no part of the executable, such as sharp, is looked for in node_modules beside it, and nowhere else, nor there
 * if everybody can write to that folder, as to /tmp.
 */
"use strict"

const { sizeThreadPool } = require("./thread-pool.cjs")

/** Runs a bundle in this thread. Threads get its text, so that it uses nothing around it. */
function startPart(name, own) {
  const { existsSync, statSync } = process.getBuiltinModule("node:fs")
  const { createRequire, isBuiltin } = process.getBuiltinModule("node:module")
  const { dirname, isAbsolute, join } = process.getBuiltinModule("node:path")
  const { getAsset, getRawAsset } = process.getBuiltinModule("node:sea")
  const { Script } = process.getBuiltinModule("node:vm")
  const MARK_BYTES = 64
  // Without /proc, Node does not know the path.
  const folder = isAbsolute(process.execPath) ? dirname(process.execPath) : "/"
  const EVERYBODY_WRITES = 0o002
  const isSafe = (statSync(folder).mode & EVERYBODY_WRITES) === 0
  const requireFile = createRequire(join(folder, "hayloft.cjs"))
  const requirePart = path => {
    const [first, second] = path.split("/")
    const module = first.startsWith("@") ? `${first}/${second}` : first
    if (isBuiltin(path) || (isSafe && existsSync(join(folder, "node_modules", module)))) return requireFile(path)
    throw Object.assign(new Error(`Cannot find module '${path}'`), { code: "MODULE_NOT_FOUND" })
  }
  // A thread loads the address; a process of its own gets the name at its end (--part).
  const threadOf = part =>
    `data:text/javascript,${encodeURIComponent(`const own = ${JSON.stringify(own)};eval(own)(${JSON.stringify(part)}, own)`)}#${part}`
  const cached = JSON.parse(getAsset("cached.json", "utf8")).includes(name) && Buffer.from(getRawAsset(`${name}.cache`))
  const asset = Buffer.from(getRawAsset(name))
  // A longer piece would be in memory of the allocator, and V8 copies it.
  const PIECE_BYTES = 512 * 1024
  let text = ""
  for (let at = 0; at < asset.length; at += PIECE_BYTES) text += asset.toString("latin1", at, at + PIECE_BYTES)
  const script = new Script(`(function (require, __dirname, $threadOf) {${text}\n})`, {
    filename: join(folder, "dist", "bundle", name),
    ...(cached && { cachedData: cached.subarray(MARK_BYTES) }),
  })
  script.runInThisContext()(requirePart, join(folder, "dist", "bundle"), threadOf)
}

sizeThreadPool()
const [, , option, part] = process.argv
startPart(option === "--part" ? part : "hayloft.cjs", `(${startPart})`)
