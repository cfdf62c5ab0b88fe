/**
 * Documents and values of which nothing good can come: mutations of valid ones, from a seed. What is left of a document may be
 * valid by chance.
 */
import type { Random } from "@hayloft/base/seams/random/contract.js"

const NUMBERS = [
  "0",
  "-1",
  "+1",
  "00",
  "1.5",
  "1e9",
  "0x10",
  "NaN",
  "Infinity",
  "2147483648",
  "4294967296",
  "9007199254740993",
  "99999999999999999999",
  "9".repeat(400),
  "1 ",
  "\u0661",
]
const WORDS = [
  "",
  " ",
  "\u0000",
  "\u0001",
  "\u007f",
  "\ud7ff",
  "\ufffd",
  "\u202e",
  "null",
  "true",
  "../../etc/passwd",
  "%00",
  "*",
  "enabled",
  "ENABLED",
  "Enabled ",
  "9999-12-31T00:00:00Z",
  "10000-01-01T00:00:00Z",
  "-001-01-01",
  "2024-02-30",
  "2024-13-01T00:00:00Z",
  "x".repeat(70_000),
  "__proto__",
  "constructor",
  "\r\n x-amz-acl: public-read",
]
const ENTITIES = `<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">${Array.from(
  { length: 12 },
  (_, level) => `<!ENTITY c${level} "${`&${level === 0 ? "b" : `c${level - 1}`};`.repeat(10)}">`,
).join("")}]>`

const at = <T>(random: Random, list: readonly T[]): T => {
  const found = list[random.below(list.length)]
  if (found === undefined) throw new Error("the list to draw from is not empty")
  return found
}

const cut = (text: string, random: Random, by: string): string => {
  const place = random.below(text.length + 1)
  return text.slice(0, place) + by + text.slice(place + random.below(3))
}

/** Replaces one of the matches. */
function replaceOne(text: string, random: Random, pattern: RegExp, put: (found: string) => string): string {
  const found = [...text.matchAll(pattern)]
  if (found.length === 0) return cut(text, random, put(""))
  const { 0: match, index } = at(random, found)
  return text.slice(0, index) + put(match) + text.slice(index + match.length)
}

/** Longer documents are refused for their length. */
const LENGTH_MAX = 600_000
const many = (text: string, count: number): string =>
  text.repeat(Math.min(count, 1 + Math.floor(LENGTH_MAX / (text.length + 1))))

type Mutation = (text: string, random: Random) => string

const ANY: readonly Mutation[] = [
  (text, random) => text.slice(0, random.below(text.length)),
  (text, random) => cut(text, random, at(random, WORDS)),
  (text, random) => cut(text, random, String.fromCharCode(random.below(32))),
  (text, random) => replaceOne(text, random, /\d+/g, () => at(random, NUMBERS)),
  (text, random) => {
    const [a, b] = [random.below(text.length), random.below(text.length)]
    return text.slice(0, Math.max(a, b)) + text.slice(Math.min(a, b))
  },
]

const XML: readonly Mutation[] = [
  (text, random) => replaceOne(text, random, />[^<>]+</g, () => `>${at(random, [...NUMBERS, ...WORDS])}<`),
  (text, random) => replaceOne(text, random, /<(\w+)>[^<]*<\/\1>/g, element => element + element),
  (text, random) => replaceOne(text, random, /<(\w+)>[^<]*<\/\1>/g, () => ""),
  (text, random) => replaceOne(text, random, /<\w+>/g, tag => many(tag, 2 + random.below(100))),
  (text, random) => replaceOne(text, random, /<\w+>/g, tag => `${tag}<Unknown>1</Unknown>`),
  (text, random) => replaceOne(text, random, />[^<>]+</g, () => "><![CDATA[]]>&#0;&#x110000;&unknown;<"),
  text => ENTITIES + text.replace(/>[^<>]+</, ">&c11;<"),
  text => `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>${text.replace(/>[^<>]+</, ">&b;<")}`,
  (_, random) => "<a>".repeat(1 + random.below(50_000)),
  (text, random) =>
    text.replace(/(<\w+>)(.*)(<\/\w+>)$/s, (_all, open: string, inside: string, close: string) => {
      return open + many(inside, 2 + random.below(1_500)) + close
    }),
]

const JSON_MUTATIONS: readonly Mutation[] = [
  (text, random) => replaceOne(text, random, /:("[^"]*"|\d+|true|false)/g, () => `:${at(random, OTHER_TYPES)}`),
  (text, random) => replaceOne(text, random, /"\w+":("[^"]*"|\d+)/g, member => `${member},${member}`),
  (text, random) => replaceOne(text, random, /"[^"]*"/g, () => JSON.stringify(at(random, WORDS))),
  (text, random) => replaceOne(text, random, /\{/g, () => `{"__proto__":{"isAdmin":true},"unknown":1,`),
  (_, random) => "[".repeat(1 + random.below(100_000)),
  (_, random) => '{"a":'.repeat(1 + random.below(100_000)),
  text => `\ufeff${text}`,
]
const OTHER_TYPES = ["null", "[]", "{}", "[[[]]]", '""', "true", "-0", "1e999", '{"a":1}', ...NUMBERS]

const KINDS = { xml: [...ANY, ...XML], json: [...ANY, ...JSON_MUTATIONS], text: ANY }

export type DocumentKind = keyof typeof KINDS

/** One to three mutations of the document. */
export function mutated(text: string, kind: DocumentKind, random: Random): string {
  let result = text
  for (let left = 1 + random.below(3); left > 0 && result.length > 0; left -= 1) {
    result = at(random, KINDS[kind])(result, random).slice(0, LENGTH_MAX)
  }
  return result
}

/** A value of a header: what no parser of HTTP lets through is left out. */
export const mutatedValue = (value: string, random: Random): string =>
  mutated(value, "text", random)
    .replaceAll(/[^\t\u0020-\u007e\u0080-\u00ff]/g, "")
    .trim()
