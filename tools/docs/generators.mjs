/**
 * Generators of tables in documents, by the name in the table's markers:
 *
 *   <!-- generated:failures -->
 *   … (what the generator returns)
 *   <!-- /generated -->
 *
 * A generator is a function without arguments that returns Markdown, or a promise of it. It imports from dist/,
 * which must be built first (`node tools/docs.mjs` does).
 */
import { readdirSync, readFileSync } from "node:fs"
import { LAYERS } from "../layers/rules.mjs"

const built = path => import(new URL(`../../dist/packages/${path}`, import.meta.url).href)

/** The program of this checkout. Its commands are only described, never run: they need no access to the outside. */
export async function programOfCheckout() {
  const { buildProgram } = await built("cli/src/program.js")
  return buildProgram({}, new AbortController().signal)
}

async function commandLine() {
  const { commandLineTables } = await built("cli/src/reference.js")
  return commandLineTables(await programOfCheckout())
}

/** Returns a Markdown table; cells are texts. */
export function table(head, rows) {
  const line = cells => `| ${cells.map(cell => String(cell).replaceAll("|", "\\|")).join(" | ")} |`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")
}

const UNITS = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
]

/** A limit as readable text: bytes in the largest whole unit, other numbers with separators. */
function shownLimit(name, value) {
  const unit = /BYTES/.test(name) ? UNITS.find(([size]) => value % size === 0) : undefined
  return unit === undefined ? value.toLocaleString("en-US") : `${(value / unit[0]).toLocaleString("en-US")} ${unit[1]}`
}

const coded = name => `\`${name}\``
const pageLink = page => (page === undefined ? "" : ` [More](../${page})`)

/** The texts of `hayloft explain` for one type of code; `columns`: those between the code and its text. */
async function codes(head, type, columns) {
  const { allCodes } = await built("admin/src/explain/index.js")
  return table(
    head,
    allCodes()
      .filter(each => each.type === type)
      .map(each => [coded(each.code), ...columns(each), each.cause, `${each.action}${pageLink(each.page)}`]),
  )
}

/** Codes with a text of their own show it; the others stand for failures, which have theirs. */
async function errorCodes(api) {
  const { ERROR_CODES, kindsOf } = await built("admin/src/explain/index.js")
  return table(
    ["code", "failures", "what it means", "what to do"],
    ERROR_CODES.filter(each => each.api === api).map(each => {
      const { code, text, remedies } = each
      const named = (remedies === undefined ? kindsOf(each) : each.kinds).map(coded)
      const shown = remedies === undefined ? named : [...named, "others"]
      return [
        coded(code),
        shown.join(", "),
        text?.cause ?? "",
        text === undefined ? "" : `${text.action}${pageLink(text.page)}`,
      ]
    }),
  )
}

const STUDY_TABLES = {
  chord: ["chordLookups", "chordState", "chordChurn", "chordRight", "chordSpread", "chordCrossCheck", "chordBalance"],
  gossip: ["gossipDetection", "gossipLoss", "gossipFaults", "gossipCosts"],
  quorum: ["quorumHistories", "quorumAvailability", "quorumLatency", "quorumLosses", "quorumCarts"],
}
/** By name: the tables of a study, which is played once. */
const played = new Map()

/** The table of a page in docs/design/studies/, as `npm run study` prints it. */
async function studyTable(study, name) {
  const { markdownOf, PAGE_SEED, STUDIES } = await import(
    new URL("../../dist/sim/studies/index.js", import.meta.url).href
  )
  const { nodes, run } = STUDIES[study]
  if (!played.has(study)) played.set(study, run({ nodes, seed: PAGE_SEED }))
  return markdownOf(played.get(study)[name])
}

const CLIENTS = new URL("../../tests/clients/", import.meta.url)
const SWIFT_CASE = /^@case\(\s*"([^"]+)",\s*"([^"]+)",?\s*\)$/gm

/** The lines of Swift's checklist, each with the cases that python-swiftclient drives. */
function swiftChecklist() {
  const texts = readdirSync(CLIENTS)
    .filter(name => /^swift_\w+\.py$/.test(name))
    .map(name => readFileSync(new URL(name, CLIENTS), "utf8"))
  const cases = texts.flatMap(text => [...text.matchAll(SWIFT_CASE)].map(([, line, about]) => ({ line, about })))
  const lines = JSON.parse(readFileSync(new URL("swift_checklist.json", CLIENTS), "utf8"))
  const casesOf = name => cases.filter(each => each.line === name).map(({ about }) => about)
  return table(
    ["line", "what it is", "cases"],
    lines.map(({ line, about }) => [line, about, casesOf(line).join("<br>")]),
  )
}

export const GENERATORS = {
  s3Operations: async () => (await built("protocols/src/s3/index.js")).compatibilityTables().operations,
  s3Headers: async () => (await built("protocols/src/s3/index.js")).compatibilityTables().headers,

  iamActions: async () => {
    const { ACTIONS } = await built("protocols/src/iam/index.js")
    return table(
      ["service", "actions"],
      Object.entries(ACTIONS).map(([service, actions]) => [
        `\`${service}\``,
        Object.keys(actions)
          .filter(name => actions[name].kind !== "refused")
          .sort()
          .join(", "),
      ]),
    )
  },

  swiftChecklist,

  ...Object.fromEntries(
    Object.entries(STUDY_TABLES).flatMap(([study, names]) => names.map(name => [name, () => studyTable(study, name)])),
  ),

  layers: () =>
    table(
      ["folder", "may import"],
      Object.entries(LAYERS).map(([room, allowed]) => [
        `\`${room}/\``,
        allowed.includes("*") ? "everything" : allowed.length === 0 ? "nothing" : allowed.join(", "),
      ]),
    ),

  logCodes: () => codes(["code", "level", "what it means", "what to do"], "log", ({ level }) => [level]),
  failureCodes: () => codes(["code", "what it means", "what to do"], "failure", () => []),
  s3Codes: () => errorCodes("S3"),
  iamCodes: () => errorCodes("IAM"),
  kmsCodes: () => errorCodes("KMS"),
  sqsCodes: () => errorCodes("SQS"),

  limits: async () => {
    const limits = Object.entries(await built("base/src/limits.js"))
    return table(
      ["limit", "value"],
      limits
        .filter(([name, value]) => typeof value === "number" && !/^(KIB|MIB|GIB|TIB)$/.test(name))
        .map(([name, value]) => [`\`${name}\``, shownLimit(name, value)]),
    )
  },

  clientVariables: async () => (await commandLine()).clientVariables,
  exitCodes: async () => (await commandLine()).exitCodes,
  commands: async () => (await commandLine()).commands,
  settings: async () => (await commandLine()).settings,
}
