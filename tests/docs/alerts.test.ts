/**
 * The alert rules and the dashboard of deploy/: they use only metrics that exist, their expressions parse (by a simple
 * grammar, and by promtool where it is installed), and each alert has its section in docs/operate/alerts.md.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { findProgram, run } from "../harness/commands.js"
import { ROOT } from "../harness/server.js"

const RULES = join(ROOT, "deploy/prometheus/hayloft-alerts.yml")
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8")

interface Rule {
  readonly name: string
  readonly expression: string
  readonly page: string
}

const rules: readonly Rule[] = readFileSync(RULES, "utf8")
  .split(/^ {6}- alert: /m)
  .slice(1)
  .map(text => ({
    name: /^\w+/.exec(text)?.[0] ?? "",
    expression: /^ {8}expr: (['"])(.*)\1$/m.exec(text)?.[2] ?? "",
    page: /runbook_url: "(.*)"/.exec(text)?.[1] ?? "",
  }))

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[]
}
const { panels } = JSON.parse(read("deploy/grafana/hayloft-dashboard.json")) as Dashboard

/** docs/operate/operate.md has all metrics of a running server; tests/docs/metrics.test.ts compares it. */
const METRICS = new Set([...read("docs/operate/operate.md").matchAll(/^\| `(\w+)` \|/gm)].map(([, name = ""]) => name))

const WORDS = new Set(["by", "or", "and", "unless", "on"])
const FUNCTIONS = new Set(
  "sum min max rate increase delta changes time topk histogram_quantile avg count absent".split(" "),
)
const TOKEN = /\s*(?:([\w.]+)(\{(?:\w+(?:=~|!=|=)"[^"]*",?)*\})?(\[\d+[smhd]\])?|([()])|(==|!=|<=|>=|[<>+\-*/,]))/y

/** The metrics of an expression. Throws if it does not parse. */
function metricsIn(expression: string): readonly string[] {
  const used: string[] = []
  let depth = 0
  let labels = 0
  let before = ""
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < expression.trimEnd().length) {
    const from = TOKEN.lastIndex
    const [, word, , , bracket, operator] =
      TOKEN.exec(expression) ?? assert.fail(`cannot parse: ${expression.slice(from)}`)
    if (bracket === "(") depth += 1
    if (bracket === "(" && before === "by") labels = depth
    if (bracket === ")") {
      if (labels === depth) labels = 0
      depth -= 1
      assert.ok(depth >= 0, `a bracket too many: ${expression}`)
    }
    const isName = word !== undefined && !/^\d/.test(word) && !WORDS.has(word) && labels === 0
    if (isName && !FUNCTIONS.has(word)) used.push(word)
    before = word ?? bracket ?? operator ?? ""
  }
  assert.equal(depth, 0, `a bracket is open: ${expression}`)
  assert.ok(used.length > 0, `no metric: ${expression}`)
  return used
}

/** A histogram has series with endings of their own; `up` is of Prometheus itself. */
const isKnown = (name: string): boolean => name === "up" || METRICS.has(name.replace(/_(bucket|sum|count)$/, ""))

test("rules and panels use only metrics of a running server, in expressions that parse", () => {
  assert.ok(rules.length >= 20, `${rules.length} rules`)
  assert.ok(panels.length >= 15)
  const expressions = [
    ...rules.map(({ name, expression }) => [name, expression] as const),
    ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
  ]
  for (const [where, expression] of expressions)
    for (const name of metricsIn(expression)) assert.ok(isKnown(name), `${where}: there is no metric ${name}`)
})

test("the grammar finds what is wrong", () => {
  for (const wrong of ["sum(rate(x[5m])", "x{a=b} > 1", "rate(x[5 minutes])", "1 > 2", "x) > 1", "x ~ 1"])
    assert.throws(() => metricsIn(wrong), wrong)
  assert.deepEqual(metricsIn('sum by (le, a) (rate(x_bucket{a="b"}[5m])) > 0.1 * y'), ["x_bucket", "y"])
})

test("each alert has a section that says what to do, which its link names, and a row in the table", () => {
  const page = read("docs/operate/alerts.md")
  const sections = [...page.matchAll(/^## (Hayloft\w+)\n\n([^#]+)/gm)].map(([, name = "", text = ""]) => ({
    name,
    text,
  }))
  assert.deepEqual(
    sections.map(({ name }) => name),
    rules.map(({ name }) => name),
  )
  for (const { name, text } of sections) assert.match(text, /^- \S/m, `${name} says what to do`)
  for (const { name, expression, page: link } of rules) {
    assert.equal(link, `docs/operate/alerts.md#${name.toLowerCase()}`)
    assert.ok(page.includes(`| [${name}](#${name.toLowerCase()}) |`), name)
    assert.ok(page.includes(`\`${expression.replaceAll("|", "\\|")}\``), `${name}: the table has its expression`)
  }
})

test("promtool accepts the rules", async t => {
  const promtool = findProgram("promtool")
  if (promtool === undefined) return t.skip("promtool is not installed")
  const { code, stdout, stderr } = await run(promtool, ["check", "rules", RULES])
  assert.equal(code, 0, `${stdout}${stderr}`)
})
