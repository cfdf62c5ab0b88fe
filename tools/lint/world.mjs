/**
 * Rule: no code accesses the outside world directly. Time, randomness, files, sockets, threads and the process are
 * passed in as seams; each ban names the replacement and the exempt files, which implement the seam.
 */
import { isCheck, pathOf } from "./paths.mjs"

const SEAM =
  /^packages\/base\/src\/seams\/.*\/(real|thread|inline)[^/]*\.ts$|^packages\/base\/src\/seams\/.*worker[^/]*\.ts$/
const MAIN = /^packages\/(server|cli|client)\//
const HTTP = /^packages\/protocols\/src\/http\//
/** The command line is a client: it reads and writes files of its user, which belong to no store. */
const CLIENT = /^packages\/(cli|client)\//
/** The program's own files: its version, its docs. */
const OWN_FILES = /^packages\/(cli\/src\/version|server\/src\/documents)\.ts$/

/** The work of a sandbox's thread: it has no seams. */
const SANDBOXED = /^packages\/features\/src\/transforms\/worker\//

/** All random values of tests depend on one environment variable. */
const SEED_OF_TESTS = /^packages\/base\/src\/testing-seed\.ts$/

const CLOCK = "use the Clock handed in (packages/base/src/seams/clock/contract.ts)"
const RANDOM = "use the Random handed in (packages/base/src/seams/random/contract.ts)"
const DISK = "use the Disk handed in (packages/base/src/seams/disk/contract.ts)"
const COMPUTE = "use the Compute handed in (packages/base/src/seams/compute/contract.ts)"
const NETWORK = "only packages/protocols/src/http/ and packages/client/src/ use sockets: use their entry points"
const PROCESS = "only packages/server/src/ and packages/cli/src/ use the process: pass what you need as an argument"
const TELEMETRY = "use the Telemetry handed in (packages/base/src/seams/telemetry/contract.ts)"

const MODULES = {
  fs: { use: DISK, in: [SEAM, CLIENT, OWN_FILES] },
  "fs/promises": { use: DISK, in: [SEAM, CLIENT, OWN_FILES] },
  net: { use: NETWORK, in: [SEAM, HTTP, CLIENT] },
  http: { use: NETWORK, in: [SEAM, HTTP, MAIN] },
  https: { use: NETWORK, in: [SEAM, HTTP, MAIN] },
  http2: { use: NETWORK, in: [SEAM, HTTP] },
  tls: { use: NETWORK, in: [SEAM, HTTP, CLIENT] },
  dgram: { use: NETWORK, in: [SEAM] },
  dns: { use: NETWORK, in: [SEAM] },
  "dns/promises": { use: NETWORK, in: [SEAM] },
  worker_threads: {
    use: COMPUTE,
    in: [SEAM, /^packages\/server\/src\/threads\/[^/]*worker[^/]*\.ts$/],
  },
  zlib: { use: COMPUTE, in: [SEAM, CLIENT, SANDBOXED, /^packages\/base\/src\/seams\/compute\//] },
  timers: { use: CLOCK, in: [SEAM] },
  "timers/promises": { use: CLOCK, in: [SEAM] },
  perf_hooks: { use: CLOCK, in: [SEAM] },
  child_process: { use: PROCESS, in: [SEAM, MAIN] },
  cluster: { use: PROCESS, in: [MAIN] },
  process: { use: PROCESS, in: [SEAM, MAIN, SANDBOXED] },
  os: { use: PROCESS, in: [SEAM, MAIN] },
  readline: { use: PROCESS, in: [MAIN] },
  "readline/promises": { use: PROCESS, in: [MAIN] },
}

const GLOBALS = {
  performance: { use: CLOCK, in: [SEAM] },
  setTimeout: { use: CLOCK, in: [SEAM] },
  setInterval: { use: CLOCK, in: [SEAM] },
  setImmediate: { use: CLOCK, in: [SEAM, /^packages\/base\/src\/seams\/clock\/sim\.ts$/] },
  crypto: { use: RANDOM, in: [SEAM] },
  fetch: { use: NETWORK, in: [SEAM] },
  WebSocket: { use: NETWORK, in: [SEAM] },
  process: { use: PROCESS, in: [SEAM, MAIN, SEED_OF_TESTS] },
  console: { use: TELEMETRY, in: [MAIN] },
}

const MEMBERS = {
  "Date.now": { use: CLOCK, in: [SEAM] },
  "Math.random": { use: RANDOM, in: [SEAM] },
  "AbortSignal.timeout": { use: CLOCK, in: [SEAM] },
}

/** Threads are started in one place, so that a system that is out of threads is recognized. */
const THREAD = {
  use: "use startThread (packages/base/src/seams/threads/real.ts)",
  in: [/^packages\/base\/src\/seams\/(threads\/real|sandbox\/real-serve)\.ts$/],
}

/** Only hashing is allowed from node:crypto. */
const CRYPTO_RANDOM = /^(random|getRandom|webcrypto|generateKey|subtle|prng|pseudoRandom)/i

const NOW = { use: CLOCK, in: [SEAM] }

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (!path.startsWith("packages/") || isCheck(path)) return {}

    const report = (node, what, ban) => {
      if (ban === undefined || ban.in.some(allowed => allowed.test(path))) return
      context.report({ node, message: `${what} accesses the outside world: ${ban.use}` })
    }
    const own = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined)

    const onModule = (node, source) => {
      if (typeof source?.value !== "string") return
      const name = source.value.replace(/^node:/, "")
      report(source, source.value, own(MODULES, name))
      if (name === "worker_threads") {
        const worker = node.specifiers?.find(
          specifier => specifier.importKind !== "type" && specifier.imported?.name === "Worker",
        )
        if (worker !== undefined) report(worker, "Worker", THREAD)
      }
      if (name !== "crypto") return
      for (const specifier of node.specifiers ?? []) {
        const imported = specifier.imported?.name ?? specifier.local?.name
        if (specifier.type === "ImportNamespaceSpecifier" || specifier.type === "ImportDefaultSpecifier") {
          report(specifier, "all of node:crypto", {
            use: `import what you need by name; for randomness, ${RANDOM}`,
            in: [SEAM],
          })
        } else if (CRYPTO_RANDOM.test(imported)) {
          report(specifier, imported, { use: RANDOM, in: [SEAM] })
        }
      }
    }

    /** Returns true if a name is the global one, not declared in this file. */
    const isGlobal = node => {
      for (let scope = context.sourceCode.getScope(node); scope !== null; scope = scope.upper) {
        const variable = scope.set.get(node.name)
        if (variable !== undefined) return variable.defs.length === 0
      }
      return true
    }
    const isReference = node => {
      const { parent } = node
      if (parent.type === "MemberExpression" && parent.property === node && !parent.computed) return false
      if (parent.type === "Property" && parent.key === node && !parent.computed && !parent.shorthand) return false
      return !/^(TS|MethodDefinition|PropertyDefinition|AccessorProperty|Import|Export|LabeledStatement)/.test(
        parent.type,
      )
    }

    return {
      ImportDeclaration: node => node.importKind !== "type" && onModule(node, node.source),
      ExportNamedDeclaration: node => onModule(node, node.source),
      ExportAllDeclaration: node => onModule(node, node.source),
      ImportExpression: node => onModule(node, node.source),
      Identifier(node) {
        const ban = own(GLOBALS, node.name)
        if (ban !== undefined && isReference(node) && isGlobal(node)) report(node, node.name, ban)
      },
      MemberExpression(node) {
        if (node.object.type !== "Identifier" || node.computed || !isGlobal(node.object)) return
        const name = node.property.name
        report(node, `${node.object.name}.${name}`, own(MEMBERS, `${node.object.name}.${name}`))
        if (node.object.name === "globalThis") report(node, name, own(GLOBALS, name))
      },
      NewExpression(node) {
        if (node.callee.name === "Date" && node.arguments.length === 0 && isGlobal(node.callee))
          report(node, "new Date()", NOW)
      },
      CallExpression(node) {
        if (node.callee.name === "Date" && isGlobal(node.callee)) report(node, "Date()", NOW)
      },
    }
  },
}
