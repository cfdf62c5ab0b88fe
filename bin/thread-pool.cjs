/**
 * The size of the thread pool that file calls run in, from the settings of this process: it counts only if it is set before the first
 * asynchronous file call or `import()`.
 */
"use strict"

const { readFileSync } = require("node:fs")
const { cpus } = require("node:os")

const THREADS_MIN = 8
const THREADS_MAX = 256
const FRONT_THREADS_MAX = 16

/** How many folders `disk{1...7}` names; a rough count, the configuration is checked later. */
const foldersOf = text =>
  [...text.matchAll(/\{(\d{1,4})\.\.\.(\d{1,4})\}/g)].reduce(
    (product, [, first, last]) => product * Math.max(1, Number(last) - Number(first) + 1),
    1,
  )

/** The texts of a setting in the config file, if there is one that can be read. */
function textsInFile(setting, args, environment) {
  const path = valuesOf("--config", args)[0] || environment.HAYLOFT_CONFIG
  if (!path) return []
  try {
    return [JSON.parse(readFileSync(path, "utf8"))[setting] ?? []].flat().map(String)
  } catch {
    return []
  }
}

/** Values of a flag: `--data a`, `--data=a`. */
const valuesOf = (flag, args) =>
  args.flatMap((arg, i) => {
    if (arg === flag && i + 1 < args.length) return [args[i + 1]]
    return arg.startsWith(`${flag}=`) ? [arg.slice(flag.length + 1)] : []
  })

/** The folders of `hayloft server DIR...`. Values of options count as well: some threads more do no harm. */
function foldersOfServer(args, environment) {
  const at = args.indexOf("server")
  if (at !== 0 && !(at === 1 && args[0] === "minio")) return []
  const given = args.slice(at + 1).filter(arg => !arg.startsWith("-") && !arg.includes(":"))
  const named = environment.MINIO_VOLUMES || environment.MINIO_DATA_DIR || ""
  return given.length > 0 ? given : named.split(/\s+/).filter(Boolean)
}

function dataFolders(args, environment) {
  const given = [...valuesOf("--data", args), ...foldersOfServer(args, environment)]
  if (given.length > 0) return given
  return environment.HAYLOFT_DATA ? environment.HAYLOFT_DATA.split(",") : textsInFile("data", args, environment)
}

/** The most front threads that there may be; some threads more do no harm. */
function frontsOf(args, environment) {
  const given =
    valuesOf("--threads", args)[0] || environment.HAYLOFT_THREADS || textsInFile("threads", args, environment)[0]
  if (given !== undefined) return Number(given) || 0
  return Math.max(0, Math.min(FRONT_THREADS_MAX, cpus().length - 1))
}

/** Sets the size of the thread pool for the command line of this process, unless the environment has one. */
exports.sizeThreadPool = () => {
  if (process.env.UV_THREADPOOL_SIZE) return
  const args = process.argv.slice(2)
  const devices = dataFolders(args, process.env)
    .map(foldersOf)
    .reduce((sum, count) => sum + count, 0)
  // A device that hangs keeps four calls in the pool, three of the thread that decides and one of its checkpoint thread, and
  // one of each front thread.
  const calls = 4 + frontsOf(args, process.env)
  process.env.UV_THREADPOOL_SIZE = String(Math.min(THREADS_MAX, Math.max(THREADS_MIN, 4 + calls * devices)))
}
